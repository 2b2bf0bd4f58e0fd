"""Weights in `averaged/`: the average of several checkpoints, or those of an imported model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import FileError
from nmt.runs.checkpoint import load_tensors, save_checkpoint
from nmt.runs.manifest import delete_directory, verify

if TYPE_CHECKING:
    from torch import Tensor


def average_weights(directories: list[Path]) -> dict[str, Tensor]:
    """Return the element-wise mean of the weights of checkpoints (paper, section 6.1).

    Raises:
        FileError: if a checkpoint is damaged, or they do not belong to the same model.
    """
    total: dict[str, Tensor] = {}
    for directory in directories:
        verify(directory, for_training=False)
        weights = load_tensors(directory, "weights")
        if not total:
            total = {name: tensor.double() for name, tensor in weights.items()}
            continue
        shapes = {name: tensor.shape for name, tensor in weights.items()}
        if shapes != {name: tensor.shape for name, tensor in total.items()}:
            raise FileError(f"{directory}: not of the same model as {directories[0]}")
        for name, tensor in weights.items():
            total[name] += tensor
    return {name: (tensor / len(directories)).float() for name, tensor in total.items()}


def save_average(
    run: Path,
    weights: Mapping[str, Tensor],
    steps: list[int],
    scores: Mapping[str, float],
    signatures: Mapping[str, str] | None = None,
) -> Path:
    """Save averaged weights in `averaged/`; from then on the run translates with them.

    Args:
        run: run directory.
        weights: the average.
        steps: steps of the averaged checkpoints.
        scores: validation scores of the average; empty if it was not validated.
        signatures: sacreBLEU signatures by score.

    Returns:
        The directory.

    Raises:
        FileError: if it cannot be written.
    """
    state = {
        "step": max(steps),
        "averaged_steps": steps,
        "scores": dict(scores),
        "signatures": dict(signatures or {}),
    }
    save_checkpoint(run / "averaged", {"weights": weights}, state)
    return run / "averaged"


def save_imported(run: Path, weights: Mapping[str, Tensor], origin: str) -> Path:
    """Save the weights of an imported model where `save_average` saves an average.

    Args:
        run: run directory.
        weights: the weights.
        origin: where they come from, for `nmt info`.

    Returns:
        The directory.

    Raises:
        FileError: if it cannot be written.
    """
    state = {"step": 0, "averaged_steps": [], "scores": {}, "imported": origin}
    save_checkpoint(run / "averaged", {"weights": weights}, state)
    return run / "averaged"


def delete_average(run: Path) -> None:
    """Delete averaged weights, if any; the run then translates with a checkpoint.

    Raises:
        FileError: if they cannot be deleted.
    """
    if (run / "averaged").is_dir():
        delete_directory(run / "averaged")
