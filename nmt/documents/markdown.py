"""Markdown as segments, which are paragraphs, headings, items and cells, and what is between.

markdown-it-py divides a document into blocks and inline tokens (CommonMark, with GitHub's tables
and strikethrough). It tells the lines of a block, and the place of each inline token follows from
what the tokens before it look like in the source. So all that is not translated stays as it is:
fences, front matter, reference definitions, lists, the `>` of quotations.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from nmt.documents.document import Document
from nmt.documents.formats import decoded
from nmt.documents.inline import (
    Close,
    Empty,
    Fixed,
    Open,
    Piece,
    Text,
    balanced,
    raw_of,
    spaced,
    text_of,
)
from nmt.documents.markup import tag_name

_FRONT_MATTER = re.compile(r"\ufeff?(---|\+\+\+)[ \t]*\n(?:.*\n)*?\1[ \t]*(?:\n|\Z)")
_URL = re.compile(r"\b(?i:https?://|www\.)[^\s<>]*[^\s<>\[\]().,:;!?'\"*_~]")
_BREAK = re.compile(r"(?: *|\\)\n *")
_SPECIAL = re.compile(r"[\\`*\[\]<|]|^>|~~|&(?=#|\w+;)|(?<![^\W_])_|_(?![^\W_])")
_TASK = re.compile(r"\[[ xX]\][ \t]+")
_EMPHASIS = frozenset(("*", "**", "_", "__", "~~"))
_BLOCK_START = re.compile(r"(?m)^((?:[ \t>]*)(?=[#+-])|[ \t>]*\d{1,9}(?=[.)](?:\s|$)))")


def read(content: bytes, name: str, lang: str) -> Document:
    """Return the Markdown of a file.

    Raises:
        DataError: if it is not UTF-8.
    """
    return markdown_document(decoded(content, name), lang)


def markdown_document(text: str, lang: str) -> Document:
    """Return Markdown, with a segment for each sentence outside of inline markup.

    Code, URLs, images, HTML blocks and front matter are copied. A block whose inline tokens cannot
    be found in the source is copied, too.
    """
    document = Document(lang, escape=_escape, join=_joined)
    front = _FRONT_MATTER.match(text)
    done, start = 0, front.end() if front else 0
    lines = _Lines(text, start)
    tokens = _parser().parse(text[start:].replace("\0", "\ufffd"))
    for number, token in enumerate(tokens):
        if token.type != "inline" or not token.map:
            continue
        is_cell = tokens[number - 1].type in ("td_open", "th_open")
        places = lines.find(token.content, token.map[0], is_cell=is_cell)
        if places is None:
            continue
        pieces = _Inline(text, token.content, places).pieces(token.children or [])
        if pieces is None:
            continue
        document.keep(text[done : places[0]])
        document.add(balanced(pieces, _name))
        done = places[-1]
    document.keep(text[done:])
    return document


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


def _joined(pieces: Sequence[Piece]) -> str:
    """Return a translation, with an escape before what would begin a heading or a list.

    Emphasis of nothing is left out: Markdown has no way to write it.
    """
    found: list[Piece] = []
    opened: list[int] = []
    for piece in pieces:
        if isinstance(piece, Open):
            opened.append(len(found))
        elif isinstance(piece, Close):
            start = opened.pop()
            if piece.tag in _EMPHASIS and not text_of(found[start:]).strip():
                del found[start]
                continue
        found.append(piece)
    return _BLOCK_START.sub(r"\1\\", raw_of(found))


def _name(tag: str) -> str:
    """Return what both tags of a pair have in common."""
    return tag_name(tag) or ("[" if tag[:1] in "[]" else tag)


def _parser() -> MarkdownIt:
    """Return a parser whose tokens for links and images tell where they end."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parser.core.ruler.disable("text_join")  # keep escapes and entities apart
    for name in ("link", "image"):
        rule = next(each.fn for each in parser.inline.ruler.__rules__ if each.name == name)

        def telling(state: StateInline, silent: bool, rule: Any = rule) -> bool:
            first = len(state.tokens)
            if not rule(state, silent):
                return False
            if not silent:
                token = next(t for t in state.tokens[first:] if t.type in ("link_open", "image"))
                token.meta["end"] = state.pos
            return True

        parser.inline.ruler.at(name, telling)
    return parser


class _Lines:
    """Finds the content of blocks in the source."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._starts = [start]
        self._starts += [match.end() for match in re.finditer("\n", text) if match.end() > start]
        self._starts.append(len(text))
        self._done = start

    def find(self, content: str, first: int, *, is_cell: bool) -> list[int] | None:
        """Return where each character of the content of a block is, and the end; None if unknown.

        Args:
            content: without the marks of quotations and lists, and the indentation.
            first: the first line of the block.
            is_cell: whether it is a cell of a table, not whole lines.
        """
        places: list[int] = []
        for number, line in enumerate(content.split("\n"), first):
            if places:
                places.append(self._starts[number] - 1)
            start, end = max(self._done, self._starts[number]), self._starts[number + 1]
            if is_cell:
                steps = [1 + (character == "|") for character in line]  # \|
                place = self._text.find(line.replace("|", r"\|"), start, end)
            else:
                steps = [1] * len(line)
                place = self._text.rfind(line, start, end)
            if place < 0:
                return None
            places += itertools.accumulate(steps[:-1], initial=place) if line else []
            self._done = place + sum(steps)
        return [*places, self._done]


class _Inline:
    """The inline tokens of a block, in their order in the source.

    Args:
        text: the document.
        content: the content of the block.
        places: where each of its characters is in the document, and its end.
    """

    def __init__(self, text: str, content: str, places: Sequence[int]) -> None:
        self._text, self._content, self._places = text, content, places
        self._place = 0
        self._ends: list[int | None] = []
        """Where the open links end; None for autolinks."""

    def pieces(self, tokens: Sequence[Token]) -> list[Piece] | None:
        """Return the pieces of the block, or None if the tokens are not found in the content."""
        found: list[Piece] = []
        autolink: int | None = None
        for is_text, group in itertools.groupby(tokens, lambda token: token.type == "text"):
            run = self._place
            for token in group:
                start, end = self._place, self._end(token)
                if end is None:
                    return None
                self._place = end
                if token.markup == "autolink" and autolink is None:
                    autolink = start
                elif autolink is not None and token.markup == "autolink":
                    raw = self._raw(autolink, end)
                    found.append(Fixed(raw[1:-1], raw))
                    autolink = None
                elif not is_text:
                    found += self._of(token, self._raw(start, end))
            if is_text and autolink is None:
                found += self._text_pieces(run, self._place)
        return found if not self._content[self._place :].strip() else None

    def _raw(self, start: int, end: int) -> str:
        return self._text[self._places[start] : self._places[end]]

    def _text_pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Yield text in pieces; a URL is copied, and so is the box of a task."""
        content, raw = self._content[start:end], self._raw(start, end)
        if content != raw:  # in a table
            yield Text(content, raw)
            return
        task = None if start else _TASK.match(raw)
        done = task.end() if task else 0
        if task:
            yield Empty(task[0])
        for url in _URL.finditer(raw):
            yield from spaced(raw[done : url.start()])
            yield Fixed(url[0], url[0])
            done = url.end()
        yield from spaced(raw[done:])

    def _end(self, token: Token) -> int | None:
        """Return where a token ends that begins at the current place; None if it is not there."""
        content, place = self._content, self._place
        if token.type == "link_open":
            self._ends.append(token.meta.get("end"))
            return place + 1 if content[place : place + 1] in ("[", "<") else None
        if token.type == "link_close":
            end = self._ends.pop()
            return place + 1 if end is None else end
        if token.type == "image":
            end = token.meta["end"]
            return end if isinstance(end, int) else None
        if token.type in ("softbreak", "hardbreak"):
            match = _BREAK.match(content, place)
            return match.end() if match else None
        if token.type == "code_inline":
            opened = place + len(token.markup)
            closing = re.compile(rf"(?<!`){token.markup}(?!`)").search(content, opened)
            return closing.end() if closing and content.startswith(token.markup, place) else None
        surface = token.content if token.type in ("text", "html_inline") else token.markup
        return place + len(surface) if content.startswith(surface, place) else None

    def _of(self, token: Token, raw: str) -> Iterator[Piece]:
        if token.type == "text_special":
            yield Text(token.content, raw)
        elif token.type == "softbreak":
            yield Text(" ", raw)
        elif token.type in ("hardbreak", "image"):
            if token.type == "hardbreak":
                yield Text(" ", "")
            yield Empty(raw)
        elif token.type == "code_inline":
            yield Fixed(token.content, raw) if token.content.strip() else Empty(raw)
        elif token.type == "html_inline":
            is_pair = bool(tag_name(raw)) and not raw.endswith("/>")
            yield (Close(raw) if raw.startswith("</") else Open(raw)) if is_pair else Empty(raw)
        elif raw:
            yield Open(raw) if token.nesting > 0 else Close(raw)
