"""Which checkpoints are kept, and which weights a run translates with."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from nmt.config.validation import is_loss
from nmt.errors import FileError
from nmt.runs.checkpoint import Checkpoint, list_checkpoints
from nmt.runs.manifest import delete_directory


def regular(checkpoints: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Return the checkpoints that do not exist only to resume from."""
    return [checkpoint for checkpoint in checkpoints if not checkpoint.only_to_resume]


def best_first(checkpoints: Iterable[Checkpoint], metric: str) -> list[Checkpoint]:
    """Return the checkpoints with a finite score, best first; the older one wins a tie."""
    scored = [one for one in checkpoints if math.isfinite(one.scores.get(metric, math.nan))]
    sign = 1.0 if is_loss(metric) else -1.0
    return sorted(scored, key=lambda checkpoint: sign * checkpoint.scores[metric])


def prune(run: Path, keep_last: int, keep_best: int, metric: str) -> None:
    """Delete all checkpoints except the newest and the best by `metric`.

    A checkpoint that exists only to resume from is deleted once there is a newer one.

    Raises:
        FileError: if one cannot be deleted.
    """
    checkpoints = list_checkpoints(run)
    counted = regular(checkpoints)
    kept = checkpoints[-1:] + counted[-keep_last:] + best_first(counted, metric)[:keep_best]
    for checkpoint in checkpoints:
        if checkpoint not in kept:
            delete_directory(checkpoint.path)


def choose_weights(run: Path, metric: str) -> Path:
    """Return the directory of the weights that a run translates with.

    These are the averaged weights if there are any, else the checkpoint with the best validation
    score, else the newest. A checkpoint that exists only to resume from is used only if there is
    no other. Damaged weights are not silently replaced by others: the choice stays the same.

    Raises:
        FileError: if the run has no weights, or the best checkpoint cannot be determined because
            the state of one cannot be read.
    """
    if os.path.lexists(run / "averaged"):
        return run / "averaged"
    checkpoints = list_checkpoints(run)
    if not checkpoints:
        raise FileError(f"{run}: no checkpoint in it yet")
    checkpoints = regular(checkpoints) or checkpoints
    if len(checkpoints) > 1:
        _refuse_unreadable(checkpoints, f"it may be the best. {choosing_advice(run)}")
    return (best_first(checkpoints, metric) or checkpoints[::-1])[0].path


def choosing_advice(run: Path, damaged: Path | None = None) -> str:
    """Return a sentence that tells the user how to choose other weights.

    Args:
        run: run directory.
        damaged: weights that cannot be chosen.
    """
    others = [
        checkpoint.path
        for checkpoint in list_checkpoints(run)
        if not checkpoint.problem and checkpoint.path != damaged
    ]
    if not others:
        return "There is no other checkpoint"
    return f"To choose another checkpoint, name it, as in {others[-1]}"


def choose_to_average(
    run: Path, which: str, count: int, metric: str, *, after: int = 0
) -> list[Checkpoint]:
    """Return the checkpoints to average, at most `count`, oldest first.

    Args:
        run: run directory.
        which: `last` or `best`.
        count: maximum number of checkpoints.
        metric: validation score that `best` refers to.
        after: a step; only checkpoints of later steps are considered.

    Raises:
        FileError: if the best cannot be determined because the state of one cannot be read.
    """
    checkpoints = [one for one in regular(list_checkpoints(run)) if one.step > after]
    if which == "best":
        _refuse_unreadable(checkpoints, "it may be one of the best. Copy it again, or delete it")
    ranked = checkpoints[::-1] if which == "last" else best_first(checkpoints, metric)
    return sorted(ranked[:count], key=lambda checkpoint: checkpoint.step)


def _refuse_unreadable(checkpoints: Iterable[Checkpoint], consequence: str) -> None:
    for checkpoint in checkpoints:
        if checkpoint.problem:
            raise FileError(f"{checkpoint.problem}; {consequence}")
