"""From a configuration to a trained run directory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from nmt.config.corpora import AnyCorpus
from nmt.config.load import dump_config
from nmt.config.schema import Config
from nmt.console import Console
from nmt.data.lengths import LengthModel
from nmt.data.prepare import Prepared, prepare
from nmt.data.tokenizer import Tokenizers, train_tokenizers
from nmt.device import choose_device, memory_bytes
from nmt.errors import ConfigError, FileError
from nmt.files import write_text
from nmt.model.size import num_parameters
from nmt.runs import checkpoint, layout, manifest, retention
from nmt.runs import model as trained_model
from nmt.signals import StopFlag
from nmt.training.continuing import check_settings, check_validation_data
from nmt.training.monitor import preparing
from nmt.training.trainer import Trainer

BYTES_PER_PARAMETER = 16
"""In training: the weight, its gradient and the two averages of Adam, all in fp32."""

Inspect = Callable[[Config, Tokenizers, Mapping[str, Prepared]], Iterable[str]]


def train(
    config: Config,
    run: Path,
    console: Console,
    *,
    stop_after: int | None = None,
    inspect: Inspect | None = None,
) -> None:
    """Prepare the data, then train in a run directory, going on with what is there.

    Args:
        config: what to do.
        run: the run directory, made if it is not there.
        console: standard error, for what there is to say.
        stop_after: a step after which to end as if SIGTERM had come.
        inspect: looks at the configuration and the prepared parts of the data before a run's first
            step, and returns lines to print.

    Raises:
        ConfigError: the directory holds a run that is not of this configuration.
        DataError: the corpora cannot be used.
        FileError: something cannot be read or written.
        TrainingError: the loss or the gradient is not finite.
        Interrupted: a signal came; the state has been saved.
    """
    set_up_device(config)  # refused now, not after hours of preparing
    with StopFlag() as stop, layout.removed_on_early_error(run), layout.locked(run):
        layout.refuse_links(run)
        layout.clean_up(run)
        begun = bool(checkpoint.list_checkpoints(run)) or (run / "averaged").is_dir()
        changes = check_settings(config, run) if begun else []
        if (step := layout.finished_step(run)) >= config.train.max_steps:
            console.say(
                f"{run} is trained: step {step} of train.max_steps {config.train.max_steps}. "
                "Raise it to go on",
            )
            return
        for line in (f"{run}: {_beginning(run)} of {config.train.max_steps:,}", *changes):
            console.say(line)
        if not begun:  # what a start that failed left may be of another configuration
            layout.remove_failed_start(run)
        tokenizers = _tokenizers(config, run, console, stop)
        train_data = _prepared(config, tokenizers, config.data.train, True, console, stop)
        console.print(train_data.report.table())
        valid_data = (
            _prepared(config, tokenizers, config.data.valid, False, console, stop)
            if config.data.valid
            else None
        )
        if begun:
            check_validation_data(run, valid_data)
        elif inspect:
            parts = {"train": train_data} | ({"valid": valid_data} if valid_data else {})
            for line in inspect(config, tokenizers, parts):
                console.say(line)
        trainer = Trainer(config, run, tokenizers, train_data, valid_data, console)
        # Not before the trainer has found that the run's checkpoints go with it.
        write_text(run / "config.yaml", dump_config(config))
        write_text(run / "data.json", _describe_data(train_data, valid_data))
        trainer.train(stop, stop_after)
        write_text(run / "finished", f"{trainer.progress.step}\n")
        minutes, seconds = divmod(round(trainer.progress.seconds), 60)
        console.say(
            f"{run}: {trainer.progress.step} steps in {minutes}:{seconds:02d}; it translates with "
            f"{retention.choose_weights(run, config.train.metric)}",
        )


def set_up_device(config: Config) -> torch.device:
    """Choose where training computes, and settle how.

    Raises:
        ConfigError: there is no such device, or the model does not fit into its memory.
    """
    # oneDNN keeps 1,024 kernels, each made for one shape, and batches have ever new shapes: memory
    # would grow by gigabytes and nothing be used again. Read when the first kernel is made.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    device = choose_device(config.train.device)
    _refuse_what_cannot_fit(config, device)
    return device


def _refuse_what_cannot_fit(config: Config, device: torch.device) -> None:
    """Refuse a model that is sure to be too large, while its vocabulary is not known yet."""
    number = num_parameters(config.model, 0, 0)
    needed, there = number * BYTES_PER_PARAMETER, memory_bytes(device)
    if needed > there:
        raise ConfigError(
            f"model: it has {number:,} parameters besides its embeddings, which take "
            f"{needed / 1e9:,.0f} GB in training, but {device} has {there / 1e9:,.0f} GB of "
            "memory: take fewer layers or lower widths"
        )


def _beginning(run: Path) -> str:
    """Say with which step training begins, or where it resumes."""
    found = checkpoint.list_checkpoints(run)
    return f"resuming from step {found[-1].step:,}" if found else "starting with step 1"


def _tokenizers(config: Config, run: Path, console: Console, stop: StopFlag) -> Tokenizers:
    """Load the run's tokenizers, or make them."""
    directory = run / "tokenizer"
    if not directory.is_dir():
        with preparing(console, stop) as progress:
            tokenizers = train_tokenizers(config, progress, console.say)
        try:
            manifest.save_directory(directory, tokenizers.save)
        except OSError as error:
            raise FileError(f"{directory}: cannot be written: {error.strerror}") from error
    return trained_model.load_tokenizers(run)


def _prepared(
    config: Config,
    tokenizers: Tokenizers,
    corpora: list[AnyCorpus],
    filtered: bool,
    console: Console,
    stop: StopFlag,
) -> Prepared:
    with preparing(console, stop) as progress:
        return prepare(
            config,
            tokenizers,
            corpora,
            filtered=filtered,
            progress=progress,
            warn=console.say,
        )


def _describe_data(train: Prepared, valid: Prepared | None) -> str:
    """Write as JSON what the corpora were and what became of them."""
    reports = {"train": train.report.corpora, "valid": valid.report.corpora if valid else []}
    described = {
        part: [
            {
                "name": corpus.name,
                "sha256": corpus.fingerprint,
                "pairs_read": corpus.read,
                "pairs_kept": corpus.kept,
                "src_tokens": corpus.src_tokens,
                "tgt_tokens": corpus.tgt_tokens,
                "dropped": {reason: tally.count for reason, tally in corpus.dropped.items()},
            }
            for corpus in corpora
        ]
        for part, corpora in reports.items()
    }
    lengths = asdict(LengthModel.of(train.src_lengths, train.tgt_lengths))
    return json.dumps({**described, "lengths": lengths}, indent=1, ensure_ascii=False) + "\n"
