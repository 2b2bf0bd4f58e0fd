"""Train a run directory from a configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from nmt.config.corpora import AnyCorpus
from nmt.config.load import check_trainable, dump_config
from nmt.config.schema import Config
from nmt.config.stages import data_of, stages_of
from nmt.console import Console
from nmt.data.balance import describe
from nmt.data.batching import Epochs
from nmt.data.corpus import stamps
from nmt.data.lengths import LengthModel
from nmt.data.links import Linker
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
from nmt.data.streaming import StreamedEpochs
from nmt.data.tokenizer import Tokenizers
from nmt.device import choose_device, memory_bytes, widest_float
from nmt.distributed import World, local_device
from nmt.errors import ConfigError, DataError, FileError
from nmt.files import as_file_error, write_text
from nmt.limits import useful_threads
from nmt.model.kernels.cuda import tune_for_training
from nmt.model.size import num_parameters
from nmt.runs import checkpoint, layout, manifest, retention
from nmt.runs.parts import load_tokenizers
from nmt.signals import StopFlag
from nmt.training.continuing import check_settings, check_trained_text, check_validation_data
from nmt.training.freezing import check_freeze
from nmt.training.initial import check_initial_model, initial_tokenizers, pinned_source
from nmt.training.monitor import preparing
from nmt.training.sharding import whole
from nmt.training.trainer import Trainer
from nmt.training.word_alignment import align_words, check_alignments

_BYTES_PER_PARAMETER, _BYTES_PER_WEIGHT = 16, 4

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
            write_text(run / "data.json", _describe_data(opened.train.sample, opened.valid))
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
    for stage in stages_of(config):
        check_freeze(stage.config)
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


def set_up_device(config: Config) -> torch.device:
    """Choose the device for training, and set up PyTorch for it.

    Raises:
        ConfigError: if the device is not available, or its memory is too small for the model.
    """
    # oneDNN caches 1,024 kernels by default, each for one shape. Batches keep having new shapes, so
    # the cache would take gigabytes without hits. It reads this when it makes the first kernel.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    # cuBLAS needs this for results that are the same in every run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if config.train.threads:
        torch.set_num_threads(useful_threads(config.train.threads))
    device = choose_device(local_device(config.train.device))
    if device.type == "cuda":
        tune_for_training(tf32=config.train.tf32)
    _check_memory(config, device)
    return device


def bytes_per_parameter(config: Config) -> int:
    """Return the least memory that training takes for each parameter.

    It has the weight, its gradient and the two moments of Adam, all in fp32; of parameters that are
    not trained, and there may be few others, only the weight. A moving average is one more weight.
    """
    always = all(stage.config.train.freeze for stage in stages_of(config))
    partly = always or config.train.lora
    average = _BYTES_PER_WEIGHT if config.train.ema else 0
    return average + (_BYTES_PER_WEIGHT if partly else _BYTES_PER_PARAMETER)


def _check_memory(config: Config, device: torch.device) -> None:
    """Raise a ConfigError if the model is too large even without its vocabulary."""
    number = num_parameters(config.model, 0, 0)
    needed, available = number * bytes_per_parameter(config), memory_bytes(device)
    if needed > available:
        raise ConfigError(
            f"model: its {number:,} parameters without embeddings take "
            f"{needed / 1e9:,.0f} GB in training, but {device} has {available / 1e9:,.0f} GB of "
            "memory; use fewer layers or smaller sizes"
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


def open_training_data(
    config: Config, tokenizers: Tokenizers, console: Console, stop: StopFlag
) -> Epochs | StreamedEpochs:
    """Prepare the training data, or begin to stream them if configured.

    Raises:
        ConfigError: if there are none.
        DataError, FileError, Interrupted: as in `prepare_corpora`.
    """
    check_trainable(config, "the configuration")
    if config.data.streaming:
        console.print_line("streaming; the first pairs of the training data:")
        return StreamedEpochs(tokenizers, config)
    prepared = prepare_corpora(config, tokenizers, config.data.train, True, console, stop)
    for line in describe(prepared, config.data):
        console.print_line(line)
    if config.train.guided_alignment is None:
        return Epochs(prepared, tokenizers, config)
    with preparing(console, stop) as progress:
        links = align_words(config, tokenizers, prepared, console, progress)
    return Epochs(prepared, tokenizers, config, Linker(links, tokenizers))


def prepare_corpora(
    config: Config,
    tokenizers: Tokenizers,
    corpora: list[AnyCorpus],
    filtered: bool,
    console: Console,
    stop: StopFlag,
) -> Prepared:
    """Prepare corpora and show the progress; see `nmt.data.prepare.prepare`.

    Raises:
        DataError, FileError: as in `prepare`.
        Interrupted: if a signal arrives.
    """
    with preparing(console, stop) as progress:
        return prepare(
            config,
            tokenizers,
            corpora,
            filtered=filtered,
            progress=progress,
            warn=console.print_line,
        )


def prepare_validation(
    config: Config, tokenizers: Tokenizers, console: Console, stop: StopFlag
) -> dict[str, Prepared]:
    """Prepare each set of `data.valid`; return them by name.

    Raises:
        DataError, FileError, Interrupted: as in `prepare_corpora`.
    """
    return {
        name: prepare_corpora(config, tokenizers, corpora, False, console, stop)
        for name, corpora in config.data.valid_sets.items()
    }


def valid_part(name: str) -> str:
    """Return the name of a set of `data.valid` among the parts of the data."""
    return f"valid.{name}" if name else "valid"


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


def _describe_data(train: Prepared, valid: Mapping[str, Prepared]) -> str:
    """Return the content of data.json: the corpora and their statistics after filtering."""
    reports = {
        part: [
            (name, text, report)
            for name, data in sets.items()
            for text, report in zip(data.corpora, data.report.corpora, strict=True)
        ]
        for part, sets in (("train", {"": train}), ("valid", valid))
    }
    described = {
        part: [
            {
                **({"set": name} if name else {}),
                "name": report.name,
                "sha256": report.fingerprint,
                "files": stamps(text),
                "pairs_read": report.read,
                "pairs_kept": report.kept,
                "src_tokens": report.src_tokens,
                "tgt_tokens": report.tgt_tokens,
                "dropped": {reason: tally.count for reason, tally in report.dropped.items()},
            }
            for name, text, report in corpora
        ]
        for part, corpora in reports.items()
    }
    lengths = asdict(LengthModel.of(train.src_lengths, train.tgt_lengths))
    return json.dumps({**described, "lengths": lengths}, indent=1, ensure_ascii=False) + "\n"
