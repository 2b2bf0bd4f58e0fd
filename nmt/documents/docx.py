"""Word documents as segments, which are paragraphs.

Runs that are formatted as most of the paragraph are plain text; others are pairs of tags. Word
divides text into runs for many reasons, so neighbours of the same format are one. Paragraphs with
nothing to translate stay as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lxml import etree

from nmt.documents.inline import Close, Empty, Fixed, Open, Piece, Text, spaced
from nmt.documents.office import OfficeDocument
from nmt.documents.xml_document import Element, XmlDocument, add_text, alone, local_name

_PARTS = re.compile(r"word/(?:document|header\d*|footer\d*|footnotes|endnotes)\.xml")
_CONTAINERS = frozenset(("hyperlink", "ins", "smartTag", "customXml"))
_DROPPED = frozenset(("proofErr", "lastRenderedPageBreak", "softHyphen"))
_SPACES = frozenset(("tab", "br", "cr"))
_PRESERVE = ("{http://www.w3.org/XML/1998/namespace}space", "preserve")


@dataclass(frozen=True, slots=True)
class _Format:
    """The format of runs.

    Attributes:
        key: equal for equal formats.
        properties: the element that describes it; None if there is none.
    """

    key: bytes = b""
    properties: Element | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class _Field:
    """Runs that are computed by Word, such as the number of a page."""

    runs: list[Element]


def read(content: bytes, name: str) -> OfficeDocument:
    """Return the document of a file.

    Raises:
        DataError: if it is damaged, not a Word document, or too large.
    """
    main = "word/document.xml"
    return OfficeDocument(
        content, name, main, lambda part: bool(_PARTS.fullmatch(part)), _add_segments
    )


def _add_segments(document: XmlDocument) -> None:
    namespace = etree.QName(document.root).namespace
    for element in document.root.iter(f"{{{namespace}}}p"):
        pieces = _Paragraph(element, namespace).pieces()
        main = _main_format(pieces)
        plain = [piece for piece in pieces if isinstance(piece, Text) or piece.tag != main]
        document.add(plain, _Writer(element, namespace, main).fill)


def _format_of(run: Element) -> _Format:
    properties = run.find("{*}rPr")
    if properties is None:
        return _Format()
    own = alone(properties)
    for child in own.findall("{*}lang") + own.findall("{*}noProof"):  # of the source language
        own.remove(child)
    return _Format(etree.tostring(own, method="c14n"), own) if len(own) else _Format()


def _main_format(pieces: Sequence[Piece]) -> _Format:
    """Return the format of most of the text of a paragraph."""
    lengths: Counter[_Format] = Counter()
    own = _Format()
    for piece in pieces:
        if isinstance(piece, Open) and isinstance(piece.tag, _Format):
            own = piece.tag
        elif isinstance(piece, Text):
            lengths[own] += len(piece.text)
    return max(lengths, key=lambda each: lengths[each], default=own)


class _Paragraph:
    """Reads a paragraph."""

    def __init__(self, element: Element, namespace: str) -> None:
        self._element, self._namespace = element, namespace
        self._field: list[Element] | None = None
        self._depth = 0

    def pieces(self) -> list[Piece]:
        """Return the paragraph in pieces; none if it has a part of a field only."""
        found = _merged(list(self._content(self._element)))
        return found if not self._depth else []

    def _content(self, element: Element) -> Iterator[Piece]:
        for child in element:
            name = local_name(child)
            if name == "r":
                yield from self._run(child)
            elif self._field is not None:
                self._field.append(child)
            elif name in _CONTAINERS:
                yield Open(child)
                yield from self._content(child)
                yield Close(child)
            elif name != "pPr" and name not in _DROPPED:
                text = "".join(each.text or "" for each in child.iter("{*}t"))
                yield Fixed(text, child) if text.strip() else Empty(child)

    def _run(self, run: Element) -> Iterator[Piece]:
        marks = [each.get(f"{{{self._namespace}}}fldCharType") for each in run.iter("{*}fldChar")]
        self._depth += marks.count("begin")
        if self._depth and self._field is None:
            self._field = []
        if self._field is None:
            yield from self._formatted(run)
            return
        self._field.append(run)
        self._depth -= marks.count("end")
        if not self._depth:
            texts = (text.text or "" for each in self._field for text in each.iter("{*}t"))
            field, text = _Field(self._field), "".join(texts)
            yield Fixed(text, field) if text.strip() else Empty(field)
            self._field = None

    def _formatted(self, run: Element) -> Iterator[Piece]:
        own, pieces = _format_of(run), list(self._text(run))
        has_text = any(isinstance(piece, Text) for piece in pieces)
        yield from (Open(own), *pieces, Close(own)) if has_text else pieces

    def _text(self, run: Element) -> Iterator[Piece]:
        """Yield the text of a run; for anything else in it, a run with nothing else."""
        for child in run:
            name = local_name(child)
            if name == "t":
                yield from spaced(child.text or "")
            elif name == "noBreakHyphen":
                yield Text("\u2011", "\u2011")
            elif name != "rPr" and name not in _DROPPED:
                if name in _SPACES:
                    yield Text(" ", "")
                single = etree.Element(run.tag, dict(run.attrib), run.nsmap)
                properties = run.find("{*}rPr")
                yield Empty(_Alone(single, properties, child))


@dataclass(frozen=True, slots=True)
class _Alone:
    """A run with one element, such as a picture, which may have paragraphs of its own."""

    run: Element
    properties: Element | None
    child: Element

    def copy(self) -> Element:
        run = alone(self.run)
        run.extend(alone(each) for each in (self.properties, self.child) if each is not None)
        return run


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Return pieces in which neighbours of the same format are one pair of tags."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if (
            isinstance(piece, Open)
            and isinstance(last, Close)
            and isinstance(piece.tag, _Format)
            and piece.tag == last.tag
        ):
            found.pop()
        else:
            found.append(piece)
    return found


class _Writer:
    """Writes a paragraph.

    Args:
        paragraph: its element.
        namespace: of WordprocessingML.
        main: the format of text outside of tags.
    """

    def __init__(self, paragraph: Element, namespace: str, main: _Format) -> None:
        self._paragraph, self._main = paragraph, main
        self._run, self._text = f"{{{namespace}}}r", f"{{{namespace}}}t"

    def fill(self, pieces: Sequence[Piece]) -> None:
        """Replace the content of the paragraph."""
        for child in list(self._paragraph):
            if local_name(child) != "pPr":
                self._paragraph.remove(child)
        containers, formats = [self._paragraph], [self._main]
        text: Element | None = None
        for piece in pieces:
            if isinstance(piece, Text):
                if text is None and piece.raw:
                    text = self._add_run(containers[-1], formats[-1])
                if text is not None:
                    add_text(text, piece.raw)
                continue
            text = None
            if isinstance(piece, Empty | Fixed):
                containers[-1].extend(_copies(piece.tag))
            elif isinstance(piece.tag, _Format):
                formats.append(piece.tag) if isinstance(piece, Open) else formats.pop()
            elif isinstance(piece, Open):
                tag = piece.tag
                containers.append(
                    etree.SubElement(containers[-1], tag.tag, dict(tag.attrib), tag.nsmap)
                )
            else:
                containers.pop()

    def _add_run(self, container: Element, own: _Format) -> Element:
        """Add a run, and return the element for its text."""
        run = etree.SubElement(container, self._run)
        if own.properties is not None:
            run.append(alone(own.properties))
        text = etree.SubElement(run, self._text)
        text.set(*_PRESERVE)
        return text


def _copies(tag: Element | _Alone | _Field) -> list[Element]:
    if isinstance(tag, _Alone):
        return [tag.copy()]
    return [alone(each) for each in (tag.runs if isinstance(tag, _Field) else [tag])]
