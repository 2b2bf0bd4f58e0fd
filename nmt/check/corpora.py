"""Checks of the corpora: dropped pairs, duplicates, overlap, lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.check.finding import Finding, Severity, share
from nmt.config.corpora import AnyCorpus
from nmt.config.data import DataConfig
from nmt.data.corpus import INVALID_UTF8, origin
from nmt.data.filters import (
    DUPLICATE,
    EMPTY_SIDE,
    LENGTH_RATIO,
    TOO_LONG,
    FilterReport,
)
from nmt.data.prepared import Int64s, Prepared

Bools = npt.NDArray[np.bool_]

_ROWS_AT_ONCE = 10_000
_MANY_DROPPED = 0.1
_MANY_DUPLICATES = 0.1
_MUCH_OVERLAP, _TOO_MUCH_OVERLAP = 0.01, 0.5
_MANY_COPIES = 0.01
_BINS = 15
_BIN_WIDTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

_WAYS_OUT = {
    INVALID_UTF8: "convert the file to keep them",
    EMPTY_SIDE: "training cannot use them",
    DUPLICATE: "data.drop_duplicates=false keeps them",
    TOO_LONG: "data.max_length sets the limit",
    LENGTH_RATIO: "data.max_length_ratio sets the limit",
}


# ---------------------------------------------------------------- dropped pairs


def dropped_findings(report: FilterReport, corpora: Sequence[AnyCorpus]) -> Iterator[Finding]:
    """Yield a finding for each filter that drops pairs from a training corpus."""
    for counts, corpus in zip(report.corpora, corpora, strict=True):
        for reason, tally in counts.dropped.items():
            yield Finding(
                "warning" if tally.count > _MANY_DROPPED * counts.read else "note",
                "dropped",
                "data.train",
                f"{counts.name}: {share(tally.count, counts.read)} pairs are dropped: {reason}, "
                f"first {origin(corpus, tally.first_line or 0)}; {_WAYS_OUT[reason]}",
            )


# ---------------------------------------------------------------- equal sentences


@dataclass(frozen=True)
class Sentences:
    """A 64-bit hash of each sentence, valid within this process only.

    Attributes:
        src_N: hashes of the source sentences.
        tgt_N: hashes of the target sentences.
    """

    src_N: Int64s
    tgt_N: Int64s

    @classmethod
    def of(cls, prepared: Prepared) -> Sentences:
        """Hash the text of all rows, in chunks to save memory."""
        sides = np.empty((2, len(prepared)), np.int64)
        for rows in chunks(prepared):
            for side, texts in zip(sides, prepared.texts(rows), strict=True):
                side[rows.start : rows.stop] = np.fromiter(map(hash, texts), np.int64, len(texts))
        return cls(*sides)

    @property
    def pair_hashes(self) -> Int64s:
        """Hashes of the pairs."""
        # The factor makes the hashes of (a, b) and (b, a) differ.
        return self.src_N * np.int64(0x9E3779B97F4A7C15 - (1 << 64)) + self.tgt_N

    @property
    def repeated(self) -> Bools:
        """Whether each pair repeats an earlier one, (N,)."""
        _, firsts = np.unique(self.pair_hashes, return_index=True)
        is_repeated_N = np.ones(len(self.src_N), np.bool_)
        is_repeated_N[firsts] = False
        return is_repeated_N

    def found_in(self, other: Sentences) -> tuple[Bools, Bools, Bools]:
        """Return which sources, targets and pairs, (N,) each, are also sources, targets and pairs
        of other sentences.
        """
        return (
            np.isin(self.src_N, other.src_N),
            np.isin(self.tgt_N, other.tgt_N),
            np.isin(self.pair_hashes, other.pair_hashes),
        )


@dataclass(frozen=True)
class Duplicates:
    """Repetitions among the training pairs.

    Attributes:
        pairs: number of pairs that repeat an earlier pair.
        example: such a pair and the earlier one, as `file:line`.
        ambiguous: number of distinct sources with several targets.
        ambiguous_example: two occurrences of such a source.
        copies: number of pairs with the same text on both sides.
        copies_example: such a pair.
    """

    pairs: int
    example: tuple[str, str] | None
    ambiguous: int
    ambiguous_example: tuple[str, str] | None
    copies: int
    copies_example: str | None


def duplicates(prepared: Prepared, sentences: Sentences) -> Duplicates:
    """Count repeated pairs, sources with several targets, and untranslated pairs."""
    pair_hashes, is_repeated = sentences.pair_hashes, sentences.repeated
    firsts = np.flatnonzero(~is_repeated)
    sources, counts = np.unique(sentences.src_N[firsts], return_counts=True)
    ambiguous = sources[counts > 1]
    copies = np.flatnonzero(sentences.src_N == sentences.tgt_N)
    example = ambiguous_example = None
    if is_repeated.any():
        same = np.flatnonzero(pair_hashes == pair_hashes[is_repeated.argmax()])[:2]
        example = prepared.origin(same[1]), prepared.origin(same[0])
    if len(ambiguous):
        sources = sentences.src_N[firsts]
        same = firsts[sources == sources[np.isin(sources, ambiguous).argmax()]][:2]
        ambiguous_example = prepared.origin(same[0]), prepared.origin(same[1])
    return Duplicates(
        pairs=int(is_repeated.sum()),
        example=example,
        ambiguous=len(ambiguous),
        ambiguous_example=ambiguous_example,
        copies=len(copies),
        copies_example=prepared.origin(copies[0]) if len(copies) else None,
    )


def duplicate_findings(duplicates: Duplicates, pairs: int) -> Iterator[Finding]:
    """Yield findings about repeated pairs and sources with several targets."""
    if duplicates.example:
        first, earlier = duplicates.example
        yield Finding(
            "warning" if duplicates.pairs > _MANY_DUPLICATES * pairs else "note",
            "duplicates",
            "data.train",
            f"{share(duplicates.pairs, pairs)} pairs repeat an earlier one: {first} repeats "
            f"{earlier}, for example; data.drop_duplicates=true drops them",
        )
    if duplicates.ambiguous_example:
        yield Finding(
            "note",
            "several-translations",
            "data.train",
            f"{duplicates.ambiguous:,} sources have several translations, such as "
            f"{' and '.join(duplicates.ambiguous_example)}; fine if both are correct",
        )


def copy_findings(duplicates: Duplicates, pairs: int) -> Iterator[Finding]:
    """Yield a finding about pairs with the same text on both sides."""
    if duplicates.copies_example:
        yield Finding(
            "warning" if duplicates.copies > _MANY_COPIES * pairs else "note",
            "copies",
            "data.train",
            f"{share(duplicates.copies, pairs)} pairs have the same text on both sides, such as "
            f"{duplicates.copies_example}; remove untranslated text, from which a model learns to "
            "copy",
        )


# ---------------------------------------------------------------- overlap with validation and test


@dataclass(frozen=True)
class Overlap:
    """How many sentences of a validation or test set are also in the training pairs, verbatim.

    Attributes:
        sentences: number of pairs in the set.
        src: number of sources that are also training sources.
        tgt: number of targets that are also training targets.
        pairs: number of pairs that are also training pairs.
        example: a sentence of the set and its copy in the training pairs, as `file:line`.
    """

    sentences: int
    src: int
    tgt: int
    pairs: int
    example: tuple[str, str] | None


def overlap(train: Prepared, in_train: Sentences, held_out: Prepared) -> Overlap:
    """Count the sentences of a held-out set that are also in the training pairs."""
    here = Sentences.of(held_out)
    sides = [(here.src_N, in_train.src_N), (here.tgt_N, in_train.tgt_N)]
    src, tgt, pairs = here.found_in(in_train)
    example = None
    for side, ((mine, theirs), matches) in enumerate(zip(sides, (src, tgt), strict=True)):
        if example is None and matches.any():
            row = int(matches.argmax())
            copy = int((theirs == mine[row]).argmax())
            example = held_out.origin(row, side), train.origin(copy, side)
    return Overlap(len(held_out), int(src.sum()), int(tgt.sum()), int(pairs.sum()), example)


def overlap_findings(overlap: Overlap, about: str) -> Iterator[Finding]:
    """Yield a finding if scores on the set are inflated by overlap with the training pairs."""
    if overlap.example is None:
        return
    most = max(overlap.src, overlap.tgt)
    limits: list[tuple[Severity, float]] = [
        ("error", _TOO_MUCH_OVERLAP),
        ("warning", _MUCH_OVERLAP),
    ]
    yield Finding(
        next((severity for severity, limit in limits if most > limit * overlap.sentences), "note"),
        "overlap",
        about,
        f"{share(most, overlap.sentences)} sentences are also in data.train "
        f"(sources {overlap.src:,}, targets {overlap.tgt:,}, pairs {overlap.pairs:,}), such as "
        f"{' and '.join(overlap.example)}; remove them from data.train: a model scores too well on "
        "sentences it was trained on",
    )


# ---------------------------------------------------------------- lengths


@dataclass(frozen=True)
class Lengths:
    """A histogram of the training pairs by length in tokens, EOS included as in `data.max_length`.

    Attributes:
        starts: the shortest length of each bin.
        src: number of pairs in each bin by source length.
        tgt: the same by target length.
        src_percentiles: the 50th, 95th, 99th and 100th percentile of the source lengths.
        tgt_percentiles: of the target lengths.
    """

    starts: list[int]
    src: list[int]
    tgt: list[int]
    src_percentiles: list[int]
    tgt_percentiles: list[int]


PERCENTILES = (50, 95, 99, 100)


def lengths(prepared: Prepared) -> Lengths:
    """Count pairs by length, in bins of a round width; the last bin takes all longer pairs."""
    sides = prepared.src_lengths, prepared.tgt_lengths
    usual = max(float(np.percentile(side, 99)) for side in sides)
    longest = max(int(side.max()) for side in sides)
    fitting = [width for width in _BIN_WIDTHS if usual < 1 + width * (_BINS - 1)]
    width = fitting[0] if fitting else -(-longest // _BINS)
    bins = min(_BINS, (longest - 1) // width + 1)
    src, tgt = (
        np.bincount(((side - 1) // width).clip(max=bins - 1), minlength=bins).tolist()
        for side in sides
    )
    percentiles = [
        [int(value) for value in np.percentile(side, PERCENTILES, method="higher")]
        for side in sides
    ]
    return Lengths([1 + width * number for number in range(bins)], src, tgt, *percentiles)


def held_out_findings(held_out: Prepared, data: DataConfig, about: str) -> Iterator[Finding]:
    """Yield findings about pairs of a held-out set that the training filters would drop."""
    shorter = np.minimum(held_out.src_lengths, held_out.tgt_lengths)
    longer = np.maximum(held_out.src_lengths, held_out.tgt_lengths)
    if (empty := shorter == 1).any():
        yield Finding(
            "warning",
            "empty-sides",
            about,
            f"{share(int(empty.sum()), len(empty))} pairs have an empty side, first "
            f"{held_out.origin(int(empty.argmax()))}; remove them: they count in the scores",
        )
    if (long := longer > data.max_length).any():
        yield Finding(
            "note",
            "too-long",
            about,
            f"{share(int(long.sum()), len(long))} pairs are longer than data.max_length "
            f"{data.max_length}, first {held_out.origin(int(long.argmax()))}; training drops "
            "such pairs; raise it if texts to translate will be as long",
        )


def chunks(prepared: Prepared) -> Iterator[range]:
    """Yield ranges of rows to read together, to save memory."""
    for start in range(0, len(prepared), _ROWS_AT_ONCE):
        yield range(start, min(start + _ROWS_AT_ONCE, len(prepared)))
