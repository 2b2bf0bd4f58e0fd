"""What training will take: memory for the largest batch, and time, both measured."""

from __future__ import annotations

import itertools
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nmt.config import Config
from nmt.data.batching import Batch, BatchOrder, batches, collate
from nmt.data.prepare import Prepared
from nmt.data.tokenizer import Tokenizers
from nmt.device import autocast, is_out_of_memory
from nmt.errors import TrainingError
from nmt.model.build import make_network
from nmt.preflight.finding import Finding
from nmt.train.learner import Learner
from nmt.train.schedule import learning_rate

Int64s = npt.NDArray[np.int64]

_WARM_UP_STEPS = 2
_TIMED_STEPS = 20
_SAMPLED_PAIRS = 1000
_TIMED_SECONDS = 10.0
_MUCH_MEMORY = 0.9


@dataclass(frozen=True)
class Plan:
    """How the training pairs are divided.

    Attributes:
        parameters: of the model; shared ones count once.
        batches_per_epoch: about; each epoch is cut in its own way, and sampled segmentations
            are longer than the plain ones.
        epochs: in `train.max_steps`.
        padding: share of padding in the batches, both sides together.
        largest_batch: pairs, and the source and target lengths that they are padded to.
    """

    parameters: int
    batches_per_epoch: int
    epochs: float
    padding: float
    largest_batch: tuple[int, int, int]


@dataclass(frozen=True)
class Measured:
    """What steps of training took.

    Attributes:
        device: where.
        precision: fp32 or bf16.
        threads: of the processor.
        peak_bytes: largest memory during these steps and two of the largest batch: of the GPU's
            allocator, or of the whole process on a CPU. Saving and validation come on top.
        peak_is: how it was measured, in words.
        total_bytes: memory that there is.
        steps: steps that were timed.
        step_seconds: their mean.
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


def measure(
    config: Config, tokenizers: Tokenizers, prepared: Prepared, device: torch.device
) -> tuple[Plan, Measured | None, list[Finding]]:
    """Plan the batches, and take a few steps of training with a network that is thrown away.

    Returns:
        The plan, the measurement (None if a step does not fit into memory), and the findings.
    """
    order = BatchOrder.of(prepared, config.train.batch_tokens, config.train.seed)
    epoch = order.epoch(0)
    plan = _plan(config, tokenizers, prepared, epoch)
    heaviest = _heaviest(prepared, tokenizers, epoch)
    typical = batches(prepared, tokenizers, order, config, 0)
    said: list[str] = []
    try:
        learner = Learner(config, tokenizers, device, said.append)
        measured = _measure(config, device, learner, heaviest, typical)
    except TrainingError as error:
        return plan, None, [Finding("error", "memory", "data.max_length", str(error))]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        text = "the model and its optimizer alone do not fit into memory; take a smaller model"
        return plan, None, [Finding("error", "memory", "model", text)]
    return plan, measured, [*_memory_findings(said, measured)]


def _plan(config: Config, tokenizers: Tokenizers, prepared: Prepared, epoch: list[Int64s]) -> Plan:
    shapes = [_shape(prepared, rows) for rows in epoch]
    padded = sum(pairs * (src + tgt) for pairs, src, tgt in shapes)
    rows = np.concatenate(epoch)
    tokens = int(prepared.src_lengths[rows].sum() + prepared.tgt_lengths[rows].sum())
    number = max(1, round(len(epoch) * _growth(config, tokenizers, prepared, rows)))
    with torch.device("meta"):  # shapes without numbers
        network = make_network(config.model, *tokenizers.sizes)
    return Plan(
        sum(parameter.numel() for parameter in network.parameters()),
        number,
        config.train.max_steps * config.train.accumulate / number,
        1 - tokens / padded,
        max(shapes, key=lambda shape: shape[0] * (shape[1] + shape[2])),
    )


def _growth(config: Config, tokenizers: Tokenizers, prepared: Prepared, rows_N: Int64s) -> float:
    """Estimate how many times longer pairs are when their segmentation is sampled."""
    alpha, nbest = config.tokenizer.sampling_alpha, config.tokenizer.sampling_nbest
    if not alpha:
        return 1.0
    rows_N = np.random.default_rng(config.train.seed).choice(rows_N, _SAMPLED_PAIRS)
    sampled = [
        np.array([len(ids) + 1 for ids in tokenizer.sample(texts, alpha, nbest, seed=0)])
        for tokenizer, texts in zip(tokenizers, prepared.texts(rows_N), strict=True)
    ]
    plain = prepared.src_lengths[rows_N], prepared.tgt_lengths[rows_N]
    return float(np.maximum(*sampled).sum() / np.maximum(*plain).sum())


def _shape(prepared: Prepared, rows: Int64s) -> tuple[int, int, int]:
    """Return the pairs of a batch and the lengths of its sides."""
    return len(rows), int(prepared.src_lengths[rows].max()), int(prepared.tgt_lengths[rows].max())


def _measure(
    config: Config,
    device: torch.device,
    learner: Learner,
    heaviest: Iterator[Batch],
    typical: Iterator[Batch],
) -> Measured:
    rate = learning_rate(1, config.train, config.model.d_model)
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    peak_is = _reset_peak(device)
    for batch in heaviest:
        # Twice: the averages of the optimizer, and with accumulation the gradients of the batch
        # before, are there from the second on.
        for _ in range(2):
            learner.step([batch] * min(config.train.accumulate, 2), rate)
    seconds: list[float] = []
    tokens = 0
    for number, group in enumerate(_groups(typical, config.train.accumulate)):
        start = time.monotonic()
        figures = learner.step(group, rate)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number >= _WARM_UP_STEPS:
            seconds.append(time.monotonic() - start)
            tokens += figures.tokens
        if len(seconds) == _TIMED_STEPS or sum(seconds) > _TIMED_SECONDS:
            break
    mean = sum(seconds) / len(seconds)
    bf16 = autocast(config.train.precision, device)._enabled
    return Measured(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        precision="bf16" if bf16 else "fp32",
        threads=torch.get_num_threads(),
        peak_bytes=_peak_bytes(device),
        peak_is=peak_is,
        total_bytes=_total_bytes(device),
        steps=len(seconds),
        step_seconds=mean,
        tgt_tokens_per_second=tokens / sum(seconds),
        total_seconds=mean * config.train.max_steps,
        load=load,
    )


def _heaviest(prepared: Prepared, tokenizers: Tokenizers, epoch: list[Int64s]) -> Iterator[Batch]:
    """Make the batch of most tokens, padding counted, and that of the longest sentences.

    Most of the memory grows with the tokens, that of attention with the square of the length.
    """
    shapes = np.array([_shape(prepared, rows) for rows in epoch])
    lengths = shapes[:, 1] + shapes[:, 2]
    for place in dict.fromkeys([int((shapes[:, 0] * lengths).argmax()), int(lengths.argmax())]):
        yield collate(*prepared.rows(epoch[place]), tokenizers, epoch[place])


def _groups(stream: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Yield the batches of one step after another; a corpus of few batches is gone through anew."""
    stream = itertools.cycle(stream)
    while True:
        yield list(itertools.islice(stream, size))


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
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    [kilobytes] = [line.split()[1] for line in status.split("\n") if line.startswith("VmHWM:")]
    return int(kilobytes) * 1024


def _total_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _memory_findings(said: list[str], measured: Measured) -> Iterator[Finding]:
    for text in said:
        yield Finding("warning", "memory", "train.batch_tokens", text)
    if not said and measured.peak_bytes > _MUCH_MEMORY * measured.total_bytes:
        yield Finding(
            "warning",
            "memory",
            "train.batch_tokens",
            f"the largest batch takes {measured.peak_bytes / measured.total_bytes:.0%} of the "
            "memory; a lower train.batch_tokens with a higher train.accumulate takes less",
        )
