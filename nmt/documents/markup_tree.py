"""The text of a segment and the tree of its tags."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nmt.documents.inline import Close, Fixed, Open, Piece, Text, text_of
from nmt.translate.words import word_spans


@dataclass
class Node:
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


class Source:
    """The pieces of a source, their offsets, and the tree of their tags."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces, self.text = pieces, text_of(pieces)
        self.words = word_spans(self.text)
        self.nodes = [Node(-1, 0, len(self.text), -1)]
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
                self.nodes.append(Node(node, offset, offset, place))
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
