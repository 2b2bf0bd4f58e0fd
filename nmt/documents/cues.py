"""Translations over the cues of subtitles: divided in proportion, and broken into lines.

Both are done at spaces, and in text without spaces between words at `break_places`.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nmt.documents.inline import Close, Open, Piece, Text, partners, raw_of
from nmt.documents.line_breaks import break_places, ends_clause

_LINE_LENGTH = 42
"""Columns; a Chinese, Japanese or Korean character takes two."""
_INSIDE_TAG = 10
"""Characters by which a cut may be farther away, rather than divide a pair of tags."""
_INSIDE_CLAUSE = 4
"""The same, rather than divide text without spaces where there is no punctuation."""
_LINE_END = re.compile(r"\s*\n\s*")
_TAG = r"<[^<>]*>|\{\\[^{}]*\}"
_WORD = re.compile(rf"(?:{_TAG}|\S)+")
_TAGS = re.compile(_TAG)
_TAG_OR_CHARACTER = re.compile(rf"{_TAG}|.", re.DOTALL)


class _Cut(NamedTuple):
    """A place where a translation can be divided."""

    end: int
    """Number of the atom after the last one before it."""
    start: int
    """Number of the first atom behind it: one more if there is a space, which is left out."""
    position: int
    """In characters."""
    cost: int
    """Characters by which another may be farther away and still be preferred."""


class _Word(NamedTuple):
    """A word, or a part of one that may be on a line by itself."""

    text: str
    space: str
    """What is before it, unless it begins a line."""
    width: int


def divided(pieces: Sequence[Piece], lengths: Sequence[int]) -> list[list[Piece]]:
    """Divide a translation between words.

    A pair of tags that is divided is closed and opened again.

    Args:
        pieces: the translation.
        lengths: those of the sources of its parts, to which the parts are in proportion.
    """
    text = "".join(piece.text for piece in pieces if isinstance(piece, Text))
    places = break_places(text)
    atoms = list(_atoms(pieces, places))
    cuts = list(_cuts(atoms, text, places))
    total = sum(lengths) + len(lengths) - 1
    chosen, source, first = [], 0, 0
    for number, length in enumerate(lengths[:-1], 1):
        source += length + 1
        wanted = (source - 0.5) * len(text) / total
        last = len(cuts) - (len(lengths) - 1 - number)  # leave a word for each of the others
        choices = range(first, max(first, last)) or range(first, len(cuts))
        if not choices:
            break
        best = min(choices, key=lambda n: abs(cuts[n].position - wanted) + cuts[n].cost)
        chosen.append(cuts[best])
        first = best + 1
    starts = [0, *(cut.start for cut in chosen)]
    ends = [*(cut.end for cut in chosen), len(atoms)]
    parts = [atoms[start:end] for start, end in zip(starts, ends, strict=True)]
    return [*_reopened(parts), *([] for _ in range(len(lengths) - len(parts)))]


def _atoms(pieces: Sequence[Piece], places: set[int]) -> Iterator[Piece]:
    """Yield pieces in which each space is one, and none goes over one of the places."""
    position = 0
    for piece in pieces:
        if not isinstance(piece, Text):
            yield piece
            continue
        start, position = position, position + len(piece.text)
        if piece.text != piece.raw:
            yield piece
            continue
        for part in re.finditer(" |[^ ]+", piece.text):
            inner = (n for n in range(part.start() + 1, part.end()) if start + n in places)
            for first, end in itertools.pairwise([part.start(), *inner, part.end()]):
                yield Text(piece.text[first:end], piece.text[first:end])


def _cuts(atoms: Sequence[Piece], text: str, places: set[int]) -> Iterator[_Cut]:
    """Yield where a translation can be divided; it has no space at the places."""
    depth = position = 0
    done = -1
    for number, piece in enumerate(atoms):
        depth_before = depth
        depth += isinstance(piece, Open) - isinstance(piece, Close)
        if isinstance(piece, Text) and piece.text.isspace():
            yield _Cut(number, number + 1, position, _INSIDE_TAG * bool(depth))
        elif position in places and position > done and not isinstance(piece, Close):
            cost = _INSIDE_TAG * bool(depth_before)
            cost += _INSIDE_CLAUSE * (not ends_clause(text, position))
            yield _Cut(number, number, position, cost)
            done = position
        if isinstance(piece, Text):
            position += len(piece.text)


def _reopened(parts: Sequence[Sequence[Piece]]) -> Iterator[list[Piece]]:
    """Yield the parts of a text, each with balanced tags."""
    flat = [*itertools.chain(*parts)]
    closes = {id(flat[first]): flat[last] for first, last in partners(flat).items()}
    opened: list[Piece] = []
    for part in parts:
        pieces = [*opened, *part]
        for piece in part:
            if isinstance(piece, Open):
                opened.append(piece)
            elif isinstance(piece, Close):
                opened.pop()
        yield [*pieces, *(closes[id(piece)] for piece in reversed(opened))]


def wrapped(pieces: Sequence[Piece], line_end: str) -> str:
    """Return a translation in lines of similar length, two if that is possible."""
    text = _LINE_END.sub(" ", raw_of(pieces)).strip()
    words = list(_words(text))
    length = _width(text)
    if length <= _LINE_LENGTH or not words:
        return text
    num_lines = max(2, len(_lines(words, _LINE_LENGTH)))
    widths = range(min(length // num_lines, _LINE_LENGTH), _LINE_LENGTH + 1)
    possible = (_lines(words, width) for width in widths)
    fitting = (lines for lines in possible if len(lines) <= num_lines)
    narrowest = next(fitting)
    if all(word.space for word in words):
        return line_end.join(narrowest)
    # Words are not known here, so a line that ends a clause is better.
    by_clause = (lines for lines in (narrowest, *fitting) if all(map(ends_clause, lines[:-1])))
    return line_end.join(next(by_clause, narrowest))


def _words(text: str) -> Iterator[_Word]:
    """Yield the words of a text with tags, and the parts of those that may be divided."""
    for match in _WORD.finditer(text):
        space = " "
        for part in _parts(match[0]):
            yield _Word(part, space, _width(part))
            space = ""


def _parts(word: str) -> Iterator[str]:
    """Yield the parts of a word with tags, between which a line may end."""
    places = break_places(_TAGS.sub("", word))
    if not places:
        yield word
        return
    part: list[str] = []
    position = 0
    for token in _TAG_OR_CHARACTER.findall(word):
        if position in places and not token.startswith("</"):
            places.remove(position)
            yield "".join(part)
            part = []
        part.append(token)
        position += len(token) == 1
    yield "".join(part)


def _width(text: str) -> int:
    """Return the number of columns that the shown characters of a text take."""
    shown = _TAGS.sub("", text)
    if shown.isascii():
        return len(shown)
    marks = sum(unicodedata.category(each) in ("Mn", "Me") for each in shown)
    return len(shown) - marks + sum(unicodedata.east_asian_width(each) in "WF" for each in shown)


def _lines(words: Sequence[_Word], width: int) -> list[str]:
    """Fill lines with as many words as fit, and at least one."""
    lines: list[list[str]] = []
    room = -1
    for word in words:
        needed = len(word.space) + word.width
        if lines and needed <= room:
            lines[-1] += [word.space, word.text]
            room -= needed
        else:
            lines.append([word.text])
            room = width - word.width
    return ["".join(line) for line in lines]
