"""Text with inline markup.

A segment of a document is a list of pieces: text, tags, and what is copied as it is. The tags are
balanced: each `Open` has a `Close`, and pairs are nested. What a tag is, only its format knows: a
string for formats that are text, an element for XML.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nmt.translate.sentences import sentence_starts

_MAX_DEPTH = 16
"""Tags nested deeper are single ones, so that no document takes quadratic time."""
_SPACES = re.compile(r"[\x00-\x1f\x7f][\x00-\x20\x7f]*| [\x00-\x20\x7f]+")


@dataclass(frozen=True, slots=True)
class Text:
    """Text to translate.

    Attributes:
        text: as the model reads it.
        raw: as the document has it: the same, or something that cannot be divided, such as an
            entity, or white space that is more than a space.
    """

    text: str
    raw: str


@dataclass(frozen=True, slots=True)
class Open:
    """The first tag of a pair."""

    tag: Any


@dataclass(frozen=True, slots=True)
class Close:
    """The second tag of a pair."""

    tag: Any


@dataclass(frozen=True, slots=True)
class Empty:
    """A tag without a partner, such as a line break or an image."""

    tag: Any


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the model reads but does not change, such as code.

    Attributes:
        text: as the model reads it.
        tag: as the document has it.
    """

    text: str
    tag: Any


Piece: TypeAlias = Text | Open | Close | Empty | Fixed


def text_of(pieces: Iterable[Piece]) -> str:
    """Return what the model reads."""
    return "".join(piece.text for piece in pieces if isinstance(piece, Text | Fixed))


def raw_of(pieces: Iterable[Piece]) -> str:
    """Return the pieces as a document that is text has them."""
    return "".join(piece.raw if isinstance(piece, Text) else piece.tag for piece in pieces)


def spaced(text: str) -> Iterator[Text]:
    """Yield text in pieces; each run of white space and control characters is read as a space."""
    done = 0
    for run in _SPACES.finditer(text):
        if done < run.start():
            yield Text(text[done : run.start()], text[done : run.start()])
        yield Text(" ", run[0])
        done = run.end()
    if done < len(text):
        yield Text(text[done:], text[done:])


def has_words(pieces: Iterable[Piece]) -> bool:
    """Return whether there is something to translate: more than punctuation."""
    return any(any(map(str.isalnum, piece.text)) for piece in pieces if isinstance(piece, Text))


def balanced(
    pieces: Iterable[Piece], name: Callable[[Any], str], max_depth: int = _MAX_DEPTH
) -> list[Piece]:
    """Return pieces in which tags without a partner are single ones.

    Args:
        pieces: with tags in any order.
        name: returns the name of a tag, which both tags of a pair have.
        max_depth: tags nested deeper are single ones.
    """
    result = list(pieces)
    opened: list[int] = []
    num_open: Counter[str] = Counter()
    for place, piece in enumerate(result):
        if isinstance(piece, Open):
            if len(opened) == max_depth:
                result[place] = Empty(piece.tag)
                continue
            opened.append(place)
            num_open[name(piece.tag)] += 1
        elif isinstance(piece, Close):
            if not num_open[name(piece.tag)]:
                result[place] = Empty(piece.tag)
                continue
            while True:
                last = opened.pop()
                tag = result[last].tag  # type: ignore[union-attr]  # it is an Open
                num_open[name(tag)] -= 1
                if name(tag) == name(piece.tag):
                    break
                result[last] = Empty(tag)
    for place in opened:
        result[place] = Empty(result[place].tag)  # type: ignore[union-attr]
    return result


def partners(pieces: Sequence[Piece]) -> dict[int, int]:
    """Return the place of the `Close` for that of each `Open`."""
    found, opened = {}, []
    for place, piece in enumerate(pieces):
        if isinstance(piece, Open):
            opened.append(place)
        elif isinstance(piece, Close):
            found[opened.pop()] = place
    return found


def trimmed(pieces: Sequence[Piece]) -> tuple[list[Piece], list[Piece], list[Piece]]:
    """Take off what need not take part in a translation.

    Returns:
        White space, single tags, and pairs around everything, at the beginning; the rest; the same
        at the end. If the rest has nothing to translate, it is empty.
    """
    if not has_words(pieces):
        return list(pieces), [], []
    partner = partners(pieces)
    first, last = 0, len(pieces) - 1
    while True:
        if _is_space(pieces[first]):
            first += 1
        elif _is_space(pieces[last]):
            last -= 1
        elif partner.get(first) == last:
            first, last = first + 1, last - 1
        else:
            break
    before, core, after = list(pieces[:first]), list(pieces[first : last + 1]), pieces[last + 1 :]
    if isinstance(head := core[0], Text) and head.text == head.raw:
        text = head.text.lstrip()
        before += spaced(head.text[: len(head.text) - len(text)])
        core[0] = Text(text, text)
    ends: list[Piece] = []
    if isinstance(tail := core[-1], Text) and tail.text == tail.raw:
        text = tail.text.rstrip()
        ends += spaced(tail.text[len(text) :])
        core[-1] = Text(text, text)
    return before, core, [*ends, *after]


def _is_space(piece: Piece) -> bool:
    """Return whether a piece at an edge can stay outside of a translation."""
    return isinstance(piece, Empty) or (isinstance(piece, Text) and not piece.text.strip())


def sentences(pieces: Sequence[Piece], lang: str) -> list[list[Piece]]:
    """Divide pieces where a sentence begins outside of all pairs of tags."""
    starts = sentence_starts(text_of(pieces), lang)
    found: list[list[Piece]] = [[]]
    offset = depth = number = 0
    for piece in pieces:
        while number < len(starts) and starts[number] < offset:
            number += 1
        if depth == 0 and number < len(starts) and starts[number] == offset:
            found.append([])
            number += 1
        depth += isinstance(piece, Open) - isinstance(piece, Close)
        if not isinstance(piece, Text | Fixed):
            found[-1].append(piece)
            continue
        end, done = offset + len(piece.text), 0
        while depth == 0 and number < len(starts) and starts[number] < end:
            cut = starts[number] - offset
            number += 1
            if isinstance(piece, Text) and piece.text == piece.raw:
                found[-1].append(Text(piece.text[done:cut], piece.text[done:cut]))
                found.append([])
                done = cut
        rest = piece if not done else Text(piece.text[done:], piece.text[done:])
        found[-1].append(rest)
        offset = end
    return found
