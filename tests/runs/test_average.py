"""Averaging the weights of checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nmt.errors import FileError
from nmt.runs import average, checkpoint, layout

from .conftest import save, tensors


def test_the_average_is_the_mean_of_every_element(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(1)
    weights = [
        {"a": torch.randn(3, 2, generator=draw), "b": torch.tensor([k])} for k in (1.0, 2.0, 6.0)
    ]
    paths = []
    for step, named in enumerate(weights):
        paths.append(layout.checkpoint_path(tmp_path, step))
        checkpoint.save_checkpoint(paths[-1], {"weights": named}, {"step": step, "scores": {}})
    mean = average.average_weights(paths)
    assert mean["b"].tolist() == [3.0]
    assert mean["a"].dtype == torch.float32
    expected = [sum(w["a"].flatten()[i].item() for w in weights) / 3 for i in range(6)]
    assert mean["a"].flatten().tolist() == pytest.approx(expected, rel=1e-6)


def test_the_average_of_one_is_itself(saved: Path) -> None:
    assert torch.equal(average.average_weights([saved])["a"], tensors(2.0)["weights"]["a"])


def test_a_damaged_checkpoint_is_not_averaged(tmp_path: Path) -> None:
    paths = [save(tmp_path, step) for step in (1, 2)]
    with (paths[1] / "weights.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(FileError, match="step-00000002"):
        average.average_weights(paths)


def test_checkpoints_of_different_models_are_not_averaged(tmp_path: Path, saved: Path) -> None:
    other = layout.checkpoint_path(tmp_path, 6)
    named = {"weights": {"a": torch.zeros(3, 2), "b": torch.arange(4.0)}}
    checkpoint.save_checkpoint(other, named, {"step": 6, "scores": {}})
    with pytest.raises(FileError, match="not of the same model"):
        average.average_weights([saved, other])
