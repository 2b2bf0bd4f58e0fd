"""The learning rate against equation 3 of the paper and values computed by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nmt.config.train import TrainConfig
from nmt.training.schedule import learning_rate

SCHEDULES = ["paper", "linear", "cosine", "constant"]


def _rate(step: int, d_model: int = 512, **settings: Any) -> float:
    return learning_rate(step, TrainConfig.model_validate(settings), d_model)


# With 512^-0.5 = 0.04419417 and warm-up 4000:
#   step 1:       0.04419417 * 1 * 4000^-1.5 = 0.04419417 / 252982.2128 = 1.746928e-7
#   step 4000:    0.04419417 * 4000^-0.5     = 0.04419417 / 63.2455532  = 6.987712e-4
#   step 100,000: 0.04419417 * 100000^-0.5   = 0.04419417 / 316.227766  = 1.397542e-4
@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, 1.746928e-7), (2000, 3.493856e-4), (4000, 6.987712e-4), (100_000, 1.397542e-4)],
)
def test_equation_3_computed_by_hand(step: int, expected: float) -> None:
    assert _rate(step) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("warmup_steps", [1, 10, 4000])
@pytest.mark.parametrize("d_model", [128, 1024])
def test_equation_3_at_any_step(warmup_steps: int, d_model: int) -> None:
    for step in (1, 2, 9, 10, 11, 3999, 4000, 4001, 300_000):
        expected = d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)
        assert _rate(step, d_model, warmup_steps=warmup_steps) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_rises_linearly_to_the_maximum(schedule: str) -> None:
    settings = {"schedule": schedule, "warmup_steps": 50, "max_steps": 200, "learning_rate": 0.3}
    rates = [_rate(step, **settings) for step in range(1, 201)]
    assert rates[:50] == pytest.approx([0.3 * step / 50 for step in range(1, 51)])
    assert rates.index(max(rates)) == 49  # the first maximum is at step 50
    assert max(rates) == pytest.approx(0.3)
    assert rates[49:] == sorted(rates[49:], reverse=True)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_is_continuous_at_the_end_of_the_warm_up(schedule: str) -> None:
    settings = {"schedule": schedule, "warmup_steps": 1000, "max_steps": 10_000}
    peak = _rate(1000, **settings)
    assert peak == pytest.approx((512 * 1000) ** -0.5)
    assert _rate(1001, **settings) == pytest.approx(peak, rel=2e-3)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_learning_rate_sets_the_peak_and_scales_every_step(schedule: str) -> None:
    settings = {"schedule": schedule, "warmup_steps": 10, "max_steps": 100}
    default_peak = (512 * 10) ** -0.5
    for step in (1, 10, 11, 60, 100):
        expected = _rate(step, **settings) * 0.005 / default_peak
        assert _rate(step, learning_rate=0.005, **settings) == pytest.approx(expected)
        # With a given peak, the width does not matter.
        assert _rate(step, 64, learning_rate=0.005, **settings) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("schedule", "quarter", "half", "end"),
    [
        # After a quarter, half and all of the steps from 20 to 100.
        ("linear", 0.75, 0.5, 0.0),
        ("cosine", 0.5 + 0.25 * math.sqrt(2.0), 0.5, 0.0),
        ("constant", 1.0, 1.0, 1.0),
        ("paper", math.sqrt(20 / 40), math.sqrt(20 / 60), math.sqrt(20 / 100)),
    ],
)
def test_the_decay_computed_by_hand(schedule: str, quarter: float, half: float, end: float) -> None:
    settings = {"schedule": schedule, "warmup_steps": 20, "max_steps": 100, "learning_rate": 1.0}
    rates = [_rate(step, **settings) for step in (40, 60, 100)]
    assert rates == pytest.approx([quarter, half, end], abs=1e-12)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_rate_stays_at_zero_beyond_the_end(schedule: str) -> None:
    settings = {"schedule": schedule, "warmup_steps": 20, "max_steps": 100}
    assert _rate(150, **settings) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_training_may_be_shorter_than_its_warm_up(schedule: str) -> None:
    settings = {"schedule": schedule, "warmup_steps": 100, "max_steps": 50, "learning_rate": 1.0}
    assert _rate(50, **settings) == pytest.approx(0.5)
