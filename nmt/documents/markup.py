"""HTML as segments and tags."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator

from nmt.documents.document import Document
from nmt.documents.formats import decoded
from nmt.documents.inline import Close, Empty, Fixed, Open, Piece, Text, balanced, spaced

_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source")
) | {"track", "wbr"}
_INLINE = frozenset(
    ("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "cite", "data", "del", "dfn", "em")
) | frozenset(
    ("font", "i", "img", "ins", "label", "mark", "q", "s", "small", "span", "strike", "strong")
)
_INLINE |= {"sub", "sup", "time", "tt", "u", "wbr"}
_INLINE_CODE = frozenset(("code", "kbd", "samp", "var"))
_INLINE |= _INLINE_CODE
_KEPT = _INLINE_CODE | {"math", "pre", "svg", "template", "textarea"}
_RAW_ENDS = {
    tag: re.compile(rf"</{tag}(?=[ \t\r\n\f/>])", re.IGNORECASE) for tag in ("script", "style")
}
_TAG = re.compile(r"<(/?)([A-Za-z][^ \t\r\n\f/>]*)")
_ATTRIBUTE = re.compile(
    r"""[ \t\r\n\f/]*([^ \t\r\n\f/>][^ \t\r\n\f/>=]*)"""  # name
    r"""(?:[ \t\r\n\f]*=[ \t\r\n\f]*"""
    r"""("[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^ \t\r\n\f>"'][^ \t\r\n\f>]*)?)?"""  # value
)
_ENTITY = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9A-Fa-f]+;?|[A-Za-z][A-Za-z0-9]{0,31};?)")
_MAX_FIXED = 100
"""Characters of code, such as a name of a function, that a sentence is read with."""


def html_document(text: str, *, sentences_of: str | None = None) -> Document:
    """Return HTML, with a segment for each stretch of text and inline tags.

    Other tags, comments, scripts, styles, code, and elements with `translate="no"` or the class
    `notranslate` are copied. Characters that markup is made of are escaped in translations, so that
    no translation adds markup.

    The time is linear in the length of the text. That of `html.parser` is quadratic for text such
    as `<a <a <a`, so that one small request would stop the server for minutes. As in the HTML
    standard, a tag or comment that is not closed reaches to the end.
    """
    page = _Page(text, Document(sentences_of, escape_html))
    page.read()
    return page.document


def read(content: bytes, name: str, lang: str) -> Document:
    """Return the HTML of a file.

    Raises:
        DataError: if it is not UTF-8.
    """
    return html_document(decoded(content, name), sentences_of=lang)


def escape_html(text: str) -> str:
    """Escape the characters that markup is made of."""
    return html.escape(text, quote=False)


def html_text(raw: str) -> Iterator[Text]:
    """Yield the text between two tags in pieces; an entity is one piece."""
    done = 0
    for entity in _ENTITY.finditer(raw):
        text = html.unescape(entity[0])
        if text == entity[0]:
            continue
        yield from spaced(raw[done : entity.start()])
        yield Text(" " if text.isspace() and text.isascii() else text, entity[0])
        done = entity.end()
    yield from spaced(raw[done:])


def tag_name(tag: str) -> str:
    """Return the name of a tag in lower case; empty for a comment."""
    match = _TAG.match(tag)
    return match[2].lower() if match else ""


class _Page:
    """A page that is being read."""

    def __init__(self, text: str, document: Document) -> None:
        self.document = document
        self._text = text
        self._pieces: list[Piece] = []
        """Text and inline tags since the last other tag."""
        self._kept: list[str] = []
        """The open elements from the outermost that is copied; empty outside of one."""
        self._num_kept: Counter[str] = Counter()
        self._fixed: list[tuple[str, str]] | None = None
        """What has been read of an inline element that is copied, and its text."""

    def read(self) -> None:
        """Add the whole page to the document."""
        text = self._text
        done = place = 0
        while (place := text.find("<", place)) >= 0:
            end = self._markup_end(place)
            if end is None:  # such as in "1 < 2"
                place += 1
                continue
            self._add_text(text[done:place])
            done = place = self._add_markup(place, end)
        self._add_text(text[done:])
        self._end_fixed()
        self._flush()

    def _markup_end(self, start: int) -> int | None:
        """Return where a tag or comment that begins at `<` ends; None if it is neither."""
        text = self._text
        if match := _TAG.match(text, start):
            place = match.end()
            while attribute := _ATTRIBUTE.match(text, place):
                place = attribute.end()
            end = text.find(">", place)
        elif text.startswith("<!--", start):
            end = text.find("-->", start + 2)
            end += 2 if end >= 0 else 0
        elif text[start + 1 : start + 2] in ("!", "?", "/"):
            end = text.find(">", start)
        else:
            return None
        return end + 1 if end >= 0 else len(text)

    def _add_markup(self, start: int, end: int) -> int:
        """Add a tag or comment, and the script or style after it; return where these end."""
        text = self._text
        match = _TAG.match(text, start)
        tag = match[2].lower() if match else ""
        is_end = bool(match and match[1])
        was_kept = bool(self._kept)
        if is_end:
            self._close(tag)
        elif match and tag in _RAW_ENDS:
            raw_end = _RAW_ENDS[tag].search(text, end)
            end = raw_end.start() if raw_end else len(text)
        elif match and tag not in _VOID:
            self._open(tag, text, match.end(), end)
        raw = text[start:end]
        if not was_kept and self._kept and tag in _INLINE:
            self._fixed = []
        if self._fixed is not None:
            self._fixed.append((raw, ""))
            if not self._kept:
                self._end_fixed()
        elif was_kept or self._kept:
            self._keep(raw)
        elif tag in _INLINE or raw.startswith("<!--"):
            self._add_inline(raw, tag, is_end)
        else:
            self._keep(raw)
        return end

    def _add_inline(self, raw: str, tag: str, is_end: bool) -> None:
        """Add a tag that is part of a sentence."""
        if tag == "br":
            self._pieces.append(Text(" ", ""))
        if is_end:
            self._pieces.append(Close(raw))
        else:
            self._pieces.append(Empty(raw) if tag in _VOID or not tag else Open(raw))

    def _keep(self, raw: str) -> None:
        """Copy something, which ends a sentence."""
        self._flush()
        self.document.keep(raw)

    def _flush(self) -> None:
        """Add the text and inline tags read so far to the document."""
        self.document.add(balanced(self._pieces, tag_name))
        self._pieces = []

    def _end_fixed(self) -> None:
        """Add an inline element that is copied."""
        if self._fixed is None:
            return
        raw, text = ("".join(parts) for parts in zip(*self._fixed, strict=True))
        text = "".join(piece.text for piece in spaced(text))
        is_read = text.strip() and len(text) <= _MAX_FIXED
        self._pieces.append(Fixed(text, raw) if is_read else Empty(raw))
        self._fixed = None

    def _open(self, tag: str, text: str, place: int, end: int) -> None:
        """Note that an element begins whose attributes are between two places."""
        if self._kept or tag in _KEPT or _is_marked(_attributes(text, place, end)):
            self._kept.append(tag)
            self._num_kept[tag] += 1

    def _close(self, tag: str) -> None:
        """Note that an element ends, and those in it."""
        while self._num_kept[tag]:
            closed = self._kept.pop()
            self._num_kept[closed] -= 1
            if closed == tag:
                break

    def _add_text(self, raw: str) -> None:
        """Add the text between two tags."""
        if self._fixed is not None:
            self._fixed.append((raw, html.unescape(raw)))
        elif self._kept:
            self.document.keep(raw)
        else:
            self._pieces += html_text(raw)


def _is_marked(attributes: dict[str, str]) -> bool:
    """Return whether the author of a page does not want an element to be translated."""
    classes = attributes.get("class", "").split()
    return attributes.get("translate") == "no" or "notranslate" in classes


def _attributes(text: str, place: int, end: int) -> dict[str, str]:
    """Return the attributes of a tag; the first one counts if a name is there twice."""
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(text, place, end):
        found.setdefault(name.lower(), value.strip("\"'").lower())
    return found
