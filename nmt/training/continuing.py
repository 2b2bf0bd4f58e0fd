"""Check whether a run may resume with changed settings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from nmt.config.changes import changes, is_among
from nmt.config.schema import Config
from nmt.config.stages import stages_of
from nmt.config.validation import is_loss
from nmt.data.corpus import corpus_name, fingerprint, stamps
from nmt.data.prepared import Prepared
from nmt.data.shards import shards
from nmt.errors import ConfigError, DataError, FileError
from nmt.runs import checkpoint, layout, manifest
from nmt.training.schedule import rate_of_run

CHANGEABLE = {
    "data.test",
    "data.cache_dir",
    "decode",
    "train.max_steps",
    "train.log_every",
    "train.validate_every",
    "train.save_every",
    "train.keep_last",
    "train.keep_best",
    "train.patience",
    "train.learning_rate",
    "train.warmup_steps",
    "train.clip_norm",
    "train.activation_checkpointing",
    "train.on_nonfinite",
    "train.shard",
    "train.max_skipped",
    "train.valid_beam_size",
    "train.valid_sentences",
    "train.average",
    "train.average_count",
    "train.tune_decode",
    "train.device",
    "train.peer_timeout",
    "train.threads",
}
"""Keys that may change when a run resumes; changing any other key makes it another run."""


def check_settings(config: Config, run: Path) -> list[str]:
    """Raise an error if a run cannot resume with the given settings.

    Args:
        config: configuration to resume with.
        run: run directory with checkpoints.

    Returns:
        Lines that list the changed settings and the effect on the learning rate.

    Raises:
        ConfigError: if it would be another run; the message lists the keys.
    """
    if not (run / "config.yaml").exists():
        return []
    before = layout.load_run_config(run)
    checkpoints = checkpoint.list_checkpoints(run)
    step = checkpoints[-1].step if checkpoints else 0
    changed = changes(before, config)
    later = _stages_to_come(before, config, step)
    fixed = _fixed(before, config, step, is_validated=any(one.scores for one in checkpoints))
    refused = [
        f"{key}: was {json.dumps(was)}, is now {json.dumps(now)}{fixed.get(key, '')}"
        for key, (was, now) in changed.items()
        if key in fixed or not (is_among(key, CHANGEABLE) or is_among(key, later))
    ]
    if refused:
        raise ConfigError(
            f"{run} holds a run with another configuration; use its values, or another `run_dir`",
            *refused,
        )
    listing = ", ".join(
        f"{key} {json.dumps(was)} → {json.dumps(now)}" for key, (was, now) in changed.items()
    )
    lines = [f"continuing with changed settings: {listing}"] if changed else []
    return lines + _rate_change(before, config, step)


def check_trained_text(config: Config, run: Path) -> None:
    """Raise an error if a finished run was trained on other text than is configured now.

    Files that are gone are not missed: nothing is left to train.

    Args:
        config: the configuration.
        run: the run directory.

    Raises:
        ConfigError: if it was.
    """
    try:
        changed = changed_corpora(config, run)
    except (DataError, FileError):
        return
    if changed:
        raise ConfigError(
            f"data.train: the text of {', '.join(changed)} has changed since {run} was trained; "
            "restore it, or use another `run_dir` to train on it"
        )


def changed_corpora(config: Config, run: Path) -> list[str]:
    """Return the names of the training corpora with text that a run was not trained on.

    A corpus is read only if the size or time of one of its files has changed. Streamed text has no
    checksums, so nothing is known about it.

    Args:
        config: the configuration with the corpora.
        run: the run directory.

    Raises:
        DataError, FileError: if text, or data.json of the run, cannot be read.
    """
    described = manifest.read_json(run / "data.json").get("train")
    if config.data.streaming or not isinstance(described, list):
        return []
    entries = [*map(dict, described)]
    read = [entry["files"] for entry in entries if entry.get("files")]
    sums = {entry.get("sha256") for entry in entries}
    return [
        corpus_name(part)
        for corpus in config.data.train
        for part in shards(corpus)
        if stamps(part) not in read and fingerprint(part) not in sums
    ]


def check_validation_data(run: Path, valid: Mapping[str, Prepared]) -> None:
    """Raise an error if the validation text has changed, since scores would not be comparable.

    Args:
        run: the run directory.
        valid: the validation pairs by the name of their set.

    Raises:
        ConfigError: if it is not the text described by data.json of the run.
    """
    try:
        described = manifest.read_json(run / "data.json").get("valid")
    except FileError:
        return  # `nmt info` reports it as damaged
    if not described or not isinstance(described, list):
        return  # the run has not been validated yet
    now = [
        (name, one.fingerprint, one.src_tokens, one.tgt_tokens)
        for name, data in valid.items()
        for one in data.report.corpora
    ]
    # The token counts reveal swapped columns.
    keys = ("sha256", "src_tokens", "tgt_tokens")
    before = [
        (str(one.get("set", "")), *(one.get(key) for key in keys)) for one in map(dict, described)
    ]
    if before != now:
        raise ConfigError(
            f"data.valid: its text has changed since {run} was validated, or the names or order of "
            "its sets, and scores on different texts are not comparable; restore it, or use "
            "another `run_dir`"
        )


def _stages_to_come(before: Config, now: Config, step: int) -> set[str]:
    """Return the keys of stages that may change in this run: those of stages not yet begun.

    The stage in progress may become longer or shorter, as long as its end is not yet reached.
    """
    stages = [stages_of(one) for one in (before, now)]
    keys = set()
    for number, pair in enumerate(zip_longest(*stages)):
        if all(one is None or one.begin >= step for one in pair):
            keys.add(f"train.stages.{number}")
        elif all(one is None or one.end > step for one in pair):
            keys.add(f"train.stages.{number}.steps")
    return keys


def _fixed(before: Config, now: Config, step: int, *, is_validated: bool) -> dict[str, str]:
    """Return the changeable keys that can no longer change in this run, with the reason."""
    fixed = {}
    if step >= min(before.train.warmup_steps, now.train.warmup_steps):
        fixed["train.warmup_steps"] = f", but the warm-up is over at step {step}"
    if is_validated and not is_loss(now.train.metric):
        why = f", but the best {now.train.metric} so far depends on it"
        fixed |= {"train.valid_beam_size": why, "train.valid_sentences": why}
    return fixed


def _rate_change(before: Config, now: Config, step: int) -> list[str]:
    if not step:
        return []
    last = rate_of_run(step, before)
    planned, following = (rate_of_run(step + 1, one) for one in (before, now))
    if math.isclose(planned, following):
        return []
    return [
        f"the learning rate goes from {last:.4g} at step {step} to {following:.4g} at step "
        f"{step + 1}"
    ]
