"""Average the checkpoints of a run on request; training itself does so when it ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from nmt.config.schema import Config
from nmt.console import Console
from nmt.device import choose_device
from nmt.errors import ConfigError, DataError, FileError, Interrupted
from nmt.limits import useful_threads
from nmt.model.build import network_with_weights
from nmt.runs import average, checkpoint, layout, retention
from nmt.runs.parts import load_tokenizers
from nmt.signals import StopFlag
from nmt.training.continuing import check_validation_data
from nmt.training.data import prepare_validation
from nmt.training.validate import SetsValidator


def average_checkpoints(run: Path, which: str, count: int, console: Console) -> list[int]:
    """Average the `last` or `best` checkpoints of a run into `averaged/`, and validate it.

    Args:
        run: the run directory.
        which: `last` or `best`.
        count: number of checkpoints.
        console: standard error, for the scores or the reason why there are none.

    Returns:
        The steps of the averaged checkpoints.

    Raises:
        DataError: if the new average cannot be validated but the old one was; the old one is kept.
        FileError: if there are too few checkpoints, they cannot be read, or the run is training.
        Interrupted: if a signal arrives; nothing has changed.
    """
    config = layout.load_run_config(run)
    advice = "wait until it ends, or stop it"
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
                    f"{run}: the averaged weights are kept, because they were validated and an "
                    f"average of steps {', '.join(map(str, steps))} cannot be ({error}). "
                    f"Delete {run / 'averaged'} to average without validation"
                ) from error
            console.print_line(f"{run}: the average is not validated: {error}")
        average.save_average(run, weights, steps, scores, signatures)
        if scores:
            console.print_line(_comparison(run, scores, config.train.metric))
    return steps


def _validate(
    config: Config, run: Path, weights: Mapping[str, Tensor], console: Console, stop: StopFlag
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the validation scores of weights as in training, and sacreBLEU's signatures.

    Raises:
        ConfigError, DataError, FileError: if the validation text cannot be used.
        Interrupted: if a signal arrives.
    """
    if not config.data.valid:
        raise DataError("the configuration has no data.valid")
    if config.train.threads:
        torch.set_num_threads(useful_threads(config.train.threads))
    tokenizers = load_tokenizers(run)
    data = prepare_validation(config, tokenizers, console, stop)
    check_validation_data(run, data)
    # This machine may not have the GPU of the training run.
    device = choose_device("cpu" if config.train.device == "cpu" else "auto")
    network = network_with_weights(weights, "the average", config.model, *tokenizers.sizes)
    validator = SetsValidator(config, tokenizers, data, device, console.print_line)
    scores = validator(network.to(device), stop)
    if stop.signum is not None:
        raise Interrupted(f"stopped; {run} is unchanged", stop.signum)
    return scores, validator.signatures


def _is_validated(directory: Path) -> bool:
    try:
        return bool(checkpoint.read_state(directory)["scores"])
    except FileError:
        return False  # missing or damaged


def _comparison(run: Path, scores: Mapping[str, float], metric: str) -> str:
    """Return a line that compares the score of the average with that of the best checkpoint."""
    text = f"{run}: the average has a validation {metric} of {scores[metric]:.4g}"
    best = retention.best_first(retention.regular(checkpoint.list_checkpoints(run)), metric)
    if best and math.isfinite(best[0].scores[metric]):
        text += f", the best checkpoint ({best[0].path.name}) {best[0].scores[metric]:.4g}"
    return text
