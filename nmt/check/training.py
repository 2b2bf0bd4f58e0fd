"""What training will take: memory for the largest batch, and time, both measured."""

from __future__ import annotations

import itertools
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nmt.check.finding import Finding
from nmt.check.plan import Plan, shape
from nmt.check.subject import Subject
from nmt.config.schema import Config
from nmt.data.batching import Batch, BatchOrder, batches, collate
from nmt.data.prepare import Prepared
from nmt.device import autocast, is_out_of_memory, memory_bytes
from nmt.errors import TrainingError
from nmt.training.learner import Learner
from nmt.training.run import BYTES_PER_PARAMETER
from nmt.training.schedule import learning_rate

Int64s = npt.NDArray[np.int64]

_SECONDS = 60.0  # of all steps together; one that has begun is waited for
_PARTS = (8, 4, 2, 1)  # of the largest batch: memory and time of the next are known before it
_WARM_UP_STEPS = 2
_SLOW_STEP = 1.0  # seconds; needs no warming up
_TIMED_STEPS = 20
_TIMED_SECONDS = 10.0
_MUCH_MEMORY = 0.9
_USUAL_MEMORY = 0.75
_DAY = 86_400


@dataclass(frozen=True)
class Measured:
    """What steps of training took.

    Attributes:
        device: where.
        precision: fp32 or bf16.
        threads: of the processor.
        peak_bytes: largest memory during steps of the largest batches: of the GPU's allocator, or
            of the whole process on a CPU. Saving and validation come on top.
        peak_is: how it was measured, in words.
        total_bytes: memory that there is.
        steps: steps that were timed.
        step_seconds: of one, on average.
        tgt_tokens_per_second: without padding.
        total_seconds: for `train.max_steps`, without validation.
        load: processes a processor that were running, over the last minute.
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


def measure(subject: Subject, device: torch.device) -> tuple[Measured | None, list[Finding]]:
    """Take a few steps of training with a network that is thrown away.

    Returns:
        The measurement (None if the model or a step does not fit into memory), and the findings.
    """
    config, plan = subject.config, subject.plan
    needed, total = plan.parameters * BYTES_PER_PARAMETER, memory_bytes(device)
    if needed > total:
        return None, [_model_too_large(f"take {_bytes(needed)}, and there are {_bytes(total)}")]
    said: list[str] = []
    try:
        learner = Learner(config, subject.tokenizers, device, said.append)
        measured = _measure(subject, device, learner)
    except TrainingError as error:
        return None, [Finding("error", "memory", "data.max_length", str(error))]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None, [_model_too_large("do not fit into memory")]
    return measured, [
        *_memory_findings(config, plan, said, measured),
        *_time_findings(config, measured),
    ]


@dataclass
class _Stopwatch:
    """Takes steps, and keeps count of time and tokens."""

    learner: Learner
    device: torch.device
    rate: float
    started: float
    steps: int = 0
    seconds: float = 0.0
    padded_tokens: int = 0
    tgt_tokens: int = 0

    def step(self, group: list[Batch]) -> float:
        """Take a step, and return its time in seconds."""
        start = time.monotonic()
        figures = self.learner.step(group, self.rate)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.monotonic() - start
        self.steps += 1
        self.seconds += seconds
        self.padded_tokens += sum(_padded_tokens(batch) for batch in group)
        self.tgt_tokens += figures.tokens
        return seconds

    def forget(self) -> None:
        """Count from here on."""
        self.steps, self.seconds, self.padded_tokens, self.tgt_tokens = 0, 0.0, 0, 0

    @property
    def left(self) -> float:
        """Seconds that are left for steps."""
        return self.started + _SECONDS - time.monotonic()


def _measure(subject: Subject, device: torch.device, learner: Learner) -> Measured:
    config, plan, train = subject.config, subject.plan, subject.parts["train"]
    load = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0
    rate = learning_rate(1, config.train, config.model.d_model)
    watch = _Stopwatch(learner, device, rate, started=time.monotonic())
    order = BatchOrder.of(train, config.train.batch_tokens, config.train.seed)
    peak_bytes, peak_is, is_whole = _measure_memory(subject, order.epoch(0), watch)
    if is_whole:
        typical = batches(train, subject.tokenizers, order, config, 0)
        _measure_time(typical, config.train.accumulate, plan, watch)
    step_tokens = plan.padded_tokens * config.train.accumulate
    step_seconds = watch.seconds / watch.padded_tokens * step_tokens
    bf16 = autocast(config.train.precision, device)._enabled
    return Measured(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        precision="bf16" if bf16 else "fp32",
        threads=torch.get_num_threads(),
        peak_bytes=peak_bytes,
        peak_is=peak_is,
        total_bytes=memory_bytes(device),
        steps=watch.steps,
        step_seconds=step_seconds,
        tgt_tokens_per_second=watch.tgt_tokens / watch.seconds,
        total_seconds=step_seconds * config.train.max_steps,
        load=load,
    )


def _measure_memory(
    subject: Subject, epoch: list[Int64s], watch: _Stopwatch
) -> tuple[int, str, bool]:
    """Train on growing parts of the largest batch, as far as memory and time allow.

    The system ends a process that takes all the memory of the machine, so the next part is taken
    only if it should fit: memory grows with the tokens.

    Returns:
        The peak in bytes for the largest batch, how it was found, and whether the whole of it was
        trained on.
    """
    device, train = watch.device, subject.parts["train"]
    largest, *others = _heaviest(train, epoch)
    peak_is = _reset_peak(device)
    # From the first step on there are gradients and two averages, in fp32.
    points = [(0, _peak_bytes(device) + 3 * 4 * subject.plan.parameters)]

    def step(rows: Int64s) -> int:
        batch = collate(*train.rows(rows), subject.tokenizers, rows)
        # With accumulation, the gradients of the batch before are there.
        watch.step([batch] * min(subject.config.train.accumulate, 2))
        return _padded_tokens(batch)

    for pairs in sorted({max(1, len(largest) // part) for part in _PARTS}):
        rows = largest[:pairs]
        if len(points) > 1:
            expected = _extrapolated(points, _num_tokens(train, rows))
            fits = device.type == "cuda" or expected < memory_bytes(device)
            if watch.left <= 0 or not fits:
                whole = _extrapolated(points, _num_tokens(train, largest))
                return whole, "of the process, estimated from smaller batches", False
        watch.forget()
        points.append((step(rows), _peak_bytes(device)))
    for rows in others:
        if watch.left > 0:
            step(rows)
    return _peak_bytes(device), peak_is, True


def _extrapolated(points: list[tuple[int, int]], tokens: int) -> int:
    """Continue the line through the last two points: tokens and bytes."""
    (x0, y0), (x1, y1) = points[-2:]
    slope = max(0.0, (y1 - y0) / (x1 - x0)) if x1 > x0 else 0.0
    return round(y1 + slope * (tokens - x1))


def _measure_time(typical: Iterator[Batch], accumulate: int, plan: Plan, watch: _Stopwatch) -> None:
    """Time some steps, unless the time is over: then that of the largest batch has to do."""
    typical = itertools.cycle(typical)  # a corpus of few batches is gone through again
    seconds = 0.0
    for number in itertools.count():
        if watch.left <= 0:
            return
        batch_seconds = watch.seconds / watch.padded_tokens * plan.padded_tokens
        size = max(1, min(accumulate, int(watch.left / batch_seconds)))
        if number <= _WARM_UP_STEPS and seconds < _SLOW_STEP:
            watch.forget()
        seconds = watch.step(list(itertools.islice(typical, size)))
        if watch.steps == _TIMED_STEPS or watch.seconds > _TIMED_SECONDS:
            return


def _heaviest(prepared: Prepared, epoch: list[Int64s]) -> list[Int64s]:
    """Choose the batch of most tokens, padding counted, and that of the longest sentences.

    Most of the memory grows with the tokens, that of attention with the square of the length.
    """
    shapes = np.array([shape(prepared, rows) for rows in epoch])
    lengths = shapes[:, 1] + shapes[:, 2]
    places = dict.fromkeys([int((shapes[:, 0] * lengths).argmax()), int(lengths.argmax())])
    return [epoch[place] for place in places]


def _num_tokens(prepared: Prepared, rows: Int64s) -> int:
    """Count the tokens of a batch, both sides and the padding included."""
    pairs, src, tgt = shape(prepared, rows)
    return pairs * (src + tgt)


def _padded_tokens(batch: Batch) -> int:
    return batch.src_BS.numel() + batch.tgt_in_BT.numel()


# ---------------------------------------------------------------- memory


def _reset_peak(device: torch.device) -> str:
    """Begin to measure, and say what is measured."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return "of tensors on the GPU, measured"
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return "of the process from its start, measured, at most"
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


def _model_too_large(what: str) -> Finding:
    text = f"the model and its optimizer alone {what}: take a smaller model"
    return Finding("error", "memory", "model", text)


def _memory_findings(
    config: Config, plan: Plan, said: list[str], measured: Measured
) -> Iterator[Finding]:
    for text in said:
        yield Finding("warning", "memory", "train.batch_tokens", text)
    used, total = measured.peak_bytes, measured.total_bytes
    if said or used <= _MUCH_MEMORY * total:
        return
    fixed = min(plan.parameters * BYTES_PER_PARAMETER, used - 1)
    room = _USUAL_MEMORY * total - fixed
    parts = math.ceil((used - fixed) / room) if room > 0 else 0
    if 0 < parts <= config.train.batch_tokens:
        way_out = (
            f"train.batch_tokens={config.train.batch_tokens // parts} "
            f"train.accumulate={config.train.accumulate * parts} is the same step in less memory"
        )
    else:
        way_out = "take a smaller model"
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
    """Say that training takes longer than a day, which few want without having asked for it."""
    if measured.total_seconds <= _DAY:
        return
    train = config.train
    bound = "" if train.patience is None else "up to "
    steps = max(1, round(train.max_steps * _DAY / measured.total_seconds))
    elsewhere = ", or train on a GPU" if measured.device == "cpu" else ""
    yield Finding(
        "warning",
        "time",
        "train.max_steps",
        f"{train.max_steps:,} steps take {bound}{measured.total_seconds / _DAY:,.1f} days here; "
        f"{steps:,} steps are a day; lower it, take a smaller model or a lower "
        f"train.batch_tokens{elsewhere}",
    )
