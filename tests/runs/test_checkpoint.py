"""Checkpoints: saving, loading, listing, and refusing damaged ones."""

from __future__ import annotations

import json
import math
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from nmt.errors import FileError
from nmt.runs import checkpoint, layout, manifest, retention

from .conftest import save, steps, tensors


def test_a_saved_checkpoint_is_loaded(saved: Path) -> None:
    manifest.verify(saved)
    loaded = checkpoint.load_tensors(saved, "weights")
    assert loaded.keys() == {"a", "b"}
    assert torch.equal(loaded["a"], torch.full((2, 3), 2.0))
    assert checkpoint.read_state(saved) == {"step": 5, "scores": {"loss": 1.5}}


def test_saving_replaces_an_existing_checkpoint(saved: Path) -> None:
    (saved / "stale").write_text("x")
    checkpoint.save_checkpoint(saved, tensors(3.0), {"step": 5, "scores": {}})
    manifest.verify(saved)
    assert torch.equal(checkpoint.load_tensors(saved, "weights")["a"], torch.full((2, 3), 3.0))
    assert sorted(path.name for path in saved.parent.iterdir()) == ["step-00000005"]
    assert not (saved / "stale").exists()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), safetensors.SafetensorError("half-way")]
)
@pytest.mark.parametrize("step", [5, 6])
def test_a_failed_save_leaves_the_old_checkpoint_intact(
    saved: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, step: int
) -> None:
    def half(named: dict[str, Tensor], path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    with pytest.raises(FileError, match=r"cannot save the checkpoint .*needs 0 MB") as caught:
        save(saved.parents[1], step)
    assert caught.value.exit_code == 4
    manifest.verify(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["step-00000005"]


def test_scores_that_are_not_finite_are_null_in_the_file_and_never_best(tmp_path: Path) -> None:
    save(tmp_path, 1, loss=math.nan, ppl=math.inf, bleu=3.0)
    save(tmp_path, 2, loss=9.0)
    text = (layout.checkpoint_path(tmp_path, 1) / "state.json").read_text("utf-8")
    assert json.loads(text)["scores"] == {"loss": None, "ppl": None, "bleu": 3.0}
    checkpoints = checkpoint.list_checkpoints(tmp_path)
    assert math.isnan(checkpoints[0].scores["loss"])
    assert checkpoints[0].scores["bleu"] == 3.0
    assert [entry.step for entry in retention.best_first(checkpoints, "loss")] == [2]


@pytest.mark.parametrize(
    "state", [{}, {"step": 1}, {"step": "1", "scores": {}}, {"step": 1, "scores": {"loss": []}}]
)
def test_an_invalid_state_is_refused(saved: Path, state: dict[str, Any]) -> None:
    (saved / "state.json").write_text(json.dumps(state), "utf-8")
    with pytest.raises(FileError, match=r"state\.json: not the state of a checkpoint"):
        checkpoint.read_state(saved)
    assert checkpoint.list_checkpoints(saved.parents[1])[0].scores == {}


class Marker:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["weights", "optimizer"])
def test_a_pickle_instead_of_tensors_runs_nothing(saved: Path, name: str) -> None:
    (saved / f"{name}.safetensors").write_bytes(pickle.dumps(Marker(saved / "marker")))
    with pytest.raises(FileError, match="cannot be loaded"):
        checkpoint.load_tensors(saved, name)
    assert not (saved / "marker").exists()


@pytest.mark.parametrize("content", [b"", b"x", (1 << 62).to_bytes(8, "little") + b"{}"])
def test_a_bad_safetensors_header_is_an_error(saved: Path, content: bytes) -> None:
    (saved / "weights.safetensors").write_bytes(content)
    with pytest.raises(FileError, match=r"weights\.safetensors: cannot be loaded"):
        checkpoint.load_tensors(saved, "weights")


def test_checkpoints_are_listed_oldest_first_and_temporary_ones_left_out(tmp_path: Path) -> None:
    for step in (10, 9, 100_000_000):
        save(tmp_path, step)
    for name in ("step-00000011.tmp", "step-00000009.old.tmp", "step-x", "other"):
        (tmp_path / "checkpoints" / name).mkdir()
    assert steps(tmp_path) == [9, 10, 100_000_000]


def test_damaged_newest_checkpoints_are_skipped_with_a_warning(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    (tmp_path / "checkpoints" / "step-00000003" / "weights.safetensors").write_bytes(b"")
    (tmp_path / "checkpoints" / "step-00000002" / "manifest.json").unlink()
    warnings: list[str] = []
    newest = checkpoint.newest_intact(tmp_path, warnings.append)
    assert newest is not None
    assert newest.step == 1
    assert len(warnings) == 2
    assert "step-00000003/weights.safetensors: damaged" in warnings[0]
    assert "step-00000002/manifest.json" in warnings[1]


def test_a_run_without_checkpoints(tmp_path: Path) -> None:
    assert checkpoint.newest_intact(tmp_path, pytest.fail) is None
    assert checkpoint.list_checkpoints(tmp_path) == []
