"""The training loop (paper, section 5).

All that a run depends on is in its state: weights, optimizer, random state and the cursor into
the data, whose order is a function of seed and epoch. So a run that was stopped and started
again goes on as if it had not been stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from nmt import checkpoint, trained_model
from nmt.config import Config
from nmt.data.batching import Batch, BatchOrder, batches
from nmt.data.prepare import Prepared
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError, Interrupted, TrainingError
from nmt.train.loss import batch_loss
from nmt.train.monitor import Monitor
from nmt.train.precision import autocast
from nmt.train.schedule import learning_rate
from nmt.train.signals import StopFlag
from nmt.train.validate import Validator


@dataclass
class Progress:
    """Where a training stands; saved as the state of its checkpoints.

    Attributes:
        step: optimizer steps taken.
        epoch: the epoch under way, from 0.
        batch: batches of the epoch that have been trained on.
        seconds: time spent in training steps.
        scores: validation scores of the present weights; empty if they were not validated.
        signatures: sacreBLEU's, of those scores that are its.
        best: the best value of `train.metric` so far.
        stale: validations since then.
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
    tokens: int = 0
    seconds: float = 0.0


class Trainer:
    """Trains the network of a run directory, from its newest checkpoint if there is one.

    Args:
        config: what to do.
        run: the run directory.
        tokenizers: of the run.
        train_data: prepared training pairs.
        valid_data: prepared validation pairs, or None.
        console: standard error.
    """

    def __init__(
        self,
        config: Config,
        run: Path,
        tokenizers: Tokenizers,
        train_data: Prepared,
        valid_data: Prepared | None,
        console: Console,
    ) -> None:
        self.config, self.run = config, run
        self.tokenizers, self.train_data = tokenizers, train_data
        self.device = trained_model.choose_device(config.train.device)
        torch.manual_seed(config.train.seed)
        self.network = trained_model.make_network(config, tokenizers).to(self.device)
        self.optimizer = _make_optimizer(self.network, config)
        self.validator = (
            Validator(config, tokenizers, valid_data, self.device) if valid_data else None
        )
        self.progress = Progress()
        self._saved = Progress()
        self.console = console
        self._resume()

    def train(self, stop: StopFlag) -> None:
        """Train until `max_steps`, the end of patience, or a signal; then average.

        Raises:
            Interrupted: a signal came; the state has been saved.
            TrainingError: the loss or the gradient is not finite.
            FileError: a checkpoint cannot be written.
        """
        with Monitor(
            self.run, self.console, self.progress.step, self.config.train.max_steps
        ) as monitor:
            self.monitor = monitor
            groups = self._batch_groups()
            self._window = _Window()
            while True:
                self._validate_and_save(stop)
                self._end_if(stop)
                if self._finished():
                    break
                self._step(next(groups))
            self._average(stop)

    def _end_if(self, stop: StopFlag) -> None:
        if stop.signum is not None:
            step = self.progress.step
            raise Interrupted(
                f"stopped at step {step}, saved in {self.run}; the same command goes on from there"
                if step
                else "stopped before the first step; the same command starts anew",
                stop.signum,
            )

    def _finished(self) -> bool:
        if self._out_of_patience():
            self.monitor.say(
                f"no better {self.config.train.metric} in {self.progress.stale} validations: "
                "training ends"
            )
            return True
        return self.progress.step >= self.config.train.max_steps

    def _out_of_patience(self) -> bool:
        patience = self.config.train.patience
        return patience is not None and self.progress.stale >= patience

    # Steps

    def _batch_groups(self) -> Iterator[list[tuple[int, int, Batch]]]:
        """Yield the batches of each step, with their epoch and number, from the cursor on."""
        epoch, start = self.progress.epoch, self.progress.batch
        order = BatchOrder.of(
            self.train_data, self.config.train.batch_tokens, self.config.train.seed
        )
        group: list[tuple[int, int, Batch]] = []
        while True:
            stream = batches(self.train_data, self.tokenizers, order, self.config, epoch, start)
            for number, batch in enumerate(stream, start):
                group.append((epoch, number, batch))
                if len(group) == self.config.train.accumulate:
                    yield group
                    group = []
            epoch, start = epoch + 1, 0

    def _step(self, group: list[tuple[int, int, Batch]]) -> None:
        start = time.monotonic()
        config, progress = self.config.train, self.progress
        # Counted over all batches first: the objective is that of one large batch.
        tokens = sum(batch.num_tgt_tokens for _, _, batch in group)
        self.network.train()
        loss_sum, nll_sum = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        for _, _, batch in group:
            with autocast(config, self.device):
                loss, nll = batch_loss(
                    self.network,
                    batch.to(self.device),
                    self.tokenizers.tgt.pad_id,
                    config.label_smoothing,
                )
            (loss / tokens).backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.detach()
            nll_sum += nll
        limit = config.clip_norm or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit))
        if not math.isfinite(norm):
            raise TrainingError(self._not_finite(group, float(loss_sum) / tokens, norm))
        rate = learning_rate(progress.step + 1, config, self.config.model.d_model)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        progress.epoch, progress.batch = group[-1][0], group[-1][1] + 1
        progress.scores, progress.signatures = {}, {}
        self._count(float(loss_sum), float(nll_sum), tokens, time.monotonic() - start, rate, norm)

    def _count(
        self, loss: float, nll: float, tokens: int, seconds: float, rate: float, norm: float
    ) -> None:
        window, progress = self._window, self.progress
        window.loss += loss
        window.nll += nll
        window.tokens += tokens
        window.seconds += seconds
        progress.seconds += seconds
        self.monitor.advance(progress.step)
        if progress.step % self.config.train.log_every:
            return
        figures = {
            "epoch": progress.epoch,
            "loss": window.loss / window.tokens,
            "ppl": _exp(window.nll / window.tokens),
            "lr": rate,
            "grad_norm": norm,
            "tokens_per_s": window.tokens / window.seconds,
            "seconds": progress.seconds,
        }
        self.monitor.log("train", progress.step, figures)
        self._window = _Window()

    def _not_finite(self, group: list[tuple[int, int, Batch]], loss: float, norm: float) -> str:
        rows = [row for _, _, batch in group for row in batch.rows]
        origins = ", ".join(self.train_data.origin(int(row)) for row in rows[:3])
        last = checkpoint.checkpoints(self.run)
        return (
            f"step {self.progress.step + 1}: the loss is {loss:.4g} and the norm of the gradient "
            f"{norm}, not finite; the batch has {len(rows)} pairs, the first {origins}. "
            "The weights were not changed. Try a lower train.learning_rate, a longer "
            "train.warmup_steps or train.clip_norm=1.0; "
            + (f"the last checkpoint is {last[-1].path}" if last else "there is no checkpoint yet")
        )

    # Validation and checkpoints

    def _validate_and_save(self, stop: StopFlag) -> None:
        config, progress = self.config.train, self.progress
        if progress.step == 0:
            return
        last = progress.step >= config.max_steps
        validate = last or progress.step % config.validate_every == 0
        if self.validator and validate and not progress.scores and not stop:
            self.monitor.doing("validating")
            progress.scores = self.validator(self.network, stop)
            progress.signatures = self.validator.signatures if progress.scores else {}
            self.monitor.doing("")
            if progress.scores:
                self.monitor.log("valid", progress.step, progress.scores)
                self._note_best()
        last = last or self._out_of_patience()
        if last or stop or progress.step % config.save_every == 0 or self._is_among_best():
            self._save()

    def _note_best(self) -> None:
        progress = self.progress
        value = progress.scores[self.config.train.metric]
        if math.isfinite(value) and (progress.best is None or self._better(value, progress.best)):
            progress.best, progress.stale = value, 0
        else:
            progress.stale += 1

    def _is_among_best(self) -> bool:
        """Tell whether the weights just validated belong to the `keep_best` best."""
        config = self.config.train
        if not self.progress.scores or not config.keep_best:
            return False
        here = checkpoint.Checkpoint(Path(), self.progress.step, self.progress.scores)
        ranked = checkpoint.best_first([*checkpoint.checkpoints(self.run), here], config.metric)
        return here in ranked[: config.keep_best]

    def _save(self) -> None:
        if self._saved == self.progress:
            return
        path = checkpoint.checkpoint_path(self.run, self.progress.step)
        state = asdict(self.progress) | {"data": self.train_data.key}
        self.monitor.doing("saving")
        tensors = {
            "weights": _weights(self.network),
            "optimizer": _optimizer_tensors(self.network, self.optimizer),
            "random": _random_state(self.device),
        }
        checkpoint.save_checkpoint(path, tensors, state)
        self._saved = replace(self.progress)
        checkpoint.prune(
            self.run,
            self.config.train.keep_last,
            self.config.train.keep_best,
            self.config.train.metric,
        )
        self.monitor.doing("")

    def _average(self, stop: StopFlag) -> None:
        """Average the checkpoints that the configuration names; keep it if it is no worse."""
        config = self.config.train
        if config.average == "none":
            return
        chosen = checkpoint.choose_to_average(
            self.run, config.average, config.average_count, config.metric
        )
        if len(chosen) < 2:
            return
        weights = checkpoint.average_weights([one.path for one in chosen])
        scores: dict[str, float] = {}
        if self.validator:
            self.monitor.doing("validating the average")
            network = trained_model.make_network(self.config, self.tokenizers).to(self.device)
            trained_model.assign_weights(network, weights, "the average")
            scores = self.validator(network, stop)
            self._end_if(stop)
            self.monitor.log("mean", self.progress.step, scores)
        steps = [one.step for one in chosen]
        listing = ", ".join(map(str, steps))
        best = self.progress.best
        if scores and best is not None and self._better(best, scores[config.metric]):
            self.monitor.say(f"the average of steps {listing} is worse than the best checkpoint")
            checkpoint.drop_average(self.run)  # one of earlier steps would be preferred
            return
        signatures = self.validator.signatures if self.validator else {}
        checkpoint.save_average(self.run, weights, steps, scores, signatures)
        self.monitor.say(f"averaged the checkpoints of steps {listing}")

    def _better(self, value: float, than: float) -> bool:
        return value < than if self.config.train.metric == "loss" else value > than

    def _resume(self) -> None:
        found = checkpoint.newest_whole(
            self.run, lambda text: self.console.print(text, markup=False, soft_wrap=True)
        )
        if found is None:
            return
        state = checkpoint.read_state(found.path)
        if state.get("data") != self.train_data.key:
            raise ConfigError(
                f"data.train: the text in it is not what {found.path} was trained on; "
                "bring that back, or choose another --run-dir"
            )
        self.progress = Progress(**{name: state[name] for name in asdict(self.progress)})
        self._saved = replace(self.progress)
        trained_model.load_weights(self.network, found.path)
        tensors = checkpoint.load_tensors(found.path, "optimizer")
        for name, parameter in self.network.named_parameters():
            self.optimizer.state[parameter] = {
                key: tensors[f"{key}.{name}"].to("cpu" if key == "step" else self.device)
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
        _restore_random_state(checkpoint.load_tensors(found.path, "random"), self.device)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def _make_optimizer(network: torch.nn.Module, config: Config) -> torch.optim.Optimizer:
    train = config.train
    matrices = [p for p in network.parameters() if p.dim() > 1]
    vectors = [p for p in network.parameters() if p.dim() <= 1]
    kind = torch.optim.AdamW if train.optimizer == "adamw" else torch.optim.Adam
    decay = train.weight_decay if train.optimizer == "adamw" else 0.0
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return kind(groups, lr=1.0, betas=train.betas, eps=train.eps, fused=True)


def _weights(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def _optimizer_tensors(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    return {
        f"{key}.{name}": value
        for name, parameter in network.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }


def _random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _restore_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
