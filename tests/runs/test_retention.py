"""The right checkpoints are kept, chosen and averaged."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nmt.errors import FileError
from nmt.runs import average, checkpoint, layout, retention

from .conftest import save, steps, tensors


def test_pruning_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    for step, loss in enumerate([5.0, 1.0, 3.0, 2.0, 4.0, 6.0], 1):
        save(tmp_path, step, loss=loss, bleu=loss)
    save(tmp_path, 7)
    retention.prune(tmp_path, keep_last=2, keep_best=2, metric="loss")
    assert steps(tmp_path) == [2, 4, 6, 7]
    retention.prune(tmp_path, keep_last=1, keep_best=1, metric="bleu")
    assert steps(tmp_path) == [6, 7]
    retention.prune(tmp_path, keep_last=1, keep_best=0, metric="bleu")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000007"]


def test_the_older_of_two_equally_good_checkpoints_is_the_best(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step, loss=1.0, chrf=float(step > 1))
    checkpoints = checkpoint.list_checkpoints(tmp_path)
    assert retention.best_first(checkpoints, "loss")[0].step == 1
    assert retention.best_first(checkpoints, "chrf")[0].step == 2
    assert retention.best_first(checkpoints, "bleu") == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_the_error_names_the_directory_that_cannot_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    (tmp_path / "averaged.old.tmp").mkdir()

    def refuse(path: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(FileError, match="step-00000001: cannot be deleted: "):
        retention.prune(tmp_path, keep_last=1, keep_best=0, metric="loss")
    with pytest.raises(FileError, match="cannot be cleaned up: "):
        layout.clean_up(tmp_path)


def test_the_averaged_weights_are_chosen_then_the_best_then_the_newest(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no checkpoint in it yet"):
        retention.choose_weights(tmp_path, "loss")
    save(tmp_path, 1)
    save(tmp_path, 2)
    assert retention.choose_weights(tmp_path, "loss").name == "step-00000002"
    save(tmp_path, 1, loss=1.0)
    assert retention.choose_weights(tmp_path, "loss").name == "step-00000001"
    assert retention.choose_weights(tmp_path, "bleu").name == "step-00000002"
    average.save_average(tmp_path, tensors()["weights"], [1, 2], {})
    assert retention.choose_weights(tmp_path, "loss").name == "averaged"
    average.delete_average(tmp_path)
    assert retention.choose_weights(tmp_path, "loss").name == "step-00000001"
    assert not (tmp_path / "averaged.tmp").exists()


def test_the_last_or_the_best_are_averaged(tmp_path: Path) -> None:
    for step, loss in enumerate([1.0, 4.0, 2.0, 3.0], 1):
        save(tmp_path, step, loss=loss)

    def chosen(which: str, count: int) -> list[int]:
        return [c.step for c in retention.choose_to_average(tmp_path, which, count, "loss")]

    assert chosen("last", 2) == [3, 4]
    assert chosen("best", 2) == [1, 3]
    assert chosen("best", 9) == [1, 2, 3, 4]
