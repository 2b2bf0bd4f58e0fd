"""HTML as segments and tags."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from nmt.serve.document import Document

_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source")
) | {"track", "wbr"}
_RAW = ("script", "style")
_SPACES = re.compile(r"[ \t\r\n\f]+")


def html_document(text: str, *, split_sentences: bool = False) -> Document:
    """Return HTML, with a segment for each text between two tags.

    Tags, comments, scripts, styles, and elements with `translate="no"` are copied. Characters that
    markup is made of are escaped in translations, so that no translation adds markup.
    """
    parser = _Parser(Document(split_sentences, _escape))
    parser.feed(text)
    parser.close()
    parser.end_text()
    return parser.document


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


class _Parser(HTMLParser):
    def __init__(self, document: Document) -> None:
        super().__init__(convert_charrefs=True)
        self.document = document
        self._text = ""
        """Since the last tag; it arrives in several parts if there is a lone `<`."""
        self._kept: list[str] = []
        """The open elements from the outermost that is copied; empty outside of one."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._keep(self.get_starttag_text() or "")
        untranslated = tag in _RAW or dict(attrs).get("translate") == "no"
        if tag not in _VOID and (self._kept or untranslated):
            self._kept.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # as browsers do: in HTML, `<p/>` is `<p>`

    def handle_endtag(self, tag: str) -> None:
        self._keep(f"</{tag}>")
        if tag in self._kept:
            while self._kept.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._kept and self._kept[-1] in _RAW:
            self._keep(data)
        else:
            self._text += data

    def handle_comment(self, data: str) -> None:
        self._keep(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self._keep(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self._keep(f"<?{data}>")

    def unknown_decl(self, data: str) -> None:
        self._keep(f"<![{data}]>")

    def _keep(self, markup: str) -> None:
        self.end_text()
        self.document.keep(markup)

    def end_text(self) -> None:
        """Add the text before a tag, or at the end."""
        text, self._text = self._text, ""
        if not self._kept and any(map(str.isalnum, text)):
            self.document.add_line(_SPACES.sub(" ", text))
        else:  # such as the full stop after a link
            self.document.keep(_escape(text))
