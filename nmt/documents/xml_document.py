"""XML documents: elements whose content is translated, in a tree that stays as it is."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lxml import etree

from nmt.documents.inline import Close, Empty, Fixed, Open, Piece, Text, spaced, text_of, trimmed
from nmt.documents.projection import project
from nmt.errors import DataError
from nmt.translate.words import Links

Element: TypeAlias = Any
"""An element of lxml, which has no types."""

_PROLOGUE = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[[^\]]*\]\s*)?>)*", re.DOTALL
)
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Single:
    """An element that is one of two tags of a pair, both without content."""

    element: Element


@dataclass
class _Slot:
    """Where a segment is."""

    before: list[Piece]
    core: list[Piece]
    after: list[Piece]
    fill: Callable[[Sequence[Piece]], None]


class XmlDocument:
    """A document in XML.

    Args:
        content: the file.
        name: of the file, for messages.

    Attributes:
        root: the root element.
        segments: what is translated.
        has_markup: whether there are tags inside of segments.

    Raises:
        DataError: if it is not well-formed, or declares entities.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self.root: Element = parse_xml(content, name)
        self.segments: list[str] = []
        self.has_markup = False
        self._slots: list[_Slot] = []
        self._start = _PROLOGUE.match(content)
        self._end = content[len(content.rstrip()) :]

    def add(self, pieces: Sequence[Piece], fill: Callable[[Sequence[Piece]], None]) -> None:
        """Add a segment.

        Args:
            pieces: the segment with its tags.
            fill: puts a translation in its place.
        """
        before, core, after = trimmed(pieces)
        if not core:
            return
        self.segments.append(text_of(core))
        self.has_markup |= core != [Text(self.segments[-1], self.segments[-1])]
        self._slots.append(_Slot(before, core, after, fill))

    def write(self, translations: Sequence[str], links: Sequence[Links] = ()) -> bytes:
        """Return the translated document."""
        rows = enumerate(zip(self._slots, translations, strict=True))
        # From the last: a paragraph that is in a note or picture of another one comes before it.
        for place, (slot, translation) in reversed([*rows]):
            own = links[place] if links else []
            pieces = project(slot.core, translation, own, lambda text: _ILLEGAL.sub(" ", text))
            slot.fill([*slot.before, *pieces, *slot.after])
        tree = self.root.getroottree()
        encoding = tree.docinfo.encoding or "UTF-8"
        if encoding.upper() not in ("UTF-8", "ASCII", "US-ASCII"):
            return bytes(etree.tostring(tree, encoding=encoding, xml_declaration=True))
        start = self._start[0] if self._start else b""
        return start + bytes(etree.tostring(self.root, encoding=encoding)) + self._end


def parse_xml(content: bytes, name: str) -> Element:
    """Return the root of a document.

    Raises:
        DataError: if it is not well-formed, or declares entities.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, strip_cdata=False
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise DataError(f"{name}:{error.lineno}: broken XML: {error.msg}") from error
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise DataError(f"{name}:1: declares XML entities, which nmt does not read")
    return root


def local_name(element: Element) -> str:
    """Return the name of an element without its namespace; empty for comments and the like."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def content_of(element: Element, piece: Callable[[Element], Piece | None]) -> Iterator[Piece]:
    """Yield the content of an element in pieces.

    Args:
        element: the element.
        piece: returns what stands for an element in it, or None if it is a pair of tags whose
            content is translated.
    """
    yield from spaced(element.text or "")
    for child in element:
        own = piece(child) if isinstance(child.tag, str) else Empty(child)
        if own is None:
            yield Open(child)
            yield from content_of(child, piece)
            yield Close(child)
        else:
            yield own
        yield from spaced(child.tail or "")


def fill(element: Element, pieces: Sequence[Piece]) -> None:
    """Replace the content of an element; its tail and its attributes stay."""
    del element[:]
    element.text = None
    opened = [element]
    for piece in pieces:
        if isinstance(piece, Text):
            add_text(opened[-1], piece.raw)
        elif isinstance(piece, Empty | Fixed) or isinstance(piece.tag, Single):
            opened[-1].append(alone(piece.tag))
        elif isinstance(piece, Open):
            shell = etree.SubElement(
                opened[-1], piece.tag.tag, dict(piece.tag.attrib), piece.tag.nsmap
            )
            opened.append(shell)
        else:
            opened.pop()


def alone(tag: Element | Single) -> Element:
    """Return a copy of an element without the text behind it."""
    element = copy.deepcopy(tag.element if isinstance(tag, Single) else tag)
    element.tail = None
    return element


def add_text(element: Element, text: str) -> None:
    """Add text at the end of the content of an element."""
    last = next(element.iterchildren(reversed=True), None)  # len(element) would count them all
    if last is None:
        element.text = (element.text or "") + text
    else:
        last.tail = (last.tail or "") + text
