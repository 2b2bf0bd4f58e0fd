"""Check that line n of one side translates line n of the other, by comparing sentence lengths.

The lengths of a sentence and its translation are correlated (Gale and Church 1993), so wrong pairs
stand out, and shifting one side of misaligned lines restores the correlation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.check.finding import Finding, share
from nmt.data.corpus import corpus_name
from nmt.data.prepared import Int64s, Prepared

Float64s = npt.NDArray[np.float64]

_MIN_PAIRS = 50  # with fewer, a correlation says little
_BLOCK_PAIRS = 200
_MAX_SHIFT = 10
# In standard errors. Of a thousand runs of a million unrelated comparisons, about one exceeds it.
_SIGNIFICANT = 6.0
_UNRELATED, _WEAK = 0.2, 0.5
_MANY_SHIFTED = 0.05
_OUTLIER = 6.0  # robust standard deviations
_MIN_DEVIATION = 0.25  # else any difference would be an outlier among pairs of equal lengths
_MANY_OUTLIERS = 0.02
_EXAMPLES = 3


@dataclass(frozen=True)
class Shift:
    """A stretch of misaligned lines.

    Attributes:
        by: source line n belongs to target line n + by.
        first: its approximate start, as `file:line`.
        pairs: number of pairs in shifted blocks, by any number of lines.
    """

    by: int
    first: str
    pairs: int


@dataclass(frozen=True)
class Outlier:
    """A pair with unlikely lengths, in tokens without EOS."""

    origin: str
    src_tokens: int
    tgt_tokens: int


@dataclass(frozen=True)
class Alignment:
    """How well the lengths of the two sides of a corpus agree.

    Attributes:
        corpus: its name.
        pairs: number of pairs compared, which are those that passed the filters.
        ratio: target tokens per source token.
        correlation: of the log lengths; None if there are few pairs or all lengths are equal.
        shift: misaligned lines, if any.
        outliers: number of pairs with unlikely lengths.
        examples: the least likely pairs.
    """

    corpus: str
    pairs: int
    ratio: float
    correlation: float | None
    shift: Shift | None
    outliers: int
    examples: list[Outlier]


def alignments(prepared: Prepared) -> list[Alignment]:
    """Compare the lengths of the two sides, separately for each corpus."""
    results = []
    start = 0
    for corpus, size in zip(prepared.corpora, prepared.corpus_sizes, strict=True):
        rows = slice(start, start + size)
        # EOS counts, so no length is 0.
        src_N, tgt_N = prepared.src_lengths[rows], prepared.tgt_lengths[rows]
        outliers = _outliers(src_N, tgt_N)
        examples = [
            Outlier(prepared.origin(start + row), int(src_N[row]) - 1, int(tgt_N[row]) - 1)
            for row in outliers[:_EXAMPLES].tolist()
        ]
        results.append(
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
    return results


def alignment_findings(corpora: list[Alignment], about: str) -> Iterator[Finding]:
    """Yield a finding for each corpus with misaligned lines, and for pairs of unlikely lengths."""
    for corpus in corpora:
        if corpus.shift:
            yield _shift_finding(corpus, corpus.shift, about)
        elif corpus.correlation is not None and corpus.correlation < _WEAK:
            unrelated = corpus.correlation < _UNRELATED
            yield Finding(
                "error" if unrelated else "warning",
                "misaligned",
                about,
                f"{corpus.corpus}: the lengths of the two sides "
                f"are {'not' if unrelated else 'only weakly'} correlated "
                f"({corpus.correlation:.2f}; 0.7 to 0.95 is usual), so line n of one side probably "
                "does not translate line n of the other; look at a few pairs, and use both sides "
                "of the same release",
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
                f"{share(corpus.outliers, corpus.pairs)} pairs have lengths that are rare for "
                f"translations, such as {worst}; check them, and correct or remove them"
                + ("" if about != "data.train" else ", or set data.max_length_ratio"),
            )


def _shift_finding(corpus: Alignment, shift: Shift, about: str) -> Finding:
    longer, shorter = ("target", "source") if shift.by > 0 else ("source", "target")
    number = abs(shift.by)
    extra = "an extra line" if number == 1 else f"{number} extra lines"
    missing = "a missing line" if number == 1 else f"{number} missing lines"
    return Finding(
        "error" if shift.pairs > _MANY_SHIFTED * corpus.pairs else "warning",
        "misaligned",
        about,
        f"from about {shift.first} on the lines are misaligned: source line n belongs to target "
        f"line n {'+' if shift.by > 0 else '-'} {number}, "
        f"in {share(shift.pairs, corpus.pairs)} pairs; look there for {extra} on the "
        f"{longer} side, or {missing} on the {shorter} side",
    )


def _correlation(src_N: Int64s, tgt_N: Int64s) -> float | None:
    if len(src_N) < _MIN_PAIRS or not np.ptp(src_N) or not np.ptp(tgt_N):
        return None
    return float(np.corrcoef(np.log(src_N), np.log(tgt_N))[0, 1])


def _outliers(src_N: Int64s, tgt_N: Int64s) -> Int64s:
    """Return the rows of pairs with unlikely lengths, the least likely first.

    The model is that of Gale and Church (1993): the target length is a constant times the source
    length, with a variance proportional to the length. Medians give the centre and the scale of the
    deviations, because outliers do not distort them.
    """
    if len(src_N) < _MIN_PAIRS:
        return np.empty(0, np.int64)
    expected_N = src_N * (tgt_N.sum() / src_N.sum())
    z_N = (tgt_N - expected_N) / np.sqrt((tgt_N + expected_N) / 2)
    z_N -= np.median(z_N)
    # For a normal distribution, the median absolute deviation is 1/1.4826 standard deviations.
    distance_N = np.abs(z_N)
    distance_N /= max(1.4826 * float(np.median(distance_N)), _MIN_DEVIATION)
    outliers = np.flatnonzero(distance_N > _OUTLIER)
    return outliers[np.argsort(-distance_N[outliers], kind="stable")]


def _shift(src_N: Int64s, tgt_N: Int64s, prepared: Prepared, start: int) -> Shift | None:
    """Return the shift that aligns blocks of the corpus at row `start` better, or None."""
    if len(src_N) < _MIN_PAIRS:
        return None
    margin = _MAX_SHIFT
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
    # Fisher's transformation makes correlations normal, with variance 1 / (size - 3).
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
    """Return the correlation of each whole block; 0 if one side does not vary."""
    whole = len(x_N) // size * size
    x_CN, y_CN = x_N[:whole].reshape(-1, size), y_N[:whole].reshape(-1, size)
    x_CN = x_CN - x_CN.mean(axis=1, keepdims=True)
    y_CN = y_CN - y_CN.mean(axis=1, keepdims=True)
    scale = np.sqrt((x_CN**2).sum(axis=1) * (y_CN**2).sum(axis=1))
    correlations: Float64s = (x_CN * y_CN).sum(axis=1) / np.where(scale > 1e-9, scale, np.inf)
    return correlations.clip(-0.9999, 0.9999)


def _change(src_N: Float64s, tgt_N: Float64s, by: int, begin: int) -> int:
    """Return the row from which the shifted side fits better, found by cumulative sums."""
    rows = np.arange(begin, begin + len(src_N))
    ratio = np.median(tgt_N) - np.median(src_N)
    misfit = np.abs(tgt_N[rows] - src_N - ratio)
    shifted = np.abs(tgt_N[(rows + by).clip(0, len(tgt_N) - 1)] - src_N - ratio)
    # The leading 0 allows a change before the first row.
    return int(np.concatenate([[0.0], np.cumsum(misfit - shifted)[:-1]]).argmin())
