"""Measure the memory that the largest batch takes, and the time of a training step."""

from __future__ import annotations

import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from nmt.check.finding import Finding
from nmt.check.plan import Plan, shape
from nmt.check.subject import Subject
from nmt.config.schema import Config
from nmt.data.batching import Batch, BatchOrder, batches, collate
from nmt.data.links import PieceLinks
from nmt.data.prepared import Int64s, Prepared
from nmt.device import autocast, is_out_of_memory, memory_bytes
from nmt.errors import TrainingError
from nmt.training.device import bytes_per_parameter
from nmt.training.learner import Learner
from nmt.training.optimizer import ModelTooLarge
from nmt.training.schedule import learning_rate

_PARTS = (8, 4, 2, 1)  # of the largest batch, so that the next part can be predicted
_WARM_UP_STEPS = 2
_SLOW_STEP = 1.0  # seconds; one is enough to warm up
_TIMED_STEPS = 20
_TIMED_SECONDS = 10.0
_MUCH_MEMORY = 0.9
_USUAL_MEMORY = 0.75
_DAY = 86_400


@dataclass(frozen=True)
class Measured:
    """Measurements of training steps.

    Attributes:
        device: name of the GPU, or `cpu`.
        precision: `fp32` or `bf16`.
        threads: number of CPU threads.
        peak_bytes: peak memory during steps on the largest batches: of the GPU's allocator, or of
            the whole process on a CPU. Saving and validation are not included.
        peak_is: how `peak_bytes` was measured, in words.
        total_bytes: total memory of the device.
        steps: number of timed steps.
        step_seconds: median time of a step, once warm.
        tgt_tokens_per_second: padding not counted.
        total_seconds: time for `train.max_steps`, without validation.
        load: running processes per core, averaged over the last minute.
    """

    device: str
    precision: str
    threads: int
    peak_bytes: int
    peak_is: str
    total_bytes: int
    steps: int
    step_seconds: float
    tgt_tokens_per_second: float
    total_seconds: float
    load: float


def measure(
    subject: Subject, device: torch.device, seconds: float = 60.0
) -> tuple[Measured | None, list[Finding]]:
    """Take a few training steps with a temporary network.

    Args:
        subject: the training run.
        device: where to take the steps.
        seconds: time limit for all steps together; a step in progress is finished.

    Returns:
        The measurements (None if the model or a step does not fit into memory), and the findings.
    """
    config, plan = subject.config, subject.plan
    needed, total = plan.parameters * bytes_per_parameter(config), memory_bytes(device)
    if needed > total:
        return None, [_model_too_large(f"take {_bytes(needed)}, but {device} has {_bytes(total)}")]
    messages: list[str] = []
    try:
        learner = Learner(config, subject.tokenizers, device, messages.append)
        measured = _measure(subject, device, learner, seconds)
    except ModelTooLarge:
        return None, [_model_too_large("do not fit into memory")]
    except TrainingError as error:
        return None, [Finding("error", "memory", "data.max_length", str(error))]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None, [_model_too_large("do not fit into memory")]
    return measured, [
        *_memory_findings(config, plan, messages, measured),
        *_time_findings(config, measured),
    ]


class _Lap(NamedTuple):
    """The time and the tokens of a step."""

    seconds: float
    padded_tokens: int
    tgt_tokens: int


@dataclass
class _Stopwatch:
    """Takes steps, and notes the time and the tokens of each."""

    learner: Learner
    device: torch.device
    rate: float
    deadline: float
    laps: list[_Lap] = field(default_factory=list)

    def step(self, group: list[Batch]) -> float:
        """Take a step and return its time in seconds."""
        # With guided alignment, a step takes the same time and memory without links.
        group = [replace(batch, links=PieceLinks.none()) for batch in group]
        start = time.monotonic()
        figures = self.learner.step(group, self.rate)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.monotonic() - start
        self.laps.append(_Lap(seconds, sum(map(_padded_tokens, group)), figures.tokens))
        return seconds

    @property
    def seconds(self) -> float:
        """Seconds that the steps took."""
        return sum(lap.seconds for lap in self.laps)

    @property
    def token_seconds(self) -> float:
        """Median of the seconds that a step took for each token, padding included."""
        return statistics.median(lap.seconds / lap.padded_tokens for lap in self.laps)

    @property
    def tgt_part(self) -> float:
        """Part of the tokens that are target tokens, padding not counted."""
        padded_tokens = sum(lap.padded_tokens for lap in self.laps)
        return sum(lap.tgt_tokens for lap in self.laps) / padded_tokens

    @property
    def seconds_left(self) -> float:
        """Seconds left for further steps."""
        return self.deadline - time.monotonic()


def _measure(subject: Subject, device: torch.device, learner: Learner, seconds: float) -> Measured:
    config, plan, train = subject.config, subject.plan, subject.parts["train"]
    load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0
    rate = learning_rate(1, config.train, config.model.d_model)
    watch = _Stopwatch(learner, device, rate, deadline=time.monotonic() + seconds)
    order = BatchOrder.of(train, config.train.batch_tokens, config.train.seed)
    peak_bytes, peak_is, was_complete = _measure_memory(subject, order.epoch(0), watch)
    if was_complete:
        typical = batches(train, subject.tokenizers, order, config, 0)
        _measure_time(typical, config.train.accumulate, plan, watch)
    step_seconds = watch.token_seconds * plan.padded_tokens * config.train.accumulate
    bf16 = autocast(config.train.precision, device)._enabled
    return Measured(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        precision="bf16" if bf16 else "fp32",
        threads=torch.get_num_threads(),
        peak_bytes=peak_bytes,
        peak_is=peak_is,
        total_bytes=memory_bytes(device),
        steps=len(watch.laps),
        step_seconds=step_seconds,
        tgt_tokens_per_second=watch.tgt_part / watch.token_seconds,
        total_seconds=step_seconds * config.train.max_steps,
        load=load,
    )


def _measure_memory(
    subject: Subject, epoch: list[Int64s], watch: _Stopwatch
) -> tuple[int, str, bool]:
    """Train on growing parts of the largest batch, as far as memory and time allow.

    The operating system kills a process that exhausts the memory, so a part is tried only if it
    should fit, by extrapolation from the parts before.

    Returns:
        The peak in bytes for the largest batch, how it was measured, and whether the whole batch
        was tried.
    """
    device, train = watch.device, subject.parts["train"]
    largest, *others = _heaviest(train, epoch)
    peak_is = _reset_peak(device)
    # The first step adds the gradients and the two moments of Adam, in fp32.
    points = [(0, _peak_bytes(device) + 3 * 4 * subject.plan.parameters)]
    tried = largest[:0]

    def step(rows: Int64s) -> int:
        batch = collate(*train.rows(rows), subject.tokenizers, rows)
        # With accumulation, the gradients of the previous batch are in memory as well.
        watch.step([batch] * min(subject.config.train.accumulate, 2))
        return _padded_tokens(batch)

    for pairs in sorted({max(1, len(largest) // part) for part in _PARTS}):
        rows = largest[:pairs]
        if len(points) > 1:
            expected = _extrapolated(points, _num_tokens(train, rows))
            fits = device.type == "cuda" or expected < memory_bytes(device)
            if watch.seconds_left <= 0 or not fits:
                _time_again(partial(step, tried), watch)
                whole = _extrapolated(points, _num_tokens(train, largest))
                return whole, "of the process, estimated from smaller batches", False
        watch.laps.clear()
        points.append((step(rows), _peak_bytes(device)))
        tried = rows
    for rows in others:
        if watch.seconds_left > 0:
            step(rows)
    return _peak_bytes(device), peak_is, True


def _time_again(step: Callable[[], object], watch: _Stopwatch) -> None:
    """Repeat a step that may have been the first one, which is slower, and count it alone."""
    if watch.seconds_left > 0:
        step()
        del watch.laps[:-1]


def _extrapolated(points: list[tuple[int, int]], tokens: int) -> int:
    """Extrapolate bytes linearly from the last two points (tokens, bytes)."""
    (x0, y0), (x1, y1) = points[-2:]
    slope = max(0.0, (y1 - y0) / (x1 - x0)) if x1 > x0 else 0.0
    return round(y1 + slope * (tokens - x1))


def _measure_time(typical: Iterator[Batch], accumulate: int, plan: Plan, watch: _Stopwatch) -> None:
    """Time some typical steps; if no time is left, the steps on the largest batch count."""
    typical = itertools.cycle(typical)  # a small corpus has too few batches
    seconds = 0.0
    for number in itertools.count():
        if watch.seconds_left <= 0:
            return
        batch_seconds = watch.token_seconds * plan.padded_tokens
        size = max(1, min(accumulate, int(watch.seconds_left / batch_seconds)))
        if number <= (_WARM_UP_STEPS if seconds < _SLOW_STEP else 1):
            watch.laps.clear()
        seconds = watch.step(list(itertools.islice(typical, size)))
        if len(watch.laps) == _TIMED_STEPS or watch.seconds > _TIMED_SECONDS:
            return


def _heaviest(prepared: Prepared, epoch: list[Int64s]) -> list[Int64s]:
    """Return the batch with the most tokens, padding included, and that with the longest pairs.

    Most memory is linear in the number of tokens, that of attention quadratic in the length.
    """
    shapes = np.array([shape(prepared, rows) for rows in epoch])
    lengths = shapes[:, 1] + shapes[:, 2]
    largest = dict.fromkeys([int((shapes[:, 0] * lengths).argmax()), int(lengths.argmax())])
    return [epoch[number] for number in largest]


def _num_tokens(prepared: Prepared, rows: Int64s) -> int:
    """Return the number of tokens of a batch, both sides and padding included."""
    pairs, src, tgt = shape(prepared, rows)
    return pairs * (src + tgt)


def _padded_tokens(batch: Batch) -> int:
    return batch.src_BS.numel() + batch.tgt_in_BT.numel()


# ---------------------------------------------------------------- memory


def _reset_peak(device: torch.device) -> str:
    """Reset the peak, and return a description of what is measured."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return "of tensors on the GPU, measured"
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return "of the process since its start, measured, an upper bound"
    return "of the process, measured"


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return _peak_bytes_without_proc()
    [kilobytes] = [line.split()[1] for line in status.split("\n") if line.startswith("VmHWM:")]
    return int(kilobytes) * 1024


def _peak_bytes_without_proc() -> int:
    try:
        import resource
    except ImportError:  # on Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _model_too_large(problem: str) -> Finding:
    text = f"the model and its optimizer alone {problem}: use a smaller model"
    return Finding("error", "memory", "model", text)


def _memory_findings(
    config: Config, plan: Plan, messages: list[str], measured: Measured
) -> Iterator[Finding]:
    for text in messages:
        yield Finding("warning", "memory", "train.batch_tokens", text)
    used, total = measured.peak_bytes, measured.total_bytes
    if messages or used <= _MUCH_MEMORY * total:
        return
    fixed = min(plan.parameters * bytes_per_parameter(config), used - 1)
    available = _USUAL_MEMORY * total - fixed
    parts = math.ceil((used - fixed) / available) if available > 0 else 0
    if 0 < parts <= config.train.batch_tokens:
        way_out = (
            f"train.batch_tokens={config.train.batch_tokens // parts} "
            f"train.accumulate={config.train.accumulate * parts} is the same step in less memory"
        )
    else:
        way_out = "use a smaller model"
    yield Finding(
        "error" if used > total else "warning",
        "memory",
        "train.batch_tokens",
        f"the largest batch takes {_bytes(used)}, {used / total:.0%} of the memory of "
        f"{_bytes(total)}: {way_out}",
    )


def _bytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB"


# ---------------------------------------------------------------- time


def _time_findings(config: Config, measured: Measured) -> Iterator[Finding]:
    """Yield a finding if training takes longer than a day."""
    if measured.total_seconds <= _DAY:
        return
    train = config.train
    bound = "" if train.patience is None else "up to "
    steps = max(1, round(train.max_steps * _DAY / measured.total_seconds))
    or_gpu = ", or train on a GPU" if measured.device == "cpu" else ""
    yield Finding(
        "warning",
        "time",
        "train.max_steps",
        f"{train.max_steps:,} steps take {bound}{measured.total_seconds / _DAY:,.1f} days here; "
        f"{steps:,} steps take a day; lower it, use a smaller model or a lower "
        f"train.batch_tokens{or_gpu}",
    )
