"""Measuring memory and time ends when there is an estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from nmt.check import training
from nmt.check.subject import Subject
from nmt.data.batching import Batch
from nmt.training.learner import StepStats

Make = Callable[..., Subject]
GB = 10**9


@dataclass
class Machine:
    """A machine of which a step of the largest batch takes so much.

    Attributes:
        step_seconds: time.
        step_bytes: memory on top of what is there without a batch, which is a gigabyte.
        total_bytes: of memory.
        now: its clock.
        sizes: tokens of all batches it took.
    """

    largest: int = 0
    step_seconds: float = 0.01
    step_bytes: int = GB
    total_bytes: int = 8 * GB
    now: float = 0.0
    peak: int = GB
    sizes: list[int] = field(default_factory=list)

    def step(self, batches: list[Batch], rate: float) -> StepStats:
        for batch in batches:
            tokens = batch.src_BS.numel() + batch.tgt_in_BT.numel()
            self.sizes.append(tokens)
            self.now += self.step_seconds * tokens / self.largest
            self.peak = max(self.peak, GB + self.step_bytes * tokens // self.largest)
        return StepStats(1.0, 1.0, sum(batch.num_tgt_tokens for batch in batches), 1.0)


@pytest.fixture
def measured(
    subject: Make, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Any, list[Any], Machine]]:
    """(overrides, of the machine): what is measured and found on it."""

    def measured(*overrides: str, **machine: Any) -> tuple[Any, list[Any], Machine]:
        made = subject(*overrides)
        pairs, src, tgt = made.plan.largest_batch
        here = Machine(pairs * (src + tgt), **machine)
        monkeypatch.setattr(training, "Learner", lambda *arguments: here)
        monkeypatch.setattr(training.time, "monotonic", lambda: here.now)
        monkeypatch.setattr(training, "_peak_bytes", lambda device: here.peak)
        monkeypatch.setattr(training, "memory_bytes", lambda device: here.total_bytes)
        result, findings = training.measure(made, torch.device("cpu"))
        return result, findings, here

    return measured


Measure = Callable[..., tuple[Any, list[Any], Machine]]


def test_quick_steps_are_timed_many_times(measured: Measure) -> None:
    result, findings, machine = measured()
    assert findings == []
    assert result.steps == 20
    assert result.peak_bytes == pytest.approx(2 * GB, rel=0.01)
    assert result.peak_is.endswith("measured")
    assert machine.now < 1
    # Batches are nearly as large as the largest one.
    assert result.total_seconds == pytest.approx(100 * 0.01, rel=0.2)


@pytest.mark.parametrize("step_seconds", [5.0, 30.0, 60.0, 400.0])
@pytest.mark.parametrize("accumulate", [1, 8])
def test_slow_steps_end_the_measuring_after_a_minute_and_a_step(
    measured: Measure, step_seconds: float, accumulate: int
) -> None:
    result, findings, machine = measured(
        f"train.accumulate={accumulate}", "train.max_steps=10", step_seconds=step_seconds
    )
    assert machine.now <= 60 + step_seconds * min(accumulate, 2)
    expected = 10 * step_seconds * accumulate
    assert result.total_seconds == pytest.approx(expected, rel=0.2)
    # What was not taken is reckoned.
    assert result.peak_bytes == pytest.approx(2 * GB, rel=0.05)
    assert findings == []


def test_more_than_a_day_is_a_finding(measured: Measure) -> None:
    steps = ["train.max_steps=20000", "train.warmup_steps=10"]
    result, [finding], _ = measured(*steps, step_seconds=10.0)
    assert (finding.severity, finding.kind) == ("warning", "time")
    assert finding.about == "train.max_steps"
    assert f"20,000 steps take {result.total_seconds / 86400:.1f} days" in finding.message
    assert "train on a GPU" in finding.message
    _, [finding], _ = measured(*steps, "train.patience=3", step_seconds=10.0)
    assert "20,000 steps take up to " in finding.message


def test_more_memory_than_the_machine_has_is_found_before_it_is_taken(measured: Measure) -> None:
    result, [finding], machine = measured(step_bytes=12 * GB)
    assert (finding.severity, finding.kind) == ("error", "memory")
    assert result.peak_bytes == pytest.approx(13 * GB, rel=0.05)
    assert "estimated" in result.peak_is
    assert machine.peak <= 8 * GB
    assert "13.0 GB, 162% of the memory of 8.0 GB" in finding.message
    advice = [word.strip(":") for word in finding.message.split(" ") if "=" in word]
    assert advice == ["train.batch_tokens=666", "train.accumulate=3"]


def test_nearly_all_memory_is_a_warning(measured: Measure) -> None:
    _, [finding], machine = measured(step_bytes=int(6.5 * GB))
    assert (finding.severity, finding.kind) == ("warning", "memory")
    assert max(machine.sizes) == machine.largest


def test_a_model_larger_than_the_memory_is_not_made(measured: Measure) -> None:
    result, [finding], machine = measured(total_bytes=10_000)
    assert (finding.severity, finding.kind, finding.about) == ("error", "memory", "model")
    assert result is None
    assert machine.sizes == []
