"""Checkpoints written beside the training."""

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


def test_what_is_written_is_what_the_tensors_were() -> None:
    go, written = threading.Event(), []

    def write(tensors: Tensors) -> None:
        assert go.wait(SECONDS)
        written.append(tensors["weights"]["a"].tolist())

    tensor = torch.zeros(2)
    with BackgroundSaver() as saver:
        saver.start(write, {"weights": {"a": tensor}})
        tensor += 1  # training goes on before anything is written
        assert written == []
        go.set()
    assert written == [[0.0, 0.0]]


def test_one_at_a_time() -> None:
    running = [0]
    overlaps: list[int] = []
    order: list[int] = []

    def write(tensors: Tensors) -> None:
        running[0] += 1
        overlaps.append(running[0])
        step = int(tensors["step"]["n"])
        time.sleep(0.01 if step else 0.05)  # the first would be overtaken by all others
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
def test_an_error_is_raised_in_the_training_and_once(
    notice: Callable[[BackgroundSaver], None],
) -> None:
    saver = BackgroundSaver()
    saver.start(fail, {})
    assert saver._thread is not None
    saver._thread.join()
    with pytest.raises(FileError, match="no room"):
        notice(saver)
    saver.wait()


def ended_by(error: type[BaseException], write: Callable[[Tensors], Any]) -> BackgroundSaver:
    """A saver whose training ended with an error while it wrote."""
    saver = BackgroundSaver()
    with pytest.raises(error), saver:  # noqa: PT012
        saver.start(write, {})
        raise error("training")
    return saver


def test_what_ended_the_training_is_told_and_not_what_ended_the_saving() -> None:
    ended_by(ValueError, fail)


def test_a_second_interruption_does_not_wait() -> None:
    go = threading.Event()
    saver = ended_by(KeyboardInterrupt, lambda tensors: go.wait(SECONDS))
    assert saver._thread is not None
    assert saver._thread.is_alive()
    go.set()
    saver.wait()
