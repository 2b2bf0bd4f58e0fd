"""Whether line n of one side translates line n of the other, judged by their lengths alone.

The lengths of a sentence and its translation go together (Gale and Church 1993), so wrong pairs
stand out, and lines that are out of step go together again when one side is shifted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.check.finding import Finding, share
from nmt.data.corpus import corpus_name
from nmt.data.prepare import Prepared

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

_FEWEST_PAIRS = 50  # with fewer, a correlation says little
_BLOCK_PAIRS = 200
_LONGEST_SHIFT = 10
# In standard errors. A million comparisons of unrelated numbers exceed it once in a thousand times.
_SIGNIFICANT = 6.0
_UNRELATED, _WEAK = 0.2, 0.5
_MANY_SHIFTED = 0.05
_OUTLIER = 6.0  # robust standard deviations
_SMALLEST_DEVIATION = 0.25  # so that one odd pair among pairs of equal lengths is no outlier yet
_MANY_OUTLIERS = 0.02
_EXAMPLES = 3


@dataclass(frozen=True)
class Shift:
    """Lines that are out of step.

    Attributes:
        by: source line n belongs to target line n + by.
        first: about where it begins, as `file:line`.
        pairs: how many pairs are in blocks that are shifted by any number of lines.
    """

    by: int
    first: str
    pairs: int


@dataclass(frozen=True)
class Outlier:
    """A pair of unlikely lengths, in tokens without marks."""

    origin: str
    src_tokens: int
    tgt_tokens: int


@dataclass(frozen=True)
class Alignment:
    """How well the lengths of both sides of a corpus go together.

    Attributes:
        corpus: its name.
        pairs: pairs looked at, those that no filter dropped.
        ratio: target tokens a source token.
        correlation: of the logarithms of the lengths; None for few pairs or equal lengths.
        shift: lines out of step, if any.
        outliers: pairs of unlikely lengths.
        examples: the least likely ones.
    """

    corpus: str
    pairs: int
    ratio: float
    correlation: float | None
    shift: Shift | None
    outliers: int
    examples: list[Outlier]


def alignments(prepared: Prepared) -> list[Alignment]:
    """Compare the lengths of both sides, for each corpus by itself."""
    found = []
    start = 0
    for corpus, size in zip(prepared.corpora, prepared.corpus_sizes, strict=True):
        rows = slice(start, start + size)
        # With the end mark, no length is 0.
        src_N, tgt_N = prepared.src_lengths[rows], prepared.tgt_lengths[rows]
        outliers = _outliers(src_N, tgt_N)
        examples = [
            Outlier(prepared.origin(start + row), int(src_N[row]) - 1, int(tgt_N[row]) - 1)
            for row in outliers[:_EXAMPLES].tolist()
        ]
        found.append(
            Alignment(
                corpus_name(corpus),
                size,
                float(tgt_N.sum() / max(src_N.sum(), 1)),
                _correlation(src_N, tgt_N),
                _shift(src_N, tgt_N, prepared, start),
                len(outliers),
                examples,
            )
        )
        start += size
    return found


def alignment_findings(found: list[Alignment], about: str) -> Iterator[Finding]:
    """Say what is suspicious."""
    for corpus in found:
        if corpus.shift:
            yield _shift_finding(corpus, corpus.shift, about)
        elif corpus.correlation is not None and corpus.correlation < _WEAK:
            unrelated = corpus.correlation < _UNRELATED
            yield Finding(
                "error" if unrelated else "warning",
                "misaligned",
                about,
                f"{corpus.corpus}: the lengths of the two sides "
                f"{'have nothing to do' if unrelated else 'go poorly'} with each other "
                f"(correlation {corpus.correlation:.2f}, usual is 0.7 to 0.95): line n of one "
                "side seems not to translate line n of the other; look at a few pairs, and take "
                "both sides from the same release",
            )
        if corpus.outliers:
            worst = ", ".join(
                f"{one.origin} ({one.src_tokens} to {one.tgt_tokens} tokens)"
                for one in corpus.examples
            )
            yield Finding(
                "warning" if corpus.outliers > _MANY_OUTLIERS * corpus.pairs else "note",
                "length-outliers",
                about,
                f"{share(corpus.outliers, corpus.pairs)} pairs have lengths that translations "
                f"rarely have, such as {worst}; look at them, correct or remove them"
                + ("" if about != "data.train" else ", or set data.max_length_ratio"),
            )


def _shift_finding(corpus: Alignment, shift: Shift, about: str) -> Finding:
    longer, shorter = ("target", "source") if shift.by > 0 else ("source", "target")
    lines = "a line" if abs(shift.by) == 1 else f"{abs(shift.by)} lines"
    return Finding(
        "error" if shift.pairs > _MANY_SHIFTED * corpus.pairs else "warning",
        "misaligned",
        about,
        f"from about {shift.first} on the lines are out of step: source line n goes with target "
        f"line n {'+' if shift.by > 0 else '-'} {abs(shift.by)}, "
        f"{share(shift.pairs, corpus.pairs)} pairs in all; look there for {lines} too many on the "
        f"{longer} side, or missing on the {shorter} side",
    )


def _correlation(src_N: Int64s, tgt_N: Int64s) -> float | None:
    if len(src_N) < _FEWEST_PAIRS or not np.ptp(src_N) or not np.ptp(tgt_N):
        return None
    return float(np.corrcoef(np.log(src_N), np.log(tgt_N))[0, 1])


def _outliers(src_N: Int64s, tgt_N: Int64s) -> Int64s:
    """Find pairs of unlikely lengths, the least likely first.

    The target length is the source length times a constant, with a variance that grows with the
    length (Gale and Church 1993); the constants are the corpus' own, estimated by medians.
    """
    if len(src_N) < _FEWEST_PAIRS:
        return np.empty(0, np.int64)
    expected_N = src_N * (tgt_N.sum() / src_N.sum())
    z_N = (tgt_N - expected_N) / np.sqrt((tgt_N + expected_N) / 2)
    z_N -= np.median(z_N)
    # The median of the absolute deviations of a normal distribution is 1/1.4826 of its deviation.
    distance_N = np.abs(z_N)
    distance_N /= max(1.4826 * float(np.median(distance_N)), _SMALLEST_DEVIATION)
    outliers = np.flatnonzero(distance_N > _OUTLIER)
    return outliers[np.argsort(-distance_N[outliers], kind="stable")]


def _shift(src_N: Int64s, tgt_N: Int64s, prepared: Prepared, start: int) -> Shift | None:
    """Find where blocks of a corpus, from row `start`, go together better with a side shifted."""
    if len(src_N) < _FEWEST_PAIRS:
        return None
    margin = _LONGEST_SHIFT
    inner = len(src_N) - 2 * margin
    size = min(_BLOCK_PAIRS, inner)
    log_src_N, log_tgt_N = np.log(src_N), np.log(tgt_N)
    offsets = [0, *range(-margin, 0), *range(1, margin + 1)]
    correlations = np.stack(
        [
            _block_correlations(log_src_N[margin:-margin], log_tgt_N[margin + by :][:inner], size)
            for by in offsets
        ]
    )
    unshifted, shifted = correlations[0], correlations[1:]
    best = shifted.max(axis=0)
    # Fisher's transformation makes correlations normal with the variance 1 / (size - 3).
    gain = (np.arctanh(best) - np.arctanh(unshifted)) * np.sqrt((size - 3) / 2)
    suspect = np.flatnonzero((gain > _SIGNIFICANT) & (best > _WEAK))
    if not len(suspect):
        return None
    first = int(suspect[0])
    by = offsets[1 + int(shifted[:, first].argmax())]
    begin, end = max(0, first - 1) * size, margin + (first + 1) * size
    change = begin + _change(log_src_N[begin:end], log_tgt_N, by, begin)
    return Shift(by, prepared.origin(start + change), len(suspect) * size)


def _block_correlations(x_N: Float64s, y_N: Float64s, size: int) -> Float64s:
    """Correlate block by block; 0 where one side does not vary. What fills no block is left out."""
    whole = len(x_N) // size * size
    x_CN, y_CN = x_N[:whole].reshape(-1, size), y_N[:whole].reshape(-1, size)
    x_CN = x_CN - x_CN.mean(axis=1, keepdims=True)
    y_CN = y_CN - y_CN.mean(axis=1, keepdims=True)
    scale = np.sqrt((x_CN**2).sum(axis=1) * (y_CN**2).sum(axis=1))
    correlations: Float64s = (x_CN * y_CN).sum(axis=1) / np.where(scale > 1e-9, scale, np.inf)
    return correlations.clip(-0.9999, 0.9999)


def _change(src_N: Float64s, tgt_N: Float64s, by: int, begin: int) -> int:
    """Find the row of a stretch after which the shifted side fits better (cumulative sums)."""
    rows = np.arange(begin, begin + len(src_N))
    ratio = np.median(tgt_N) - np.median(src_N)
    misfit = np.abs(tgt_N[rows] - src_N - ratio)
    shifted = np.abs(tgt_N[(rows + by).clip(0, len(tgt_N) - 1)] - src_N - ratio)
    # Zero stands for a change before the first row.
    return int(np.concatenate([[0.0], np.cumsum(misfit - shifted)[:-1]]).argmin())
