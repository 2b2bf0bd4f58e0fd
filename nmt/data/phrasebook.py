"""The built-in demo corpus: English and German sentences with their word alignment.

The corpus needs no download. Its vocabulary is small enough for a small model to learn in minutes,
yet it contains what makes German hard: agreement, the verb bracket, word order that depends on the
clause, and pronouns that take the gender of a noun. The German line is a function of the English
one, so a perfect score is possible. The grammar that makes it is in scripts/phrasebook/.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SRC_LANG = "en"
TGT_LANG = "de"
SPLITS = {"train": 40_000, "valid": 500, "test": 500}
FILE = Path(__file__).with_suffix(".tsv.xz")
"""One pair per line, in the order of SPLITS: English, German and, for test, the alignment."""


@dataclass(frozen=True)
class Pair:
    """A sentence in both languages.

    Attributes:
        src: the English sentence.
        tgt: the German sentence.
        alignment: sorted pairs (index in `src.split()`, index in `tgt.split()`) of aligned words.
            Empty outside the test split.
    """

    src: str
    tgt: str
    alignment: tuple[tuple[int, int], ...] = ()


def pairs(split: str) -> list[Pair]:
    """Return the pairs of one split, always in the same order.

    No line of either side occurs twice, within a split or across splits.

    Args:
        split: a key of `SPLITS`.

    Returns:
        A new list of `SPLITS[split]` pairs.

    Raises:
        ValueError: if there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r} in the phrasebook; there are {', '.join(SPLITS)}")
    start = 0
    for name, size in SPLITS.items():
        if name == split:
            break
        start += size
    return [_parse(line) for line in _lines()[start : start + SPLITS[split]]]


@cache
def _lines() -> list[str]:
    return lzma.decompress(FILE.read_bytes()).decode("utf-8").removesuffix("\n").split("\n")


def _parse(line: str) -> Pair:
    src, tgt, *links = line.split("\t")
    alignment = [tuple(map(int, link.split("-"))) for link in " ".join(links).split()]
    return Pair(src, tgt, tuple((i, j) for i, j in alignment))
