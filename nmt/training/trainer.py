"""The training loop (paper, section 5).

A checkpoint holds the complete state of a run: weights, optimizer and the position in the data. The
order of the data is a function of seed and epoch, and the random numbers of a batch of seed, epoch
and its number. A resumed run therefore continues exactly as if it had not been stopped.
"""

from __future__ import annotations

import math
import signal
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from nmt.config.stages import Stage
from nmt.config.validation import is_loss
from nmt.console import Console
from nmt.data.batching import Batch, Epochs
from nmt.data.prepared import Prepared
from nmt.data.streaming import StreamedEpochs
from nmt.data.tokenizer import Tokenizers
from nmt.device import choose_device, runs_behind
from nmt.distributed import World, local_device
from nmt.errors import ConfigError, FileError, Interrupted, TrainingError
from nmt.model.build import network_with_weights
from nmt.runs import average, checkpoint, layout, retention
from nmt.signals import StopFlag
from nmt.training.freezing import describe_trained
from nmt.training.initial import initial_weights
from nmt.training.learner import Learner, StepInProgress, StepStats
from nmt.training.monitor import Monitor
from nmt.training.saving import BackgroundSaver, Tensors
from nmt.training.schedule import rate_in_stage
from nmt.training.validate import SetsValidator
from nmt.translate.score import perplexity

# Steps after a start or resumption whose figures are printed, though not written to metrics.jsonl,
# so that users see the loss fall before the first `train.log_every` steps are over.
_EARLY_STEPS = (1, 10)
_BAR_FIGURES = ("loss", "tokens_per_s", "epoch")


@dataclass
class Progress:
    """The progress of a training run; saved as the state of its checkpoints.

    Attributes:
        step: number of optimizer steps taken.
        epoch: current epoch, from 0.
        batch: number of batches of the epoch already used.
        seconds: time spent in training steps.
        scores: validation scores of the current weights; empty if not validated.
        signatures: sacreBLEU signatures by score.
        best: the best value of `train.metric` so far.
        stale: number of validations since then.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    stale: int = 0
    signatures: dict[str, str] = field(default_factory=dict)


@dataclass
class _Window:
    """Sums over the steps since the last line of metrics."""

    loss: float = 0.0
    nll: float = 0.0
    divergence: float = 0.0
    tokens: int = 0
    own_tokens: int = 0
    """Target tokens of this process."""
    seconds: float = 0.0


@dataclass
class _Started:
    """A step that has been started, but is not yet part of the progress."""

    group: list[Batch]
    rate: float
    step: StepInProgress


class Trainer:
    """Trains the network of a run directory in one stage, from its newest checkpoint if it has one.

    Otherwise it starts from the weights of `train.init_from`, or from random ones.

    Args:
        stage: the stage of the run, with its configuration.
        run: run directory.
        tokenizers: of the run.
        train_data: batches of training pairs.
        valid_data: prepared validation pairs by the name of their set; empty for no validation.
        console: standard error.
        world: the processes that train together; by default, this one.
    """

    def __init__(
        self,
        stage: Stage,
        run: Path,
        tokenizers: Tokenizers,
        train_data: Epochs | StreamedEpochs,
        valid_data: Mapping[str, Prepared],
        console: Console,
        world: World | None = None,
    ) -> None:
        self.world = world or World()
        self.stage, self.run = stage, run
        self.config = config = stage.config
        self.tokenizers, self.train_data = tokenizers, train_data
        self.device = choose_device(local_device(config.train.device))
        self.learner = Learner(config, tokenizers, self.device, console.print_line, self.world)
        self.validator = (
            SetsValidator(
                config, tokenizers, valid_data, self.device, console.print_line, self.world
            )
            if valid_data
            else None
        )
        self._has_two_views = bool(config.train.doubled_by)
        self.progress = Progress()
        self._saved = Progress()
        self._saved_only_to_resume = False
        self.console = console
        self.saver = BackgroundSaver()
        # A GPU gets its next step before the program waits for the last one. Several processes go
        # step by step: each must know whether another has failed before it starts to sum again.
        self._runs_ahead = runs_behind(self.device) and self.world.size == 1
        if (config.train.freeze or config.train.lora) and self.world.leads:
            console.print_line(describe_trained(self.learner.network))
        self._resume()

    def train(self, stop: StopFlag, stop_after: int | None = None) -> None:
        """Train until the end of the stage, early stopping or a signal.

        After the last stage, average its checkpoints.

        Args:
            stop: polled after every step.
            stop_after: step after which to stop as if by SIGTERM.

        Raises:
            Interrupted: if a signal arrives; the state has been saved.
            TrainingError: if the loss or the gradient is not finite.
            FileError: if a checkpoint cannot be written.
        """
        with (
            Monitor(
                self.run if self.world.leads else None,
                self.console,
                self.progress.step,
                self.stage.end,
            ) as monitor,
            self.saver,
        ):
            self.monitor = monitor
            self._asked = stop
            if self.world.size > 1:
                stop = StopFlag()  # set at the same step in all processes
            self._asked.notice = "saving …; Ctrl-C again to abandon"
            groups = self._batch_groups()
            self._window = _Window()
            self._first_step = self.progress.step
            self._stop_after = stop_after
            self._started: deque[_Started] = deque()
            self._put_back: list[list[Batch]] = []
            while True:
                if not self._started:  # otherwise the weights are ahead of the progress
                    if self.progress.step == stop_after:
                        stop.signum = signal.SIGTERM
                    self._validate_and_save(stop)
                    self._end_if(stop)
                    if self._finished():
                        break
                self._step(groups, stop)
            self.saver.wait()
            if self.stage.is_last:
                self._average(stop)

    def _stop_all(self, stop: StopFlag) -> None:
        """Set the flag of all processes, after one of them was asked to stop."""
        stop.signum = stop.signum or self._asked.signum or signal.SIGTERM

    def _end_if(self, stop: StopFlag) -> None:
        if stop.signum is not None:
            self.saver.wait()
            self.world.gather(None)  # torchrun ends all processes once the first has ended
            step = self.progress.step
            raise Interrupted(
                f"stopped at step {step}, saved in {self.run}; the same command continues"
                if step
                else "stopped before the first step; the same command starts again",
                stop.signum,
            )

    def _finished(self) -> bool:
        if self._out_of_patience():
            self.monitor.print_line(
                f"no better {self.config.train.metric} in {self.progress.stale} validations: "
                "training ends"
            )
            return True
        return self.progress.step >= self.stage.end

    def _out_of_patience(self) -> bool:
        patience = self.config.train.patience
        return patience is not None and self.progress.stale >= patience

    # Steps

    def _batch_groups(self) -> Iterator[list[Batch]]:
        """Yield the batches of each step, from the saved position on."""
        epoch, start = self.progress.epoch, self.progress.batch
        group: list[Batch] = []
        while True:
            for batch in self.train_data.batches(epoch, start):
                group.append(batch)
                if len(group) == self.config.train.accumulate:
                    yield group
                    group = []
            epoch, start = epoch + 1, 0

    def _step(self, groups: Iterator[list[Batch]], stop: StopFlag) -> None:
        """Update the weights once; skip batches without a finite gradient, if configured.

        The next step may have been started when this method returns, but only if nothing else is
        due between the two.
        """
        start = time.monotonic()
        progress = self.progress
        skipped = 0
        while True:
            if not self._started:
                self._start(groups)
            if self._runs_ahead and not stop and not self._is_pause(progress.step + 1):
                self._start(groups)
            started = self._started.popleft()
            figures = started.step.stats()
            if figures.stop:
                self._stop_all(stop)
            if figures.is_finite:
                break
            skipped += 1
            self._not_finite(started.group, figures, skipped)
            self._repeat_later_steps()
        last = started.group[-1]
        progress.step += 1
        progress.epoch, progress.batch = last.epoch, last.number + 1
        progress.scores, progress.signatures = {}, {}
        own = started.group[self.world.rank :: self.world.size]
        self._window.own_tokens += sum(batch.num_tgt_tokens for batch in own)
        self._count(figures, time.monotonic() - start, started.rate)

    def _start(self, groups: Iterator[list[Batch]]) -> None:
        """Start the step after those already started."""
        self.saver.check()
        number = self.progress.step + len(self._started) + 1
        rate = rate_in_stage(number, self.stage)
        group = self._put_back.pop(0) if self._put_back else next(groups)
        own = group[self.world.rank :: self.world.size]
        step = self.learner.start(own, rate, stop=lambda: bool(self._asked))
        self._started.append(_Started(group, rate, step))

    def _repeat_later_steps(self) -> None:
        """Take back the steps started after one that was not finite, which have changed nothing."""
        self._put_back = [started.group for started in self._started] + self._put_back
        self._started.clear()
        self.learner.go_on()

    def _is_pause(self, step: int) -> bool:
        """Return whether the weights after a step may be validated or saved, or are the last."""
        config = self.config.train
        return (
            step in (self.stage.end, self._stop_after)
            or step % config.validate_every == 0
            or step % config.save_every == 0
        )

    def _count(self, figures: StepStats, seconds: float, rate: float) -> None:
        window, progress = self._window, self.progress
        window.loss += figures.loss
        window.nll += figures.nll
        window.divergence += figures.divergence
        window.tokens += figures.tokens
        window.seconds += seconds
        progress.seconds += seconds
        record = {
            "epoch": progress.epoch,
            "loss": window.loss / window.tokens,
            "ppl": perplexity(window.nll / window.tokens),
            **({"kl": window.divergence / window.tokens} if self._has_two_views else {}),
            "lr": rate,
            "grad_norm": figures.grad_norm,
            "tokens_per_s": window.tokens / window.seconds,
            "seconds": progress.seconds,
        }
        self.monitor.advance(progress.step, {name: record[name] for name in _BAR_FIGURES})
        if progress.step % self.config.train.log_every == 0:
            self.monitor.log("train", progress.step, record | self._shares())
            self._window = _Window()
        elif progress.step - self._first_step in _EARLY_STEPS:
            self.monitor.show("train", progress.step, record)

    def _shares(self) -> dict[str, float]:
        """Return the part of the target tokens that each of several processes has had."""
        if self.world.size == 1:
            return {}
        own = self.world.gather(self._window.own_tokens)
        return {f"share_{rank}": tokens / sum(own) for rank, tokens in enumerate(own)}

    def _not_finite(self, group: list[Batch], figures: StepStats, skipped: int) -> None:
        """Report that a batch is skipped, or end training.

        Raises:
            TrainingError: if configured, or if too many in a row were skipped.
        """
        config = self.config.train
        num_pairs = sum(len(batch.rows) for batch in group)
        origins = chain.from_iterable(batch.origins() for batch in group)
        problem = (
            f"step {self.progress.step + 1}: the loss is {figures.loss / figures.tokens:.4g} and "
            f"the norm of the gradient {figures.grad_norm}, not finite; the batch has {num_pairs} "
            f"pairs, the first {', '.join(islice(origins, 3))}. "
        )
        if config.on_nonfinite == "skip" and skipped <= config.max_skipped:
            self.console.print_line(
                f"{problem}It is skipped ({skipped} of at most {config.max_skipped} in a row)"
            )
            return
        self.saver.wait()
        self.world.gather(None)  # torchrun ends all processes once the first has ended
        last = checkpoint.list_checkpoints(self.run)
        # After the warm-up, a resumed run cannot change its length.
        in_warmup = self.progress.step - self.stage.schedule_begin < config.warmup_steps
        raise TrainingError(
            f"{problem}The weights were not changed. Try a lower train.learning_rate, "
            f"{'a longer train.warmup_steps ' if in_warmup else ''}or train.clip_norm=1.0; "
            + (f"the last checkpoint is {last[-1].path}" if last else "there is no checkpoint yet")
        )

    # Validation and checkpoints

    def _validate_and_save(self, stop: StopFlag) -> None:
        config, progress = self.config.train, self.progress
        if progress.step == 0:
            return
        last = progress.step >= self.stage.end
        validate = last or progress.step % config.validate_every == 0
        if self.validator and validate and not progress.scores and not stop:
            self.monitor.doing("validating")
            progress.scores = self.validator(self.learner.whole_network(), self._asked)
            progress.signatures = self.validator.signatures if progress.scores else {}
            self.monitor.doing("")
            if not progress.scores:
                self._stop_all(stop)
            else:
                self.monitor.log("valid", progress.step, progress.scores)
                self._note_best()
        due = last or self._out_of_patience() or progress.step % config.save_every == 0
        due = due or self._is_among_best()
        if due or stop:
            self._save(only_to_resume=not due)

    def _note_best(self) -> None:
        progress = self.progress
        value = progress.scores[self.config.train.metric]
        if math.isfinite(value) and (
            progress.best is None or self._is_better(value, progress.best)
        ):
            progress.best, progress.stale = value, 0
        else:
            progress.stale += 1

    def _is_among_best(self) -> bool:
        """Return whether the weights just validated are among the best `keep_best`."""
        config = self.config.train
        if not self.progress.scores or not config.keep_best:
            return False
        return self.world.decide(self._ranks_among_best)

    def _ranks_among_best(self) -> bool:
        config = self.config.train
        self.saver.wait()
        here = checkpoint.Checkpoint(Path(), self.progress.step, self.progress.scores)
        others = retention.regular(checkpoint.list_checkpoints(self.run))
        others = [one for one in others if one.step != here.step]
        ranked = retention.best_first([*others, here], config.metric)
        return here in ranked[: config.keep_best]

    def _save(self, *, only_to_resume: bool) -> None:
        if self._saved == self.progress and (only_to_resume or not self._saved_only_to_resume):
            return
        self._saved = replace(self.progress)
        self._saved_only_to_resume = only_to_resume
        tensors = self.learner.tensors()
        if not self.world.leads:
            return
        path = layout.checkpoint_path(self.run, self.progress.step)
        state = asdict(self.progress) | {"data": self.train_data.key}
        state["only_to_resume"] = only_to_resume
        config = self.config.train

        def write(tensors: Tensors) -> None:
            checkpoint.save_checkpoint(path, tensors, state)
            retention.prune(self.run, config.keep_last, config.keep_best, config.metric)

        self.saver.start(write, tensors)

    def _average(self, stop: StopFlag) -> None:
        """Average the configured checkpoints; keep the average unless the best one is better."""
        config = self.config.train
        if config.average == "none":
            return
        steps = self.world.decide(self._steps_to_average)
        if len(steps) < 2:
            return
        weights = average.average_weights([layout.checkpoint_path(self.run, s) for s in steps])
        scores: dict[str, float] = {}
        if self.validator:
            self.monitor.doing("validating the average")
            network = network_with_weights(
                weights, "the average", self.config.model, *self.tokenizers.sizes
            ).to(self.device)
            scores = self.validator(network, self._asked)
            if not scores:
                self._stop_all(stop)
            self._end_if(stop)
            self.monitor.log("average", self.progress.step, scores)
        if not self.world.leads:
            return
        listing = ", ".join(map(str, steps))
        if scores and not self._is_as_good_as_kept(scores[config.metric]):
            self.monitor.print_line(
                f"the average of steps {listing} is worse than the best checkpoint"
            )
            average.delete_average(self.run)  # an older average would be preferred
            return
        signatures = self.validator.signatures if self.validator else {}
        average.save_average(self.run, weights, steps, scores, signatures)
        self.monitor.print_line(f"averaged the checkpoints of steps {listing}")

    def _steps_to_average(self) -> list[int]:
        config = self.config.train
        chosen = retention.choose_to_average(
            self.run,
            config.average,
            config.average_count,
            config.metric,
            after=self.stage.begin,
        )
        return [one.step for one in chosen]

    def _is_better(self, value: float, than: float) -> bool:
        return value < than if is_loss(self.config.train.metric) else value > than

    def _is_as_good_as_kept(self, value: float) -> bool:
        """Return whether a score is at least that of the best checkpoint there is."""
        metric = self.config.train.metric
        kept = retention.regular(checkpoint.list_checkpoints(self.run))
        ranked = retention.best_first(kept, metric)
        if not ranked:
            return True
        return math.isfinite(value) and not self._is_better(ranked[0].scores[metric], value)

    def _resume(self) -> None:
        newest = checkpoint.newest_intact(self.run, self.console.print_line)
        if newest is None:
            if source := self.config.train.init_from:
                weights = initial_weights(self.config, self.learner.network, self.tokenizers)
                self.learner.load(weights, source)
            return
        state = checkpoint.read_state(newest.path)
        begins = 0 < newest.step == self.stage.begin
        has_new_data = begins and self.stage.changes_data
        if not has_new_data and state.get("data") != self.train_data.key:
            alignment = "or word alignment " if self.config.train.guided_alignment else ""
            raise ConfigError(
                f"data.train: its text {alignment}has changed since {newest.path} was trained on "
                "it, or an earlier version of nmt prepared it; restore it, or use another `run_dir`"
            )
        files = self.learner.files
        tensors = {name: checkpoint.load_tensors(newest.path, name) for name in files}
        try:
            self.progress = Progress(**{name: state[name] for name in asdict(self.progress)})
            self.learner.restore(tensors, str(newest.path), complete=not begins)
        except KeyError as error:
            raise FileError(
                f"{newest.path}: cannot be resumed: {error.args[0]} is missing; it was written "
                "by another version of nmt"
            ) from error
        if has_new_data:  # a new number, since random numbers depend on it
            self.progress.epoch, self.progress.batch = self.progress.epoch + 1, 0
        self._saved = replace(self.progress)
        self._saved_only_to_resume = newest.only_to_resume
        # `train` has already announced the newest one.
        if newest != checkpoint.list_checkpoints(self.run)[-1]:
            self.console.print_line(f"{self.run}: resuming from step {self.progress.step} instead")
