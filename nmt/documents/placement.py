"""Where the tags of a source belong in its translation."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from nmt.documents.inline import Fixed
from nmt.documents.markup_tree import Source
from nmt.translate.words import Links, is_punctuation, word_spans


@dataclass
class Unit:
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
    is_punctuation: bool = False


def linked_units(source: Source, translation: str, links: Links) -> list[Unit]:
    """Return the words of a translation with their places in the source.

    Args:
        source: the source.
        translation: its translation.
        links: between their words; if there are none, words are linked in the same order.
    """
    src_spans, tgt_spans = source.words, word_spans(translation)
    linked = {
        tgt: src for src, tgt in reversed(links) if src < len(src_spans) and tgt < len(tgt_spans)
    }
    if not linked:
        ratio = len(src_spans) / max(1, len(tgt_spans))
        linked = {tgt: int((tgt + 0.5) * ratio) for tgt in range(len(tgt_spans)) if src_spans}
    # A full stop that is aligned with the word before it does not belong in the tags of that word.
    linked = {
        tgt: src
        for tgt, src in linked.items()
        if is_punctuation(source.text[src_spans[src][0]])
        or not is_punctuation(translation[tgt_spans[tgt][0]])
    }
    units: list[Unit] = []
    end_before = 0
    for number, (start, end) in enumerate(tgt_spans):
        if number not in linked:
            units.append(Unit(start, end, (end_before, end_before), 0, False))
            continue
        src_start, src_end = src_spans[linked[number]]
        end_before = src_end
        if source.text[src_start:src_end] != translation[start:end]:
            owner = source.owner(src_start, src_end)
            mark = is_punctuation(translation[start])
            units.append(Unit(start, end, (src_start, src_end), owner, False, mark))
            continue
        first = bisect_right(source.cuts, src_start)
        inner = source.cuts[first : bisect_left(source.cuts, src_end)]
        edges = [src_start, *inner, src_end]
        shift = start - src_start
        for a, b in itertools.pairwise(edges):
            units.append(Unit(a + shift, b + shift, (a, b), source.owner(a, b), True))
    return units


def place_tags(source: Source, units: Sequence[Unit]) -> None:
    """Give each node of a source its block of units."""
    _Placement(source, units).run()


class _Placement:
    def __init__(self, source: Source, units: Sequence[Unit]) -> None:
        self._nodes, self._units = source.nodes, units
        self._fixed = {
            number
            for number, node in enumerate(source.nodes)
            if number and isinstance(source.pieces[node.opens], Fixed)
        }
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
            if child in self._fixed:  # it takes the place of its words: leave the full stop
                while first < end and self._units[end - 1].is_punctuation:
                    end -= 1
                while first < end and self._units[first].is_punctuation:
                    first += 1
            if score and first < end:
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
