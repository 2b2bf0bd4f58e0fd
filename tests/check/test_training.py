"""Memory and time are measured on a simulated machine."""

from __future__ import annotations

import sys
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
    """A simulated machine with a given cost for a step on the largest batch.

    Attributes:
        largest: tokens of the largest batch.
        step_seconds: time of a step on the largest batch.
        step_bytes: memory of that step, on top of 1 GB used without a batch.
        total_bytes: total memory.
        now: the clock, in seconds.
        peak: peak memory so far, in bytes.
        cold: extra seconds of some steps, by the number of batches trained on before.
        sizes: tokens of all batches trained on.
    """

    largest: int = 0
    step_seconds: float = 0.01
    step_bytes: int = GB
    total_bytes: int = 8 * GB
    now: float = 0.0
    peak: int = GB
    cold: dict[int, float] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def step(self, batches: list[Batch], rate: float) -> StepStats:
        for batch in batches:
            tokens = batch.src_BS.numel() + batch.tgt_in_BT.numel()
            self.now += self.cold.get(len(self.sizes), 0.0)
            self.sizes.append(tokens)
            self.now += self.step_seconds * tokens / self.largest
            self.peak = max(self.peak, GB + self.step_bytes * tokens // self.largest)
        return StepStats(1.0, 1.0, sum(batch.num_tgt_tokens for batch in batches), 1.0)


@pytest.fixture
def measure(
    subject: Make, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Any, list[Any], Machine]]:
    """Return a function (*overrides, **machine) that measures on a simulated machine.

    It returns the measurements, the findings and the machine.
    """

    def measure(*overrides: str, **machine: Any) -> tuple[Any, list[Any], Machine]:
        made = subject(*overrides)
        pairs, src, tgt = made.plan.largest_batch
        simulated = Machine(pairs * (src + tgt), **machine)
        monkeypatch.setattr(training, "Learner", lambda *arguments: simulated)
        monkeypatch.setattr(training.time, "monotonic", lambda: simulated.now)
        monkeypatch.setattr(training, "_peak_bytes", lambda device: simulated.peak)
        monkeypatch.setattr(training, "memory_bytes", lambda device: simulated.total_bytes)
        result, findings = training.measure(made, torch.device("cpu"))
        return result, findings, simulated

    return measure


Measure = Callable[..., tuple[Any, list[Any], Machine]]


def test_fast_steps_are_timed_many_times(measure: Measure) -> None:
    result, findings, machine = measure()
    assert findings == []
    assert result.steps == 20
    assert result.peak_bytes == pytest.approx(2 * GB, rel=0.01)
    assert result.peak_is.endswith("measured")
    assert machine.now < 1
    # All batches are nearly as large as the largest.
    assert result.total_seconds == pytest.approx(100 * 0.01, rel=0.2)


@pytest.mark.parametrize("step_seconds", [5.0, 30.0, 60.0, 400.0])
@pytest.mark.parametrize("accumulate", [1, 8])
def test_slow_steps_are_measured_for_a_minute_and_one_step(
    measure: Measure, step_seconds: float, accumulate: int
) -> None:
    result, findings, machine = measure(
        f"train.accumulate={accumulate}", "train.max_steps=10", step_seconds=step_seconds
    )
    assert machine.now <= 60 + step_seconds * min(accumulate, 2)
    expected = 10 * step_seconds * accumulate
    assert result.total_seconds == pytest.approx(expected, rel=0.2)
    # Batches that were not tried are extrapolated.
    assert result.peak_bytes == pytest.approx(2 * GB, rel=0.05)
    assert findings == []


@pytest.mark.parametrize(
    "machine",
    [
        # The first step, and the first one on a typical batch.
        {"step_seconds": 2.0, "cold": {0: 9.0, 4: 9.0}},
        {"step_seconds": 0.1, "cold": {0: 9.0, 9: 2.0, 12: 2.0}},
        {"step_seconds": 1.0, "cold": {0: 9.0}, "step_bytes": 60 * GB},  # only an eighth fits
    ],
)
def test_steps_that_are_slow_once_do_not_count(measure: Measure, machine: dict[str, Any]) -> None:
    result, _, simulated = measure("train.max_steps=10", "train.warmup_steps=1", **machine)
    assert result.total_seconds == pytest.approx(10 * machine["step_seconds"], rel=0.2)
    assert simulated.now < 60


def test_more_than_a_day_is_a_finding(measure: Measure) -> None:
    steps = ["train.max_steps=20000", "train.warmup_steps=10"]
    result, [finding], _ = measure(*steps, step_seconds=10.0)
    assert (finding.severity, finding.kind) == ("warning", "time")
    assert finding.about == "train.max_steps"
    assert f"20,000 steps take {result.total_seconds / 86400:.1f} days" in finding.message
    assert "train on a GPU" in finding.message
    _, [finding], _ = measure(*steps, "train.patience=3", step_seconds=10.0)
    assert "20,000 steps take up to " in finding.message


def test_a_batch_that_would_exhaust_memory_is_not_tried(measure: Measure) -> None:
    result, [finding], machine = measure(step_bytes=12 * GB)
    assert (finding.severity, finding.kind) == ("error", "memory")
    assert result.peak_bytes == pytest.approx(13 * GB, rel=0.05)
    assert "estimated" in result.peak_is
    assert machine.peak <= 8 * GB
    assert "13.0 GB, 162% of the memory of 8.0 GB" in finding.message
    advice = [word.strip(":") for word in finding.message.split(" ") if "=" in word]
    assert advice == ["train.batch_tokens=666", "train.accumulate=3"]


def test_nearly_all_memory_is_a_warning(measure: Measure) -> None:
    _, [finding], machine = measure(step_bytes=int(6.5 * GB))
    assert (finding.severity, finding.kind) == ("warning", "memory")
    assert max(machine.sizes) == machine.largest


def test_a_model_larger_than_the_memory_is_not_built(measure: Measure) -> None:
    result, [finding], machine = measure(total_bytes=10_000)
    assert (finding.severity, finding.kind, finding.about) == ("error", "memory", "model")
    assert result is None
    assert machine.sizes == []


class NoFile:
    """A path to a file that does not exist."""

    def __init__(self, path: str) -> None:
        self.path = path

    def read_text(self, encoding: str) -> str:
        raise FileNotFoundError(self.path)

    def write_text(self, text: str, encoding: str) -> int:
        raise FileNotFoundError(self.path)


def test_the_peak_of_memory_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    training._reset_peak(device)
    before = training._peak_bytes(device)
    ones = torch.ones(25_000_000)
    assert before + 50_000_000 < training._peak_bytes(device) < before + 500_000_000
    del ones
    # Without /proc it is the peak since the start of the process.
    with monkeypatch.context() as patch:
        patch.setattr(training, "Path", NoFile)
        assert "since its start" in training._reset_peak(device)
        assert training._peak_bytes(device) >= before + 50_000_000
        patch.setitem(sys.modules, "resource", None)
        assert training._peak_bytes(device) == 0
