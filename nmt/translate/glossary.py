"""Glossaries: terms of the source language and their required translations."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nmt.data.lines import read_lines, replace_controls
from nmt.data.pieces import words_of
from nmt.errors import DataError

Variants = tuple[str, ...]
"""The forms of a term of the target language, one of which is required."""


@dataclass(frozen=True)
class Entry:
    """A term and its translations."""

    source: str
    variants: Variants
    where: str
    """`file:line`."""


class Found(NamedTuple):
    """A term in a text."""

    start: int
    """Index of its first character in the text."""
    variants: Variants


class Glossary:
    """Finds terms in source text.

    Terms match whole words only. A word is a run of letters, digits and marks, a single character
    of a script without spaces, or any other single character. Matching goes from left to right, the
    longest term first, without overlaps. A term matches regardless of case unless it has an
    upper-case letter.

    Args:
        entries: the terms; no source term occurs twice.

    Attributes:
        entries: the terms.

    Raises:
        DataError: if a term, or one of its translations, is empty.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self._by_first: dict[str, list[tuple[list[str], Entry]]] = defaultdict(list)
        for entry in entries:
            words = [word for word, _ in words_of(entry.source)]
            if not (words and entry.variants and all(map(str.strip, entry.variants))):
                raise DataError(f"{entry.where}: a term and its translations must not be empty")
            self._by_first[words[0].lower()].append((words, entry))
        for found in self._by_first.values():
            found.sort(key=lambda each: (-len(each[0]), not _has_case(each[1].source)))

    @classmethod
    def read(cls, path: Path) -> Glossary:
        """Read a file of lines `source term TAB target term`, with more variants after more tabs.

        Blank lines and lines that start with # are ignored.

        Raises:
            DataError: if a line has no tab or an empty term, or repeats a source term.
            FileError: if the file cannot be read.
        """
        entries: list[Entry] = []
        lines: dict[str, int] = {}
        for number, line in enumerate(read_lines(path), 1):
            if not line.strip() or line.startswith("#"):
                continue
            source, *variants = (replace_controls(each)[0].strip() for each in line.split("\t"))
            if not variants:
                raise DataError(
                    f"{path}:{number}: no tab: each line is a source term, a tab and a target term"
                )
            if not source or not all(variants):
                raise DataError(f"{path}:{number}: an empty term: remove a tab, or the line")
            key = source if _has_case(source) else source.lower()
            if key in lines:
                raise DataError(
                    f"{path}:{number}: {source!r} is in line {lines[key]} already: put all its "
                    "target terms there, separated by tabs"
                )
            lines[key] = number
            entries.append(Entry(source, tuple(variants), f"{path}:{number}"))
        return cls(entries)

    @property
    def sha256(self) -> str:
        """Hash of all terms, in hexadecimal."""
        rows = [(entry.source, entry.variants) for entry in self.entries]
        return hashlib.sha256(repr(rows).encode("utf-8")).hexdigest()

    def find(self, text: str) -> Iterator[Found]:
        """Yield the terms in a text, in order."""
        words = [*words_of(text)]
        place = 0
        while place < len(words):
            start = words[place][1]
            candidates = self._by_first.get(words[place][0].lower(), ())
            place += 1
            for wanted, entry in candidates:
                given = [word for word, _ in words[place - 1 : place - 1 + len(wanted)]]
                if not _has_case(entry.source):
                    given, wanted = [w.lower() for w in given], [w.lower() for w in wanted]
                if given == wanted:
                    yield Found(start, entry.variants)
                    place += len(wanted) - 1
                    break


def _has_case(term: str) -> bool:
    return any(character.isupper() for character in term)
