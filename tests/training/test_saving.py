"""Checkpoints written in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from nmt.errors import FileError
from nmt.training.saving import BackgroundSaver, Tensors

SECONDS = 10


def test_tensors_are_written_as_they_were_at_the_start() -> None:
    go, written = threading.Event(), []

    def write(tensors: Tensors) -> None:
        assert go.wait(SECONDS)
        written.append(tensors["weights"]["a"].tolist())

    tensor = torch.zeros(2)
    with BackgroundSaver() as saver:
        saver.start(write, {"weights": {"a": tensor}})
        tensor += 1  # the next step, before anything is written
        assert written == []
        go.set()
    assert written == [[0.0, 0.0]]


def test_checkpoints_are_written_one_after_another() -> None:
    running = [0]
    overlaps: list[int] = []
    order: list[int] = []

    def write(tensors: Tensors) -> None:
        running[0] += 1
        overlaps.append(running[0])
        step = int(tensors["step"]["n"])
        time.sleep(0.01 if step else 0.05)  # all others would overtake the first
        order.append(step)
        running[0] -= 1

    with BackgroundSaver() as saver:
        for step in range(5):
            saver.start(write, {"step": {"n": torch.tensor(step)}})
    assert order == [0, 1, 2, 3, 4]
    assert set(overlaps) == {1}


def fail(tensors: Tensors) -> None:
    raise FileError("no room")


@pytest.mark.parametrize(
    "notice",
    [
        BackgroundSaver.check,
        BackgroundSaver.wait,
        lambda saver: saver.start(fail, {}),
        lambda saver: saver.__exit__(None, None, None),
    ],
    ids=["check", "wait", "start", "end"],
)
def test_a_failed_write_raises_once_in_the_training_thread(
    notice: Callable[[BackgroundSaver], None],
) -> None:
    saver = BackgroundSaver()
    saver.start(fail, {})
    assert saver._thread is not None
    saver._thread.join()
    with pytest.raises(FileError, match="no room"):
        notice(saver)
    saver.wait()


def train_and_fail(
    saver: BackgroundSaver, error: BaseException, write: Callable[[Tensors], Any]
) -> None:
    """Start a write, and end training with an error."""
    with saver:
        saver.start(write, {})
        raise error


def test_an_error_of_training_takes_precedence_over_one_of_writing() -> None:
    saver, ended = BackgroundSaver(), []

    def fail_late(tensors: Tensors) -> None:
        time.sleep(0.05)
        ended.append("write")
        fail(tensors)

    with pytest.raises(ValueError, match=r"^training$"):
        train_and_fail(saver, ValueError("training"), fail_late)
    assert ended == ["write"]  # it was waited for


def test_a_second_interruption_does_not_wait() -> None:
    go, saver = threading.Event(), BackgroundSaver()
    with pytest.raises(KeyboardInterrupt):
        train_and_fail(saver, KeyboardInterrupt(), lambda tensors: go.wait(SECONDS))
    assert saver._thread is not None
    assert saver._thread.is_alive()
    go.set()
    saver.wait()
