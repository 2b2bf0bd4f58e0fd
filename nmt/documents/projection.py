"""Inline markup from a source to its translation, along an alignment of words.

Each pair of tags comes to surround the longest run of target words whose source words it surrounds,
nested as in the source. Tags without such words keep their place relative to the source word before
them. Where the translation has the words of the source, it has their raw form, too, and so a
translation that equals its source gives the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nmt.documents.inline import Close, Empty, Fixed, Piece, Text
from nmt.documents.markup_tree import Source
from nmt.documents.placement import Unit, linked_units, place_tags
from nmt.translate.words import Links


def project(
    pieces: Sequence[Piece],
    translation: str,
    links: Links,
    escape: Callable[[str], str] = str,
) -> list[Piece]:
    """Return a translation with the tags of its source, each of them once.

    Args:
        pieces: the source; its tags are balanced.
        translation: of the text of the pieces.
        links: pairs of source and target word, as `nmt.translate.words` numbers them. Without
            any, target words are linked to source words in the same order.
        escape: applied to words that are not copied from the source.
    """
    source = Source(pieces)
    units = linked_units(source, translation, links)
    place_tags(source, units)
    return list(_Writer(source, units, translation, escape).write())


@dataclass
class _Item:
    """What takes the place of units: their text, or something fixed."""

    first: int
    end: int
    src: tuple[int, int]
    piece: Piece


class _Writer:
    """Writes the units of a translation and the tags between them."""

    def __init__(
        self,
        source: Source,
        units: Sequence[Unit],
        translation: str,
        escape: Callable[[str], str],
    ) -> None:
        self._source, self._units, self._translation = source, units, translation
        self._escape = escape
        self._is_same = translation == source.text

    def write(self) -> Iterator[Piece]:
        before: _Item | None = None
        tags: list[int] = []
        for item in self._items(0):
            if isinstance(item, int):
                tags.append(item)
                continue
            yield from self._between(before, item, tags)
            yield item.piece
            before, tags = item, []
        yield from self._between(before, None, tags)

    def _items(self, number: int) -> Iterator[_Item | int]:
        """Yield what is in a node, and the places of its tags."""
        node, pieces = self._source.nodes[number], self._source.pieces
        (place, end), is_root = node.block, number == 0
        if not is_root and isinstance(piece := pieces[node.opens], Fixed) and place < end:
            start = node.start + len(piece.text) - len(piece.text.lstrip())
            yield _Item(place, end, (start, start + len(piece.text.strip())), piece)
            return
        if not is_root:
            yield node.opens
        for child in sorted(node.children, key=lambda n: (self._source.nodes[n].block[0], n)):
            first, after = self._source.nodes[child].block
            yield from map(self._item, range(place, first))
            yield from self._items(child)
            place = max(place, after)
        yield from map(self._item, range(place, end))
        if node.closes >= 0:
            yield node.closes

    def _item(self, place: int) -> _Item:
        unit = self._units[place]
        text, raw = self._translation[unit.start : unit.end], None
        if unit.is_copy:
            raw = self._source.raw(*unit.src, None if self._is_same else self._escape)
        return _Item(
            place, place + 1, unit.src, Text(text, self._escape(text) if raw is None else raw)
        )

    def _between(self, before: _Item | None, item: _Item | None, tags: list[int]) -> list[Piece]:
        """Return tags and white space between two items; None is the beginning or the end."""
        pieces = self._source.pieces
        start = before.src[1] if before else 0
        end = item.src[0] if item else len(self._source.text)
        space = ""
        if before and item:
            first, last = self._units[before.end - 1].end, self._units[item.first].start
            space = self._translation[first:last]
        if self._source.is_gap(start, end) and (
            bool(space) == (start < end) or not before or not item
        ):
            between = self._source.between(start, end)
            if sorted(tags) == [each for each in between if isinstance(each, int)]:
                return [pieces[each] if isinstance(each, int) else each for each in between]
        return self._spaced(tags, space, is_first=not before, is_last=not item)

    def _spaced(self, tags: list[int], space: str, *, is_first: bool, is_last: bool) -> list[Piece]:
        """Return tags with white space where they had it in the source."""
        pieces = [self._source.pieces[place] for place in tags]
        left, right = ([self._has_space(place, step) for place in tags] for step in (-1, 1))
        if True in left:
            at = left.index(True)
        elif True in right:
            at = len(tags) - right[::-1].index(True)
        else:
            at = next(
                (n for n, each in enumerate(pieces) if not isinstance(each, Close)), len(tags)
            )
        found: list[Piece] = []

        def add_space(text: str) -> None:
            if text and not (found and isinstance(found[-1], Text)):
                found.append(Text(text, text))

        for number, piece in enumerate(pieces):
            before, after = left[number], right[number]
            # It is like a word, and has white space on both sides.
            is_apart = isinstance(piece, Fixed) or (
                isinstance(piece, Empty) and before and after and bool(space)
            )
            if number == at or (is_apart and before and not (is_first and not found)):
                add_space(space or " " * is_apart)
            found.append(piece)
            if is_apart and after and not (is_last and number == len(pieces) - 1):
                add_space(space or " ")
        if at == len(pieces):
            add_space(space)
        return found

    def _has_space(self, place: int, step: int) -> bool:
        """Return whether there was white space before a piece (step -1) or after it (1)."""
        place += step
        if not 0 <= place < len(self._source.pieces):
            return False
        piece = self._source.pieces[place]
        return isinstance(piece, Text) and piece.text[::step][:1].isspace()
