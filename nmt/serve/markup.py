"""HTML as segments and tags."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from nmt.serve.document import Document

_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source")
) | {"track", "wbr"}
_SPACES = re.compile(r"[ \t\r\n\f]+")


def html_document(text: str, *, split_sentences: bool = False) -> Document:
    """Return HTML, with a segment for each text between two tags.

    Tags, comments, scripts, styles, and elements with `translate="no"` are copied. Characters that
    markup is made of are escaped in translations, so that no translation adds markup.
    """
    parser = _Parser(Document(split_sentences, _escape))
    parser.feed(text)
    parser.close()
    return parser.document


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


class _Parser(HTMLParser):
    def __init__(self, document: Document) -> None:
        super().__init__(convert_charrefs=True)
        self.document = document
        self._kept: list[str] = []
        """The open elements from the outermost that is copied; empty outside of one."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._keep_tag()
        untranslated = tag in ("script", "style") or dict(attrs).get("translate") == "no"
        if tag not in _VOID and (self._kept or untranslated):
            self._kept.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._keep_tag()

    def handle_endtag(self, tag: str) -> None:
        self.document.keep(f"</{tag}>")
        if tag in self._kept:
            while self._kept.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._kept:
            raw = self._kept[-1] in ("script", "style")
            self.document.keep(data if raw else _escape(data))
        elif data.strip():
            self.document.add_line(_SPACES.sub(" ", data))
        else:
            self.document.keep(data)

    def handle_comment(self, data: str) -> None:
        self.document.keep(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.document.keep(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self.document.keep(f"<?{data}>")

    def unknown_decl(self, data: str) -> None:
        self.document.keep(f"<![{data}]>")

    def _keep_tag(self) -> None:
        self.document.keep(self.get_starttag_text() or "")
