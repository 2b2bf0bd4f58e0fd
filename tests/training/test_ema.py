"""`train.ema`: the average by hand, and checkpoints that translate with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.runs import layout
from nmt.runs.checkpoint import load_tensors, read_state
from nmt.runs.model import load_model
from nmt.training.device import bytes_per_parameter
from nmt.training.ema import MovingAverage

Make = Callable[..., Any]
HALTED, WENT_ON = torch.ones(()), torch.zeros(())


def tensors(run: Any, step: int, file: str) -> dict[str, Tensor]:
    return load_tensors(layout.checkpoint_path(run.path, step), file)


def test_the_average_by_hand() -> None:
    linear = torch.nn.Linear(1, 1, bias=False)
    linear.weight.data.fill_(1.0)
    average = MovingAverage(linear, 0.25)
    for value, expected in (
        (3.0, 2 / 11 * 1.0 + 9 / 11 * 3.0),  # 2 / 11 < 0.25
        (5.0, 0.25 * (2 / 11 + 27 / 11) + 0.75 * 5.0),  # 3 / 12
        (7.0, 0.25 * (0.25 * 29 / 11 + 3.75) + 0.75 * 7.0),  # 4 / 13 > 0.25
    ):
        linear.weight.data.fill_(value)
        average.update(WENT_ON)
        assert float(average.weights["weight"]) == pytest.approx(expected)
    linear.weight.data.fill_(9.0)
    average.update(HALTED)  # neither counts nor changes
    assert float(average.weights["weight"]) == pytest.approx(expected)
    assert float(average.tensors()["steps"]) == 3


def test_checkpoints_hold_the_average_of_the_weights_in_training(
    make_config: Make, tiny_run: Make
) -> None:
    keys = {"max_steps": 4, "save_every": 1, "valid": True, "validate_every": 4}
    plain = tiny_run("plain").train(make_config(**keys))
    run = tiny_run().train(make_config(**keys, ema=0.3))
    assert run.losses() == plain.losses()
    expected = None
    for step in range(1, 5):
        weights = tensors(plain, step, "weights")
        kept = {name: tensors(run, step, "ema")[f"weights.{name}"] for name in weights}
        assert all(torch.equal(weights[name], kept[name]) for name in weights)
        average = tensors(run, step, "weights")
        if expected is not None:
            decay = min(0.3, (1 + step) / (10 + step))
            expected = {n: decay * expected[n] + (1 - decay) * weights[n] for n in weights}
            for name in weights:
                torch.testing.assert_close(average[name], expected[name])
        expected = average
    translating = dict(load_model(run.path).network.named_parameters())
    assert all(torch.equal(translating[name], average[name]) for name in average)
    state = read_state(layout.checkpoint_path(run.path, 4))
    assert state["scores"] != read_state(layout.checkpoint_path(plain.path, 4))["scores"]


def test_checkpoint_averaging_averages_the_moving_averages(
    make_config: Make, tiny_run: Make
) -> None:
    run = tiny_run().train(
        make_config(
            max_steps=4, save_every=2, ema=0.9, average="last", average_count=2, keep_last=2
        )
    )
    mean = load_tensors(run.path / "averaged", "weights")
    parts = [tensors(run, step, "weights") for step in (2, 4)]
    for name in mean:
        torch.testing.assert_close(mean[name], (parts[0][name] + parts[1][name]) / 2)


def test_it_starts_from_the_weights_of_another_run(make_config: Make, tiny_run: Make) -> None:
    source = tiny_run("source").train(make_config(max_steps=3))
    run = tiny_run().train(
        make_config(max_steps=1, init_from=str(source.path), ema=0.9, learning_rate=1e-12)
    )
    before, after = tensors(source, 3, "weights"), tensors(run, 1, "weights")
    for name in before:
        torch.testing.assert_close(before[name], after[name])


def test_it_needs_memory(make_config: Make) -> None:
    assert bytes_per_parameter(make_config(ema=0.9)) == bytes_per_parameter(make_config()) + 4
