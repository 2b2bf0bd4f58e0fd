"""What the corpora hold: dropped pairs, duplicates, overlap, lengths, unknown characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.check.finding import Finding, Severity, share
from nmt.config.corpora import AnyCorpus, FilesCorpus
from nmt.config.schema import DataConfig
from nmt.data.corpus import INVALID_UTF8, origin
from nmt.data.filters import (
    DUPLICATE,
    EMPTY_SIDE,
    LENGTH_RATIO,
    TOO_LONG,
    FilterReport,
)
from nmt.data.prepare import Prepared
from nmt.data.tokenizer import Tokenizer, Tokenizers

Int64s = npt.NDArray[np.int64]

_ROWS_AT_ONCE = 10_000
_MANY_DROPPED = 0.1
_MANY_DUPLICATES = 0.1
_MUCH_OVERLAP, _TOO_MUCH_OVERLAP = 0.01, 0.5
_MANY_UNKNOWN = 0.01
_MANY_COPIES = 0.01
_UNKNOWN_ROWS = 200
_EXAMPLES = 5
_BINS = 15
_BIN_WIDTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

_WAYS_OUT = {
    INVALID_UTF8: "convert the file to keep them",
    EMPTY_SIDE: "nothing can be learnt from them",
    DUPLICATE: "data.drop_duplicates=false keeps them",
    TOO_LONG: "data.max_length sets the limit",
    LENGTH_RATIO: "data.max_length_ratio sets the limit",
}


# ---------------------------------------------------------------- what the filters drop


def dropped_findings(report: FilterReport, corpora: Sequence[AnyCorpus]) -> Iterator[Finding]:
    """Say what the filters drop from the training corpora."""
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
    """Every sentence as a number of 64 bits, the same for equal text in this process only."""

    src_N: Int64s
    tgt_N: Int64s

    @classmethod
    def of(cls, prepared: Prepared) -> Sentences:
        """Hash the text of all rows, of which few are in memory at a time."""
        sides = np.empty((2, len(prepared)), np.int64)
        for rows in _chunks(len(prepared)):
            for side, texts in zip(sides, prepared.texts(rows), strict=True):
                side[rows.start : rows.stop] = np.fromiter(map(hash, texts), np.int64, len(texts))
        return cls(*sides)

    @property
    def pair_hashes(self) -> Int64s:
        """The same for whole pairs. The factor keeps (a, b) and (b, a) apart."""
        return self.src_N * np.int64(0x9E3779B97F4A7C15 - (1 << 64)) + self.tgt_N


@dataclass(frozen=True)
class Duplicates:
    """Repetition inside the training pairs.

    Attributes:
        pairs: pairs that repeat an earlier one on both sides.
        example: where such a pair and the earlier one stand, as `file:line`.
        ambiguous: distinct sources that have several targets.
        ambiguous_example: two places where one of them stands.
        copies: pairs whose sides are the same text.
        copies_example: where one of them stands.
    """

    pairs: int
    example: tuple[str, str] | None
    ambiguous: int
    ambiguous_example: tuple[str, str] | None
    copies: int
    copies_example: str | None


def duplicates(prepared: Prepared, sentences: Sentences) -> Duplicates:
    """Count repeated pairs, sources with several targets, and untranslated pairs."""
    pair_hashes = sentences.pair_hashes
    _, firsts = np.unique(pair_hashes, return_index=True)
    again = np.ones(len(pair_hashes), np.bool_)
    again[firsts] = False
    firsts.sort()
    sources, counts = np.unique(sentences.src_N[firsts], return_counts=True)
    ambiguous = sources[counts > 1]
    copies = np.flatnonzero(sentences.src_N == sentences.tgt_N)
    places: list[tuple[str, str] | None] = [None, None]
    if again.any():
        same = np.flatnonzero(pair_hashes == pair_hashes[again.argmax()])[:2]
        places[0] = prepared.origin(same[1]), prepared.origin(same[0])
    if len(ambiguous):
        sources = sentences.src_N[firsts]
        same = firsts[sources == sources[np.isin(sources, ambiguous).argmax()]][:2]
        places[1] = prepared.origin(same[0]), prepared.origin(same[1])
    return Duplicates(
        pairs=int(again.sum()),
        example=places[0],
        ambiguous=len(ambiguous),
        ambiguous_example=places[1],
        copies=len(copies),
        copies_example=prepared.origin(copies[0]) if len(copies) else None,
    )


def duplicate_findings(found: Duplicates, pairs: int) -> Iterator[Finding]:
    """Say what is repeated."""
    if found.example:
        yield Finding(
            "warning" if found.pairs > _MANY_DUPLICATES * pairs else "note",
            "duplicates",
            "data.train",
            f"{share(found.pairs, pairs)} pairs repeat an earlier one, such as "
            f"{found.example[0]} that of {found.example[1]}; data.drop_duplicates=true drops them",
        )
    if found.ambiguous_example:
        yield Finding(
            "note",
            "several-translations",
            "data.train",
            f"{found.ambiguous:,} sources have several translations, such as those of "
            f"{' and '.join(found.ambiguous_example)}; fine if both are right",
        )
    if found.copies_example:
        yield Finding(
            "warning" if found.copies > _MANY_COPIES * pairs else "note",
            "copies",
            "data.train",
            f"{share(found.copies, pairs)} pairs have the same text on both sides, such as "
            f"{found.copies_example}; remove those that should be translated, models learn to copy",
        )


# ---------------------------------------------------------------- overlap with validation and test


@dataclass(frozen=True)
class Overlap:
    """How many sentences of a validation or test set are in the training pairs, exactly.

    Attributes:
        sentences: pairs in the set.
        src: whose source side is a source side of a training pair.
        tgt: whose target side is a target side of a training pair.
        pairs: that are a training pair.
        example: where a sentence of the set and its double in the training pairs stand.
    """

    sentences: int
    src: int
    tgt: int
    pairs: int
    example: tuple[str, str] | None


def overlap(train: Prepared, in_train: Sentences, held_out: Prepared) -> Overlap:
    """Look for the sentences of a held-out set in the training pairs."""
    here = Sentences.of(held_out)
    sides = [(here.src_N, in_train.src_N), (here.tgt_N, in_train.tgt_N)]
    src, tgt = (np.isin(mine, theirs) for mine, theirs in sides)
    pairs = np.isin(here.pair_hashes, in_train.pair_hashes)
    example = None
    for side, ((mine, theirs), found) in enumerate(zip(sides, (src, tgt), strict=True)):
        if example is None and found.any():
            row = int(found.argmax())
            double = int((theirs == mine[row]).argmax())
            example = _place(held_out, row, side), _place(train, double, side)
    return Overlap(len(held_out), int(src.sum()), int(tgt.sum()), int(pairs.sum()), example)


def overlap_findings(found: Overlap, about: str) -> Iterator[Finding]:
    """Say whether scores on the set can be trusted."""
    if found.example is None:
        return
    most = max(found.src, found.tgt) / found.sentences
    limits: list[tuple[Severity, float]] = [
        ("error", _TOO_MUCH_OVERLAP),
        ("warning", _MUCH_OVERLAP),
    ]
    yield Finding(
        next((severity for severity, limit in limits if most > limit), "note"),
        "overlap",
        about,
        f"{share(max(found.src, found.tgt), found.sentences)} sentences are in data.train too "
        f"(sources {found.src:,}, targets {found.tgt:,}, pairs {found.pairs:,}), such as that of "
        f"{' in '.join(found.example)}; remove them there: scores on them show memory, not skill",
    )


# ---------------------------------------------------------------- lengths


@dataclass(frozen=True)
class Lengths:
    """Training pairs by length, in tokens with the end mark, as `data.max_length` counts.

    Attributes:
        starts: the shortest length of each bin; each ends where the next begins.
        src: pairs whose source length falls into each bin.
        tgt: the same for the target side.
        src_percentiles: of the source lengths: 50, 95, 99, 100 %.
        tgt_percentiles: of the target lengths.
    """

    starts: list[int]
    src: list[int]
    tgt: list[int]
    src_percentiles: list[int]
    tgt_percentiles: list[int]


PERCENTILES = (50, 95, 99, 100)


def lengths(prepared: Prepared) -> Lengths:
    """Count pairs by length, in bins of a round width that suit all but the longest."""
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
    return Lengths([1 + width * place for place in range(bins)], src, tgt, *percentiles)


def held_out_findings(held_out: Prepared, data: DataConfig, about: str) -> Iterator[Finding]:
    """Say which sentences of a validation or test set are unlike those that are trained on."""
    shorter = np.minimum(held_out.src_lengths, held_out.tgt_lengths)
    longer = np.maximum(held_out.src_lengths, held_out.tgt_lengths)
    if (empty := shorter == 1).any():
        yield Finding(
            "warning",
            "empty-sides",
            about,
            f"{share(int(empty.sum()), len(empty))} pairs have an empty side, first "
            f"{held_out.origin(int(empty.argmax()))}; they count in the scores, remove them",
        )
    if (long := longer > data.max_length).any():
        yield Finding(
            "note",
            "too-long",
            about,
            f"{share(int(long.sum()), len(long))} pairs are longer than data.max_length "
            f"{data.max_length}, first {held_out.origin(int(long.argmax()))}; training drops "
            "such, raise it if that is how texts to translate will be",
        )


# ---------------------------------------------------------------- vocabulary


@dataclass(frozen=True)
class Unknown:
    """Characters, or whole words if no character alone is unknown, outside the vocabulary.

    Attributes:
        src: the most frequent ones of the first rows that have any, with a place `file:line`.
        tgt: the same for the target side.
    """

    src: dict[str, str]
    tgt: dict[str, str]


@dataclass(frozen=True)
class Vocabulary:
    """The pieces, and how many of them the training pairs use.

    Attributes:
        src_pieces: pieces of the source vocabulary, special ones left out.
        tgt_pieces: the same for the target vocabulary; the same pieces when it is joint.
        src_used: how many of them the source side uses.
        tgt_used: the same for the target side.
        used: how many pieces are used on any side, when the vocabulary is joint.
        unknown: examples of what is unknown, for each part of the data.
    """

    src_pieces: int
    tgt_pieces: int
    src_used: int
    tgt_used: int
    used: int | None
    unknown: dict[str, Unknown]


def vocabulary(parts: dict[str, Prepared], tokenizers: Tokenizers) -> Vocabulary:
    """Look which pieces are used in training, and what is unknown in each part."""
    used: list[npt.NDArray[np.bool_]] = []
    unknown = {}
    for name, prepared in parts.items():
        seen = [_Seen(tokenizer) for tokenizer in tokenizers]
        for rows in _chunks(len(prepared)):
            for side, ids in zip(seen, prepared.rows(rows), strict=True):
                side.add(rows, ids)
        if name == "train":
            used = [side.ordinary() for side in seen]
        unknown[name] = Unknown(*(side.unknown(prepared, place) for place, side in enumerate(seen)))
    src, tgt = used
    return Vocabulary(
        src_pieces=len(src),
        tgt_pieces=len(tgt),
        src_used=int(src.sum()),
        tgt_used=int(tgt.sum()),
        used=int((src | tgt).sum()) if tokenizers.joint else None,
        unknown=unknown,
    )


class _Seen:
    """What the ids of one side show."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._used = np.zeros(tokenizer.vocab_size, np.bool_)
        self._unknown_rows: list[int] = []

    def add(self, rows: range, ids: Sequence[npt.NDArray[np.int32]]) -> None:
        """Take some rows into account."""
        flat = np.concatenate(ids)
        self._used[flat] = True
        if len(self._unknown_rows) < _UNKNOWN_ROWS:
            owners = np.repeat(np.arange(rows.start, rows.stop), [len(row) for row in ids])
            self._unknown_rows += np.unique(owners[flat == self._tokenizer.unk_id]).tolist()

    def ordinary(self) -> npt.NDArray[np.bool_]:
        """Tell of each piece that is not special whether it was used."""
        one = self._tokenizer
        return np.delete(self._used, [one.pad_id, one.unk_id, one.bos_id, one.eos_id])

    def unknown(self, prepared: Prepared, side: int) -> dict[str, str]:
        """Name the most frequent unknown characters or words, and where each is first."""
        rows = self._unknown_rows[:_UNKNOWN_ROWS]
        texts = prepared.texts(rows)[side]
        for split in (list, str.split):  # characters, else words
            counts = Counter(unit for text in texts for unit in split(text))
            candidates = [unit for unit, _ in counts.most_common() if not unit.isspace()]
            ids = self._tokenizer.encode(candidates)
            found = [
                unit
                for unit, row in zip(candidates, ids, strict=True)
                if self._tokenizer.unk_id in row
            ][:_EXAMPLES]
            if found:
                break
        return {
            unit: _place(
                prepared, next(r for r, t in zip(rows, texts, strict=True) if unit in t), side
            )
            for unit in found
        }


def vocabulary_findings(
    found: Vocabulary, parts: dict[str, Prepared], restyled: Set[tuple[str, str]]
) -> Iterator[Finding]:
    """Say where the vocabulary does not suit the text.

    Args:
        found: what is used and unknown.
        parts: of the data.
        restyled: parts (such as `data.valid`) and sides (`src`, `tgt`) whose text is lower-cased or
            tokenised when that of data.train is not, or the other way round.
    """
    for name, prepared in parts.items():
        for side in ("src", "tgt"):
            tokens, unknown = (
                sum(getattr(corpus, f"{side}_{what}") for corpus in prepared.report.corpora)
                for what in ("tokens", "unknown")
            )
            if not unknown:
                continue
            examples = getattr(found.unknown[name], side)
            listing = ", ".join(f"{unit} ({place})" for unit, place in examples.items())
            way_out = (
                "treat the text as that of data.train was, or that as this"
                if (f"data.{name}", side) in restyled
                else "tokenizer.byte_fallback=true spells them in bytes"
            )
            yield Finding(
                "warning" if unknown > _MANY_UNKNOWN * tokens else "note",
                "unknown",
                f"data.{name}",
                f"{share(unknown, tokens)} {'source' if side == 'src' else 'target'} tokens are "
                f"unknown: {listing}; {way_out}",
            )


def _place(prepared: Prepared, row: int, side: int) -> str:
    """Say where one side of a row stands, 0 being the source side, as `file:line`."""
    place = prepared.origin(row)
    ends = np.cumsum(prepared.corpus_sizes)
    corpus = prepared.corpora[int(np.searchsorted(ends, row, side="right"))]
    if side and isinstance(corpus, FilesCorpus):
        return corpus.tgt + place.removeprefix(corpus.src)
    return place


def _chunks(rows: int) -> Iterator[range]:
    for start in range(0, rows, _ROWS_AT_ONCE):
        yield range(start, min(start + _ROWS_AT_ONCE, rows))
