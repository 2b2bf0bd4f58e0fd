"""Inline markup from a source to its translation, along an alignment of words.

Each pair of tags comes to surround the longest run of target words whose source words it surrounds,
nested as in the source. Tags without such words keep their place relative to the source word before
them. Where the translation has the words of the source, it has their raw form, too, and so a
translation that equals its source gives the source.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from nmt.documents.inline import Close, Empty, Fixed, Open, Piece, Text, text_of
from nmt.translate.words import Links, word_spans


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
    source = _Source(pieces)
    units = _units(source, translation, links)
    _Placement(source, units).run()
    return list(_Writer(source, units, translation, escape).write())


@dataclass
class _Node:
    """A pair of tags, a single tag, or something fixed; the root is the whole text."""

    parent: int
    start: int
    """Offset in the source text."""
    end: int
    opens: int
    """Place of the first piece; -1 for the root."""
    closes: int = -1
    """Place of the last piece of a pair."""
    children: list[int] = field(default_factory=list)
    block: tuple[int, int] = (0, 0)
    """First unit, and the one after the last."""


class _Source:
    """The pieces of a source, their offsets, and the tree of their tags."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces, self.text = pieces, text_of(pieces)
        self.words = word_spans(self.text)
        self.nodes = [_Node(-1, 0, len(self.text), -1)]
        self.offsets: list[int] = []
        """Where each piece begins."""
        self.starts: list[int] = []
        """Where each piece with text begins."""
        self.owners: list[int] = []
        """The innermost node of each of them."""
        self._read()
        self.cuts = sorted({edge for node in self.nodes for edge in (node.start, node.end)})
        """Where nodes begin and end."""

    def _read(self) -> None:
        offset = node = 0
        for place, piece in enumerate(self.pieces):
            self.offsets.append(offset)
            if isinstance(piece, Close):
                self.nodes[node].end, self.nodes[node].closes = offset, place
                node = self.nodes[node].parent
                continue
            inner = node
            if not isinstance(piece, Text):
                inner = len(self.nodes)
                self.nodes.append(_Node(node, offset, offset, place))
                self.nodes[node].children.append(inner)
            if isinstance(piece, Open):
                node = inner
            elif isinstance(piece, Text | Fixed):
                self.starts.append(offset)
                self.owners.append(inner)
                offset += len(piece.text)
                if isinstance(piece, Fixed):
                    self.nodes[inner].end = offset

    def owner(self, start: int, end: int) -> int:
        """Return the node that has most of a word to itself."""
        share: Counter[int] = Counter()
        place = bisect_right(self.starts, start) - 1
        while place < len(self.starts) and self.starts[place] < end:
            until = self.starts[place + 1] if place + 1 < len(self.starts) else len(self.text)
            share[self.owners[place]] += min(end, until) - max(start, self.starts[place])
            place += 1
        return max(share, key=lambda node: share[node])

    def is_gap(self, start: int, end: int) -> bool:
        """Return whether there is nothing but white space between two offsets."""
        following = bisect_left(self.words, (start, start))
        until = self.words[following][0] if following < len(self.words) else len(self.text)
        return start == end or start < end <= until

    def between(self, start: int, end: int) -> list[Piece | int]:
        """Return what is between two words at offsets: text, and the places of tags."""
        found: list[Piece | int] = []
        place = max(0, bisect_left(self.offsets, start) - 1)
        while place < len(self.offsets) and self.offsets[place] <= end:
            piece, offset = self.pieces[place], self.offsets[place]
            if isinstance(piece, Text):
                a, b = max(start, offset) - offset, min(end, offset + len(piece.text)) - offset
                if a < b:
                    whole = (a, b) == (0, len(piece.text))
                    text = piece.text[a:b]
                    found.append(piece if whole else Text(text, text))
            elif offset >= start and not isinstance(piece, Fixed):
                found.append(place)
            place += 1
        return found

    def raw(self, start: int, end: int, escape: Callable[[str], str] | None) -> str | None:
        """Return the raw form of a word, or None if it has none.

        Args:
            start, end: offsets.
            escape: if given, what it would change has no raw form.
        """
        parts = []
        place = bisect_right(self.offsets, start) - 1
        while place < len(self.offsets) and self.offsets[place] < end:
            piece, offset = self.pieces[place], self.offsets[place]
            place += 1
            if not isinstance(piece, Text):
                continue
            part = piece.text[max(0, start - offset) : end - offset]
            if piece.text == piece.raw:
                if escape and escape(part) != part:
                    return None
                parts.append(part)
            elif part == piece.text:
                parts.append(piece.raw)
            elif part:
                return None
        return "".join(parts)


@dataclass
class _Unit:
    """A target word, or a part of one that is equal to its source word."""

    start: int
    """Offset in the translation."""
    end: int
    src: tuple[int, int]
    """Offsets of its source word."""
    owner: int
    """The node that it belongs to."""
    is_copy: bool
    """Whether it is equal to its source word."""


def _units(source: _Source, translation: str, links: Links) -> list[_Unit]:
    src_spans, tgt_spans = source.words, word_spans(translation)
    linked = {tgt: src for src, tgt in reversed(links) if src < len(src_spans)}
    if not linked:
        ratio = len(src_spans) / max(1, len(tgt_spans))
        linked = {tgt: int((tgt + 0.5) * ratio) for tgt in range(len(tgt_spans)) if src_spans}
    units: list[_Unit] = []
    end_before = 0
    for number, (start, end) in enumerate(tgt_spans):
        if number not in linked:
            units.append(_Unit(start, end, (end_before, end_before), 0, False))
            continue
        src_start, src_end = src_spans[linked[number]]
        end_before = src_end
        if source.text[src_start:src_end] != translation[start:end]:
            owner = source.owner(src_start, src_end)
            units.append(_Unit(start, end, (src_start, src_end), owner, False))
            continue
        first = bisect_right(source.cuts, src_start)
        inner = source.cuts[first : bisect_left(source.cuts, src_end)]
        edges = [src_start, *inner, src_end]
        shift = start - src_start
        for a, b in itertools.pairwise(edges):
            units.append(_Unit(a + shift, b + shift, (a, b), source.owner(a, b), True))
    return units


class _Placement:
    """Gives each node its block of units."""

    def __init__(self, source: _Source, units: Sequence[_Unit]) -> None:
        self._nodes, self._units = source.nodes, units
        order = sorted(range(len(units)), key=lambda place: (units[place].src[0], place))
        self._order = order
        self._order_starts = [units[place].src[0] for place in order]

    def run(self) -> None:
        self._nodes[0].block = (0, len(self._units))
        for number, node in enumerate(self._nodes):  # parents come before children
            if node.children:
                self._place_children(number)

    def _place_children(self, number: int) -> None:
        node = self._nodes[number]
        low, high = node.block
        own: dict[int, list[int]] = defaultdict(list)
        for place in range(low, high):
            child = self._child_of(number, self._units[place].owner)
            if child is not None:
                own[child].append(place)
        taken = bytearray(high)
        scores = {child: _best_run(places, taken)[0] for child, places in own.items()}
        blocks = []
        for child in sorted(own, key=lambda child: (-scores[child], child)):
            score, first, end = _best_run(own[child], taken)
            if score:
                taken[first:end] = b"\1" * (end - first)
                self._nodes[child].block = (first, end)
                blocks.append((first, end))
        placed = set(blocks)
        blocks.sort()
        for child in node.children:
            if self._nodes[child].block not in placed:
                gap = self._gap(self._nodes[child].start, low, high, blocks)
                self._nodes[child].block = (gap, gap)

    def _child_of(self, ancestor: int, node: int) -> int | None:
        """Return the child of a node that another node is, or is in."""
        while node > ancestor:
            if self._nodes[node].parent == ancestor:
                return node
            node = self._nodes[node].parent
        return None

    def _gap(self, offset: int, low: int, high: int, blocks: list[tuple[int, int]]) -> int:
        """Return the unit before which something belongs that was at an offset of the source."""
        place = bisect_left(self._order_starts, offset)
        gap = self._order[place - 1] + 1 if place else low
        gap = min(max(gap, low), high)
        inside = bisect_left(blocks, (gap, 0)) - 1
        return max(gap, blocks[inside][1]) if inside >= 0 else gap


def _best_run(places: Sequence[int], taken: bytearray) -> tuple[int, int, int]:
    """Return the best run of units: of as many of a node, and as few others, as possible.

    Args:
        places: the units of the node.
        taken: marks those of other nodes.

    Returns:
        Units of the node less others, the first unit, and the one after the last; 0 if there are
        none.
    """
    best, score, first, before = (0, 0, 0), 0, 0, -1
    for place in places:
        if taken[place]:
            score = 0
            continue
        others = place - before - 1
        if score <= others or any(taken[before + 1 : place]):
            score, first = 0, place
        else:
            score -= others
        score, before = score + 1, place
        if score > best[0]:
            best = (score, first, place + 1)
    return best


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
        source: _Source,
        units: Sequence[_Unit],
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
