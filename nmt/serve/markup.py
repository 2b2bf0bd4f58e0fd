"""HTML as segments and tags."""

from __future__ import annotations

import html
import re
from collections import Counter

from nmt.serve.document import Document

_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source")
) | {"track", "wbr"}
_RAW_ENDS = {
    tag: re.compile(rf"</{tag}(?=[ \t\r\n\f/>])", re.IGNORECASE) for tag in ("script", "style")
}
_SPACES = re.compile(r"[ \t\r\n\f]+")
_TAG = re.compile(r"<(/?)([A-Za-z][^ \t\r\n\f/>]*)")
_ATTRIBUTE = re.compile(
    r"""[ \t\r\n\f/]*([^ \t\r\n\f/>][^ \t\r\n\f/>=]*)"""  # name
    r"""(?:[ \t\r\n\f]*=[ \t\r\n\f]*"""
    r"""("[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^ \t\r\n\f>"'][^ \t\r\n\f>]*)?)?"""  # value
)


def html_document(text: str, *, split_sentences: bool = False) -> Document:
    """Return HTML, with a segment for each text between two tags.

    Tags, comments, scripts, styles, and elements with `translate="no"` are copied. Characters that
    markup is made of are escaped in translations, so that no translation adds markup.

    The time is linear in the length of the text. That of `html.parser` is quadratic for text such
    as `<a <a <a`, so that one small request would stop the server for minutes. As in the HTML
    standard, a tag or comment that is not closed reaches to the end.
    """
    page = _Page(text, Document(split_sentences, _escape))
    page.read()
    return page.document


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


class _Page:
    """A page that is being read."""

    def __init__(self, text: str, document: Document) -> None:
        self.document = document
        self._text = text
        self._kept: list[str] = []
        """The open elements from the outermost that is copied; empty outside of one."""
        self._num_kept: Counter[str] = Counter()

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
        """Copy a tag or comment, and the script or style after it; return where these end."""
        text = self._text
        match = _TAG.match(text, start)
        tag = match[2].lower() if match else ""
        if match and match[1]:
            self._close(tag)
        elif match and tag in _RAW_ENDS:
            raw_end = _RAW_ENDS[tag].search(text, end)
            end = raw_end.start() if raw_end else len(text)
        elif match and tag not in _VOID:
            self._open(tag, text, match.end(), end)
        self.document.keep(text[start:end])
        return end

    def _open(self, tag: str, text: str, place: int, end: int) -> None:
        """Note that an element begins whose attributes are between two places."""
        if self._kept or _attributes(text, place, end).get("translate") == "no":
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
        text = "" if self._kept else html.unescape(raw)
        if any(map(str.isalnum, text)):
            self.document.add_line(_SPACES.sub(" ", text))
        else:  # such as the full stop after a link
            self.document.keep(raw)


def _attributes(text: str, place: int, end: int) -> dict[str, str]:
    """Return the attributes of a tag; the first one counts if a name is there twice."""
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(text, place, end):
        found.setdefault(name.lower(), value.strip("\"'").lower())
    return found
