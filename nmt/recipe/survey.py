"""A look at parallel text: one pass that keeps counts, hashes and a sample."""

from __future__ import annotations

import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nmt.check.corpora import Sentences
from nmt.config.corpora import FilesCorpus
from nmt.config.data import DataConfig
from nmt.data.corpus import Pair, corpus_name, read_pairs
from nmt.data.tokenizer_training import reservoir
from nmt.errors import DataError

SAMPLED_PAIRS = 50_000
PERCENTILES = (50, 95, 99)
_MAX_WORDS = 1_000_000
"""Distinct words are counted up to this number, to bound memory."""
_SEED = 1


class Side(NamedTuple):
    """Figures of one side of the text."""

    words: int
    """Number of words, separated by white space."""
    distinct_words: int
    characters: int
    """Number of distinct characters."""
    rare_characters: int
    """Distinct characters that make up the last 0.05 % of the sample."""
    script: str
    """The most frequent script, such as `Latin`."""
    word_percentiles: list[int]
    """`PERCENTILES` of the words per sentence."""
    character_percentiles: list[int]
    """`PERCENTILES` of the characters per sentence."""


@dataclass(frozen=True)
class Text:
    """Figures of parallel text.

    Attributes:
        pairs: number of pairs with text on both sides.
        empty: number of the others.
        duplicates: number of pairs that repeat an earlier one.
        src: figures of the source side.
        tgt: figures of the target side.
        shared_script: share of the letters of both sides whose script the other side uses as well,
            from 0 to 1.
    """

    pairs: int
    empty: int
    duplicates: int
    src: Side
    tgt: Side
    shared_script: float

    @property
    def usable(self) -> int:
        """Number of pairs with text, without duplicates."""
        return self.pairs - self.duplicates


@dataclass(frozen=True)
class Survey:
    """What one pass over parallel text keeps.

    Attributes:
        text: figures.
        sentences: a hash of each sentence, 16 bytes for each pair.
        sample: at most `SAMPLED_PAIRS` pairs, drawn at random.
    """

    text: Text
    sentences: Sentences
    sample: list[Pair]


def read_text(corpus: FilesCorpus) -> Iterator[Pair]:
    """Yield all pairs of a corpus of text files.

    Raises:
        ConfigError, DataError, FileError: as in `read_pairs`.
    """
    # Text files have no keys, so the languages do not matter.
    return read_pairs(corpus, DataConfig(src_lang="src", tgt_lang="tgt", train=[corpus]))


def survey(corpus: FilesCorpus) -> Survey:
    """Read a corpus once. Pairs without text on both sides are only counted.

    Raises:
        ConfigError, DataError, FileError: as in `read_text`; also if no pair has text.
    """
    counts = _Counts()
    sample = reservoir(counts.counted(read_text(corpus)), SAMPLED_PAIRS, _SEED)
    if not sample:
        raise DataError(f"{corpus_name(corpus)}: no pair has text on both sides")
    sentences = Sentences(*(np.array(side.hashes, np.int64) for side in counts.sides))
    sides = [[pair.src for pair in sample], [pair.tgt for pair in sample]]
    scripts = [_scripts(lines) for lines in sides]
    text = Text(
        pairs=len(sentences.src_N),
        empty=counts.empty,
        duplicates=int(sentences.repeated.sum()),
        src=counts.sides[0].figures(sides[0], scripts[0]),
        tgt=counts.sides[1].figures(sides[1], scripts[1]),
        shared_script=sum(
            min(share, scripts[1].get(name, 0)) for name, share in scripts[0].items()
        ),
    )
    return Survey(text, sentences, sample)


class _Counts:
    """Counts pairs as they pass."""

    def __init__(self) -> None:
        self.empty = 0
        self.sides = _SideCounts(), _SideCounts()

    def counted(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Yield the pairs that have text on both sides."""
        src, tgt = self.sides
        for pair in pairs:
            if pair.has_text:
                src.add(pair.src)
                tgt.add(pair.tgt)
                yield pair
            else:
                self.empty += 1


class _SideCounts:
    """Counts the sentences of one side."""

    def __init__(self) -> None:
        self.hashes = array("q")
        self._words = 0
        self._distinct: set[str] = set()
        self._characters: set[str] = set()

    def add(self, sentence: str) -> None:
        """Add a sentence."""
        self.hashes.append(hash(sentence))
        words = sentence.split()
        self._words += len(words)
        if len(self._distinct) < _MAX_WORDS:
            self._distinct.update(words)
        self._characters.update(sentence)

    def figures(self, sample: Sequence[str], scripts: dict[str, float]) -> Side:
        """Return the figures, with the lengths and scripts of a sample."""
        return Side(
            words=self._words,
            distinct_words=len(self._distinct),
            characters=len(self._characters),
            rare_characters=_rare_characters(sample),
            script=max(scripts, key=scripts.__getitem__, default="no"),
            word_percentiles=_percentiles([len(line.split()) for line in sample]),
            character_percentiles=_percentiles(list(map(len, sample))),
        )


def _percentiles(lengths: list[int]) -> list[int]:
    return [int(value) for value in np.percentile(lengths, PERCENTILES, method="higher")]


def _rare_characters(sample: Sequence[str]) -> int:
    """Return the number of distinct characters outside the most frequent 99.95 %."""
    counts = sorted(Counter("".join(sample)).values())
    return int((np.cumsum(counts) <= 0.0005 * sum(counts)).sum())


def _scripts(sample: Sequence[str]) -> dict[str, float]:
    """Return the share of each script among the letters.

    The first word of a letter's name in Unicode is its script, as in CYRILLIC SMALL LETTER A.
    """
    scripts: Counter[str] = Counter()
    for letter, count in Counter("".join(sample)).items():
        if letter.isalpha():
            name = unicodedata.name(letter, "unnamed").split()[0].split("-")[0]
            scripts["Chinese" if name == "CJK" else name.capitalize()] += count
    return {name: count / scripts.total() for name, count in scripts.items()}
