"""OpenDocument text as segments, which are paragraphs and headings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from nmt.documents.inline import Empty, Fixed, Piece, Text
from nmt.documents.office import OfficeDocument
from nmt.documents.xml_document import Element, XmlDocument, content_of, fill, local_name

_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
_PARAGRAPHS = (f"{{{_TEXT}}}p", f"{{{_TEXT}}}h")
_PARTS = ("content.xml", "styles.xml")  # headers and footers are in the latter


def read(content: bytes, name: str) -> OfficeDocument:
    """Return the text of a file.

    Raises:
        DataError: if it is damaged, not OpenDocument, or too large.
    """
    return OfficeDocument(content, name, "content.xml", lambda part: part in _PARTS, _add_segments)


def _add_segments(document: XmlDocument) -> None:
    for paragraph in document.root.iter(*_PARAGRAPHS):
        if any(local_name(each) == "tracked-changes" for each in paragraph.iterancestors()):
            continue
        document.add(_spaced(content_of(paragraph, _piece)), partial(fill, paragraph))


def _spaced(pieces: Iterable[Piece]) -> list[Piece]:
    """Return pieces in which words before and after a line break or a tab are apart."""
    found: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Empty) and local_name(piece.tag) in ("line-break", "tab", "s"):
            found.append(Text(" ", ""))
        found.append(piece)
    return found


def _piece(element: Element) -> Piece | None:
    """Return what stands for an inline element; None for a pair of tags."""
    if local_name(element) in ("span", "a"):
        return None
    has_paragraphs = next(element.iter(*_PARAGRAPHS), None) is not None  # a note or a frame
    text = "" if has_paragraphs else "".join(element.itertext())
    return Fixed(text, element) if text.strip() else Empty(element)
