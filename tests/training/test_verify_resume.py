"""How `--verify-resume` compares two runs; the command is tested in tests/faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nmt.config.schema import Config
from nmt.console import Console
from nmt.errors import ConfigError
from nmt.runs import checkpoint, layout
from nmt.training import verify_resume

from .conftest import TinyRun


@pytest.fixture
def runs(
    make_config: Callable[..., Config], tiny_run: Callable[..., TinyRun], tmp_path: Path
) -> tuple[Path, Path]:
    """Return two equal runs of three steps."""
    tiny_run("straight").train(make_config(max_steps=3))
    shutil.copytree(tmp_path / "straight", tmp_path / "resumed")
    return tmp_path / "straight", tmp_path / "resumed"


def change(run: Path, file: str, name: str, tensor: torch.Tensor | None) -> None:
    """Replace or remove a tensor of the last checkpoint of a run."""
    path = layout.checkpoint_path(run, 3)
    files = {
        each: {key: value.clone() for key, value in checkpoint.load_tensors(path, each).items()}
        for each in ("weights", "optimizer")
    }
    state = checkpoint.read_state(path)
    if tensor is None:
        del files[file][name]
    else:
        files[file][name] = tensor
    shutil.rmtree(path)
    checkpoint.save_checkpoint(path, files, state)


def test_equal_runs_have_no_difference(runs: tuple[Path, Path]) -> None:
    assert verify_resume._first_difference(*runs, 3) is None


@pytest.mark.parametrize("file", ["weights", "optimizer"])
def test_a_difference_in_one_element_is_described(runs: tuple[Path, Path], file: str) -> None:
    path = layout.checkpoint_path(runs[0], 3)
    tensors = checkpoint.load_tensors(path, file)
    name = sorted(tensors)[-1]
    other = tensors[name].clone()
    other.view(-1)[0] += 1
    change(runs[1], file, name, other)
    found = verify_resume._first_difference(*runs, 3)
    start = f"{file} of step-00000003: {name} differs in 1 of {other.numel()} elements, by at most"
    assert found is not None
    assert found.startswith(start)


def test_other_shapes_and_missing_tensors_are_described(runs: tuple[Path, Path]) -> None:
    name = min(checkpoint.load_tensors(layout.checkpoint_path(runs[0], 3), "weights"))
    change(runs[1], "weights", name, torch.zeros(2, 1))
    found = verify_resume._first_difference(*runs, 3)
    assert found is not None
    assert f"{name} has the shapes (" in found
    assert found.endswith(" and (2, 1)")
    change(runs[1], "weights", name, None)
    found = verify_resume._first_difference(*runs, 3)
    assert found == f"weights: {name} is in only one of them"


def test_a_number_of_steps_that_cannot_be_stopped_twice(make_config: Callable[..., Config]) -> None:
    for steps in (2, 4):
        with pytest.raises(ConfigError, match=r"must be from 3 to train\.max_steps 3"):
            verify_resume.verify_resume(make_config(max_steps=3), steps, Console(quiet=True))
