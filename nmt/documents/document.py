"""Text as segments, which are translated, and what is between them, which stays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nmt.documents.inline import Piece, Text, raw_of, sentences, text_of, trimmed
from nmt.documents.projection import project
from nmt.translate.words import Links

_LINE_END = re.compile(r"(\r?\n)")


class Translatable(Protocol):
    """A document of any format."""

    @property
    def segments(self) -> list[str]:
        """What is translated, each without white space at its ends."""

    @property
    def has_markup(self) -> bool:
        """Whether word alignments are of use."""

    def write(self, translations: Sequence[str], links: Sequence[Links] = ()) -> bytes:
        """Return the translated document.

        Args:
            translations: one for each segment.
            links: word alignments, if known.
        """


@dataclass
class Document:
    """A text or page, in pieces.

    Whatever is not a segment is copied: line ends, blank lines, indentation, tags.
    """

    sentences_of: str | None = None
    """Make every sentence of a line a segment: code of the language."""
    escape: Callable[[str], str] = str
    """Applied to words of translations that are not words of the source."""
    join: Callable[[Sequence[Piece]], str] = raw_of
    """Returns a translation that is not the same as its source."""
    segments: list[str] = field(default_factory=list)
    """What is translated, each without white space at its ends."""
    pieces: list[list[Piece]] = field(default_factory=list)
    """The segments with their tags."""
    between: list[list[str]] = field(default_factory=lambda: [[]])
    """What is before each segment, and after the last one, in pieces."""

    def keep(self, text: str) -> None:
        """Add what is not translated."""
        self.between[-1].append(text)

    def add(self, pieces: Sequence[Piece]) -> None:
        """Add text with tags, which are balanced."""
        lang = self.sentences_of
        for sentence in [pieces] if lang is None else sentences(pieces, lang):
            before, core, after = trimmed(sentence)
            self.keep(raw_of(before))
            if core:
                self.segments.append(text_of(core))
                self.pieces.append(core)
                self.between.append([raw_of(after)])

    @property
    def has_markup(self) -> bool:
        """Whether word alignments are of use."""
        return any(map(self._is_marked, range(len(self.segments))))

    def _is_marked(self, place: int) -> bool:
        """Return whether a segment is more than its text."""
        text = self.segments[place]
        return self.pieces[place] != [Text(text, text)] or self.escape(text) != text

    def parts(
        self, start: int, translations: Sequence[str], links: Sequence[Links] = ()
    ) -> Iterator[str]:
        """Yield the translation in parts; joined, they are the whole translation.

        Args:
            start: number of the first segment.
            translations: of the segments from there on.
            links: their word alignments, if known.
        """
        last = len(self.segments) - 1
        for place, translation in enumerate(translations, start):
            pieces: list[Piece] = [Text(translation, self.escape(translation))]
            if self._is_marked(place):
                own = links[place - start] if links else []
                pieces = project(self.pieces[place], translation, own, self.escape)
            text = (raw_of if translation == self.segments[place] else self.join)(pieces)
            after = self.between[-1] if place == last else []
            yield "".join([*self.between[place], text, *after])

    def render(self, translations: Sequence[str], links: Sequence[Links] = ()) -> str:
        """Return the whole translation."""
        parts = self.parts(0, translations, links)
        return "".join(parts if self.segments else self.between[0])

    def write(self, translations: Sequence[str], links: Sequence[Links] = ()) -> bytes:
        """Return the whole translation in UTF-8."""
        return self.render(translations, links).encode("utf-8")


def text_document(text: str, *, sentences_of: str | None = None) -> Document:
    """Return plain text, with a segment for each line that is not blank."""
    document = Document(sentences_of)
    for place, part in enumerate(_LINE_END.split(text)):
        if place % 2:
            document.keep(part)
        else:
            document.add([Text(part, part)])
    return document
