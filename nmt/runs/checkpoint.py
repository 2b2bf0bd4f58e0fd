"""Saving, listing and loading checkpoints."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from nmt.errors import FileError
from nmt.files import open_plain, reason
from nmt.runs.manifest import read_json, save_directory, verify, write_json

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """A directory of weights and the main facts of its state.

    Attributes:
        path: the directory.
        step: optimizer steps taken.
        scores: validation scores of these weights by name; empty if they were not validated.
        problem: why the state cannot be read; empty if it can.
        only_to_resume: whether it exists only because training was interrupted. Such a checkpoint
            is never averaged, chosen as the best or counted by `prune`, so that an interrupted
            run ends like an uninterrupted one. Earlier versions of nmt did not record this; their
            checkpoints all count.
    """

    path: Path
    step: int
    scores: dict[str, float]
    problem: str = ""
    only_to_resume: bool = False


def save_checkpoint(
    directory: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> None:
    """Write a directory of weights, whole or not at all.

    Args:
        directory: final name; an existing directory is replaced.
        tensors: named tensors by file name without suffix.
        state: content of state.json, with `step` and `scores` at least. Scores that are not
            finite become null, since JSON cannot represent them.

    Raises:
        FileError: if it cannot be written; the directory that existed before is unchanged.
    """
    from safetensors.torch import save_file

    def fill(folder: Path) -> None:
        for name, named in tensors.items():
            save_file(dict(named), folder / f"{name}.safetensors")
        scores = {n: v if math.isfinite(v) else None for n, v in state["scores"].items()}
        write_json(folder / "state.json", {**state, "scores": scores})

    try:
        save_directory(directory, fill)
    except (OSError, safetensors.SafetensorError) as error:
        size = sum(t.nbytes for named in tensors.values() for t in named.values())
        raise FileError(
            f"{directory}: cannot save the checkpoint ({reason(error)}); it needs "
            f"{size / 1e6:.0f} MB. Make room or choose another `run_dir`; earlier checkpoints "
            "are intact and the same command resumes from them"
        ) from error


def list_checkpoints(run: Path) -> list[Checkpoint]:
    """Return the checkpoints of a run, oldest first, without verifying them."""
    checkpoints = []
    for path in (run / "checkpoints").glob("step-*"):
        if not re.fullmatch(r"step-\d+", path.name):
            continue
        step = int(path.name.removeprefix("step-"))
        try:
            state = read_state(path)
        except FileError as error:
            if path.exists():  # else a training run has deleted it meanwhile
                checkpoints.append(Checkpoint(path, step, {}, str(error)))
            continue
        only_to_resume = state.get("only_to_resume") is True
        checkpoints.append(Checkpoint(path, step, dict(state["scores"]), "", only_to_resume))
    return sorted(checkpoints, key=lambda checkpoint: checkpoint.step)


def newest_intact(run: Path, warn: Callable[[str], object]) -> Checkpoint | None:
    """Return the newest checkpoint that matches its manifest; warn of damaged newer ones."""
    for checkpoint in reversed(list_checkpoints(run)):
        try:
            verify(checkpoint.path)
        except FileError as error:
            warn(f"warning: {error}; falling back to the previous checkpoint")
            continue
        return checkpoint
    return None


def read_state(directory: Path) -> dict[str, Any]:
    """Return the content of state.json; scores that were not finite are NaN.

    Raises:
        FileError: if it is missing or not written by `save_checkpoint`.
    """
    state = read_json(directory / "state.json")
    try:
        scores = {n: math.nan if v is None else float(v) for n, v in state["scores"].items()}
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError):
        scores = None
    if scores is None or not isinstance(state.get("step"), int):
        raise FileError(f"{directory / 'state.json'}: not the state of a checkpoint")
    return state | {"scores": scores}


def load_tensors(directory: Path, name: str) -> dict[str, Tensor]:
    """Load a file of named tensors to the CPU.

    Raises:
        FileError: if it is missing or not safetensors.
    """
    from safetensors.torch import load_file

    with _checked(directory, name) as path:
        return load_file(path)


def read_shapes(directory: Path, name: str) -> dict[str, list[int]]:
    """Return the shapes of the tensors in a file without loading them.

    Raises:
        FileError: if it is missing or not safetensors.
    """
    with _checked(directory, name) as path, safetensors.safe_open(path, "np") as file:
        return {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118


@contextmanager
def _checked(directory: Path, name: str) -> Iterator[Path]:
    """Yield the path of a file of tensors; turn errors in reading it into a FileError."""
    path = directory / f"{name}.safetensors"
    try:
        open_plain(path).close()
        yield path
    except (OSError, safetensors.SafetensorError) as error:
        raise FileError(f"{path}: cannot be loaded: {reason(error)}") from error
