"""Small checkpoints, and a copy of a trained run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.runs import checkpoint, layout


def tensors(value: float = 1.0) -> dict[str, dict[str, Tensor]]:
    return {"weights": {"a": torch.full((2, 3), value), "b": torch.arange(4.0)}}


def save(run: Path, step: int, value: float = 1.0, **scores: float) -> Path:
    path = layout.checkpoint_path(run, step)
    checkpoint.save_checkpoint(path, tensors(value), {"step": step, "scores": scores})
    return path


def steps(run: Path) -> list[int]:
    return [entry.step for entry in checkpoint.list_checkpoints(run)]


def change_manifest(directory: Path, **changes: Any) -> None:
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["files"] |= changes.pop("files", {})
    path.write_text(json.dumps(manifest | changes), "utf-8")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tmp_path, 5, 2.0, loss=1.5)


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """Return a copy of a trained run in another directory."""
    return Path(shutil.copytree(trained_run, tmp_path / "moved" / "run"))
