"""Averaging the checkpoints of a run on request; training does so by itself at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from nmt.config.schema import Config
from nmt.console import Console
from nmt.data.prepare import prepare
from nmt.device import choose_device
from nmt.errors import ConfigError, DataError, FileError, Interrupted
from nmt.model.build import network_with_weights
from nmt.runs import average, checkpoint, layout, retention
from nmt.runs.model import load_tokenizers
from nmt.signals import StopFlag
from nmt.training.continuing import check_validation_data
from nmt.training.monitor import preparing
from nmt.training.validate import Validator


def average_checkpoints(run: Path, which: str, count: int, console: Console) -> list[int]:
    """Average the `last` or the `best` checkpoints of a run into `averaged/`, and validate that.

    Args:
        run: the run directory.
        which: `last` or `best`.
        count: how many.
        console: standard error; told the scores, or why there are none.

    Returns:
        The steps that were averaged.

    Raises:
        DataError: the average cannot be validated, and the present one, which is kept, was.
        FileError: the run has fewer, they cannot be read, or a training is running in it.
        Interrupted: a signal came; nothing has changed.
    """
    config = layout.load_run_config(run)
    advice = "wait for its end, where it averages as train.average says, or stop it"
    with StopFlag() as stop, layout.locked(run, advice):
        chosen = retention.choose_to_average(run, which, count, config.train.metric)
        if len(chosen) < count:
            raise FileError(f"{run}: {count} checkpoints to average, but there are {len(chosen)}")
        steps = [one.step for one in chosen]
        weights = average.average_weights([one.path for one in chosen])
        scores: dict[str, float] = {}
        signatures: dict[str, str] = {}
        try:
            scores, signatures = _validate(config, run, weights, console, stop)
        except (ConfigError, DataError, FileError) as error:
            if _is_validated(run / "averaged"):
                raise DataError(
                    f"{run}: the averaged weights are kept as they are: they were validated, and "
                    f"an average of steps {', '.join(map(str, steps))} cannot be ({error}). "
                    f"Delete {run / 'averaged'} to average without validation"
                ) from error
            console.say(f"{run}: the average is not validated: {error}")
        average.save_average(run, weights, steps, scores, signatures)
        if scores:
            console.say(_comparison(run, scores, config.train.metric))
    return steps


def _validate(
    config: Config, run: Path, weights: Mapping[str, Tensor], console: Console, stop: StopFlag
) -> tuple[dict[str, float], dict[str, str]]:
    """Score weights as training does.

    Raises:
        ConfigError, DataError, FileError: the validation text cannot be used.
        Interrupted: a signal came.
    """
    if not config.data.valid:
        raise DataError("the configuration has no data.valid")
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    tokenizers = load_tokenizers(run)
    with preparing(console, stop) as progress:
        data = prepare(
            config,
            tokenizers,
            config.data.valid,
            filtered=False,
            progress=progress,
            warn=console.say,
        )
    check_validation_data(run, data)
    # The GPU of the training may not be in this machine.
    device = choose_device("cpu" if config.train.device == "cpu" else "auto")
    network = network_with_weights(weights, "the average", config.model, *tokenizers.sizes)
    validator = Validator(config, tokenizers, data, device, console.say)
    scores = validator(network.to(device), stop)
    if stop.signum is not None:
        raise Interrupted(f"stopped; {run} is as it was", stop.signum)
    return scores, validator.signatures


def _is_validated(directory: Path) -> bool:
    try:
        return bool(checkpoint.read_state(directory)["scores"])
    except FileError:
        return False  # not there, or damaged


def _comparison(run: Path, scores: Mapping[str, float], metric: str) -> str:
    """Say how an average does, and the best checkpoint beside it."""
    text = f"{run}: the average has a validation {metric} of {scores[metric]:.4g}"
    best = retention.best_first(retention.regular(checkpoint.list_checkpoints(run)), metric)
    if best and math.isfinite(best[0].scores[metric]):
        text += f", the best checkpoint ({best[0].path.name}) {best[0].scores[metric]:.4g}"
    return text
