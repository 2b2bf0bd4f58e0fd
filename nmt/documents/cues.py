"""Translations over the cues of subtitles: divided in proportion, and broken into lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from nmt.documents.inline import Close, Open, Piece, Text, partners, raw_of

_LINE_LENGTH = 42
_INSIDE_TAG = 10
"""Characters by which a cut may be farther away, rather than divide a pair of tags."""
_LINE_END = re.compile(r"\s*\n\s*")
_WORD = re.compile(r"(?:<[^<>]*>|\{\\[^{}]*\}|\S)+")
_TAGS = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")


def divided(pieces: Sequence[Piece], lengths: Sequence[int]) -> list[list[Piece]]:
    """Divide a translation between words.

    A pair of tags that is divided is closed and opened again.

    Args:
        pieces: the translation.
        lengths: those of the sources of its parts, to which the parts are in proportion.
    """
    atoms = list(_atoms(pieces))
    depth = position = 0
    spaces: list[tuple[int, int, int]] = []  # place, position in characters, depth
    for place, piece in enumerate(atoms):
        depth += isinstance(piece, Open) - isinstance(piece, Close)
        if isinstance(piece, Text):
            if piece.text.isspace():
                spaces.append((place, position, depth))
            position += len(piece.text)
    total = sum(lengths) + len(lengths) - 1
    cuts, source, first = [-1], 0, 0
    for number, length in enumerate(lengths[:-1], 1):
        source += length + 1
        wanted = (source - 0.5) * position / total
        last = len(spaces) - (len(lengths) - 1 - number)  # leave a word for each of the others
        choices = range(first, max(first, last)) or range(first, len(spaces))
        if not choices:
            break
        best = min(
            choices, key=lambda n: abs(spaces[n][1] - wanted) + _INSIDE_TAG * bool(spaces[n][2])
        )
        cuts.append(spaces[best][0])
        first = best + 1
    cuts.append(len(atoms))
    parts = [atoms[start + 1 : end] for start, end in itertools.pairwise(cuts)]
    return [*_reopened(parts), *([] for _ in range(len(lengths) - len(parts)))]


def _atoms(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Yield pieces in which each space is one."""
    for piece in pieces:
        if isinstance(piece, Text) and piece.text == piece.raw:
            yield from (Text(part, part) for part in re.split(r"( )", piece.text) if part)
        else:
            yield piece


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
    words = _WORD.findall(text)
    length = _length(text)
    if length <= _LINE_LENGTH or not words:
        return text
    num_lines = max(2, len(_lines(words, _LINE_LENGTH)))
    width = next(
        (w for w in range(length // num_lines, _LINE_LENGTH) if len(_lines(words, w)) <= num_lines),
        _LINE_LENGTH,
    )
    return line_end.join(_lines(words, width))


def _length(text: str) -> int:
    """Return the number of characters that are shown."""
    return len(_TAGS.sub("", text))


def _lines(words: Sequence[str], width: int) -> list[str]:
    """Fill lines with as many words as fit, and at least one."""
    lines: list[str] = []
    room = -1
    for word in words:
        length = _length(word)
        if lines and length < room:
            lines[-1] += f" {word}"
            room -= length + 1
        else:
            lines.append(word)
            room = width - length
    return lines
