"""Train a run directory from a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from nmt.config.load import check_trainable, dump_config
from nmt.config.schema import Config
from nmt.config.stages import data_of, stages_of
from nmt.console import Console
from nmt.data.batching import Epochs
from nmt.data.prepared import Prepared
from nmt.data.streaming import StreamedEpochs
from nmt.data.tokenizer import Tokenizers
from nmt.device import widest_float
from nmt.distributed import World
from nmt.errors import ConfigError, DataError, FileError
from nmt.files import as_file_error, write_text
from nmt.runs import checkpoint, layout, manifest, retention
from nmt.runs.parts import load_tokenizers
from nmt.signals import StopFlag
from nmt.training.continuing import check_settings, check_trained_text, check_validation_data
from nmt.training.data import (
    describe_data,
    open_training_data,
    prepare_validation,
    valid_part,
)
from nmt.training.device import set_up_device
from nmt.training.freezing import check_freeze
from nmt.training.initial import check_initial_model, initial_tokenizers, pinned_source
from nmt.training.monitor import preparing
from nmt.training.sharding import whole
from nmt.training.trainer import Trainer
from nmt.training.word_alignment import check_alignments

Inspect = Callable[[Config, Tokenizers, Mapping[str, Prepared]], Iterable[str]]


@dataclass(frozen=True)
class _Opened:
    """What training starts or continues with."""

    tokenizers: Tokenizers
    train: Epochs | StreamedEpochs  # of all stages
    of_stages: list[Epochs | StreamedEpochs]
    valid: dict[str, Prepared]  # by the name of the set


def train(
    config: Config,
    run: Path,
    console: Console,
    *,
    stop_after: int | None = None,
    inspect: Inspect | None = None,
    world: World | None = None,
) -> None:
    """Prepare the data, then train in a run directory; resume if it has checkpoints.

    Args:
        config: configuration of the run.
        run: run directory, created if missing; on a file system that all processes see.
        console: standard error, for messages.
        stop_after: step after which to stop as if by SIGTERM.
        inspect: receives the configuration and the prepared data before the first step of a new
            run, and returns lines to print.
        world: the processes that train together; by default, this one. Process 0 prepares the
            data, holds the lock and writes everything.

    Raises:
        ConfigError: if the directory holds a run with another configuration.
        DataError: if the corpora cannot be used.
        FileError: if a file cannot be read or written.
        TrainingError: if the loss or the gradient is not finite.
        PeerError: if another process has failed.
        Interrupted: if a signal arrives; the state has been saved.
    """
    world = world or World()
    source = world.decide(lambda: pinned_source(config, run, console.print_line))
    config = starting_from(config, source)
    check_trainable(config, "the configuration")
    _check_accumulation(config, world)
    fail_early(config)
    if not is_begun(run):
        check_initial_model(config)
    with StopFlag() as stop, _owned(run) if world.leads else nullcontext():
        world.once(lambda: _begin(config, run, console, stop))
        if world.decide(lambda: layout.finished_step(run) >= config.train.max_steps):
            return
        opened = _load(config, run, console, stop)
        if world.leads:
            _check_data(config, run, opened, console, inspect)
        _check_same_data(opened, world)
        trainer = _train_stages(config, run, opened, console, world, stop, stop_after)
        if world.leads:
            _finish(run, config, trainer, console)


def _train_stages(
    config: Config,
    run: Path,
    opened: _Opened,
    console: Console,
    world: World,
    stop: StopFlag,
    stop_after: int | None,
) -> Trainer:
    """Train in each stage that is not yet finished; return the trainer of the last one.

    A stage begins as if the run had been resumed at its first step with other settings.
    """
    stages = stages_of(config)
    newest = world.decide(lambda: _step_reached(run)) if len(stages) > 1 else 0
    for stage, data in zip(stages, opened.of_stages, strict=True):
        # A run stopped just at the end of a stage is first validated there. The last stage ends
        # before the newest checkpoint if `max_steps` has been lowered since.
        if newest > stage.end and not stage.is_last:
            continue
        if stage.count > 1 and world.leads:
            console.print_line(stage.describe())
        trainer = Trainer(stage, run, opened.tokenizers, data, opened.valid, console, world)
        _check_same_start(trainer, world)
        if world.leads:
            # Only now: the trainer has checked that the checkpoints match.
            write_text(run / "config.yaml", dump_config(config))
            write_text(run / "data.json", describe_data(opened.train.sample, opened.valid))
        trainer.train(stop, stop_after)
        world.gather(None)  # the others read the checkpoint that process 0 has written
    return trainer


def _step_reached(run: Path) -> int:
    """Return the step from which a run resumes."""
    newest = checkpoint.newest_intact(run, lambda message: None)  # the trainer reports damaged ones
    return newest.step if newest else 0


def starting_from(config: Config, source: str | None) -> Config:
    """Return a configuration with another `train.init_from`."""
    settings = config.train.model_copy(update={"init_from": source})
    return config.model_copy(update={"train": settings})


@contextmanager
def _owned(run: Path) -> Iterator[None]:
    with layout.removed_on_early_error(run), layout.locked(run):
        yield


def _begin(config: Config, run: Path, console: Console, stop: StopFlag) -> None:
    """Check and clean up a run, and make its tokenizers, unless it is already trained."""
    layout.refuse_links(run)
    layout.clean_up(run)
    is_new = not is_begun(run)
    changes = [] if is_new else check_settings(config, run)
    if (step := layout.finished_step(run)) >= config.train.max_steps:
        check_trained_text(config, run)
        reached = f"step {step} of train.max_steps {config.train.max_steps}"
        console.print_line(f"{run} is already trained: {reached}; raise it to continue")
        return
    for line in (f"{run}: {_starting_point(run, config.train.max_steps)}", *changes):
        console.print_line(line)
    if is_new:  # a failed start may have left files of another configuration
        layout.remove_failed_start(run)
    _make_tokenizers(config, run, console, stop)


def _load(config: Config, run: Path, console: Console, stop: StopFlag) -> _Opened:
    """Return tokenizers and data; processes that train together share the preparation."""
    tokenizers = load_tokenizers(run)
    train = open_training_data(config, tokenizers, console, stop)
    console.print(train.sample.report.table())
    valid = prepare_validation(config, tokenizers, console, stop)
    # All stages now: a file that is missing in the last one would be noticed after days.
    of_stages = [
        train
        if data_of(stage.config) == data_of(config)
        else open_training_data(stage.config, tokenizers, console, stop)
        for stage in stages_of(config)
    ]
    return _Opened(tokenizers, train, of_stages, valid)


def _check_data(
    config: Config, run: Path, opened: _Opened, console: Console, inspect: Inspect | None
) -> None:
    """Check that a run continues with the same validation data, and inspect those of a new one."""
    if is_begun(run):
        check_validation_data(run, opened.valid)
    elif inspect:
        parts = {"train": opened.train.sample}
        parts |= {valid_part(name): data for name, data in opened.valid.items()}
        for line in inspect(config, opened.tokenizers, parts):
            console.print_line(line)


def fail_early(config: Config) -> torch.device:
    """Set up the device, and check what needs no data before hours of preparation.

    Returns:
        The device.

    Raises:
        ConfigError, FileError: as in `set_up_device`, `check_freeze` and `check_alignments`.
    """
    device = set_up_device(config)
    check_freeze(config)
    check_alignments(config)
    return device


def _check_accumulation(config: Config, world: World) -> None:
    """Raise a ConfigError if the processes cannot share the batches of a step evenly."""
    count = config.train.accumulate
    if count % world.size:
        raise ConfigError(
            f"train.accumulate {count}: it counts the batches of a step over all processes, so it "
            f"must be a multiple of their number, {world.size}; train.accumulate="
            f"{-(-count // world.size) * world.size} is the next one, or use {count} processes"
        )


def is_begun(run: Path) -> bool:
    """Return whether a run directory has been trained in, if only for some steps."""
    return bool(checkpoint.list_checkpoints(run)) or (run / "averaged").is_dir()


def _finish(run: Path, config: Config, trainer: Trainer, console: Console) -> None:
    """Mark a run as finished, and print which weights it translates with."""
    write_text(run / "finished", f"{trainer.progress.step}\n")
    minutes, seconds = divmod(round(trainer.progress.seconds), 60)
    use = "translation uses" if config.train.objective == "translate" else "fine-tuning starts from"
    console.print_line(
        f"{run}: {trainer.progress.step} steps in {minutes}:{seconds:02d}; {use} "
        f"{retention.choose_weights(run, config.train.metric)}",
    )


def _starting_point(run: Path, max_steps: int) -> str:
    """Return the step at which training starts or resumes, in words."""
    if checkpoints := checkpoint.list_checkpoints(run):
        return f"resuming from step {checkpoints[-1].step:,} of {max_steps:,}"
    return f"a new run of {max_steps:,} steps"


def _make_tokenizers(config: Config, run: Path, console: Console, stop: StopFlag) -> None:
    """Make and save the tokenizers of a run, if it has none."""
    directory = run / "tokenizer"
    if not directory.is_dir():
        with preparing(console, stop) as progress:
            tokenizers = initial_tokenizers(config, progress, console.print_line)
        with as_file_error(directory):
            manifest.save_directory(directory, tokenizers.save)


def _check_same_data(opened: _Opened, world: World) -> None:
    """Raise a DataError if processes of different machines have read different text."""
    keys = [data.key for data in (*opened.of_stages, *opened.valid.values())]
    different = [rank for rank, other in enumerate(world.gather(keys)) if other != keys]
    if different:
        failure = DataError(
            f"data: processes {', '.join(map(str, different))} read different text from process "
            f"{world.rank}: all machines need the same files"
        )
        failure.shared = True
        raise failure


def _check_same_start(trainer: Trainer, world: World) -> None:
    """Raise a FileError if processes have loaded different checkpoints."""
    weights = trainer.learner.network.parameters()
    start = [
        trainer.progress.step,
        sum(
            float(whole(weight.detach().sum(dtype=widest_float(weight.device))))
            for weight in weights
        ),
    ]
    starts = world.gather(start)
    if any(other != starts[0] for other in starts):
        failure = FileError(
            f"{trainer.run}: the processes have loaded different checkpoints, of steps "
            f"{', '.join(str(step) for step, _ in starts)}: all machines need to see this directory"
        )
        failure.shared = True
        raise failure
