"""Text as segments, which are translated, and what is between them, which stays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from nmt.translate.split import sentence_starts

_LINE_END = re.compile(r"(\r?\n)")


@dataclass
class Document:
    """A text or page, in pieces.

    Whatever is not a segment is copied: line ends, blank lines, indentation, tags.
    """

    split_sentences: bool = False
    """Make every sentence of a line a segment."""
    escape: Callable[[str], str] = str
    """Applied to translations."""
    segments: list[str] = field(default_factory=list)
    """What is translated, each without white space at its ends."""
    between: list[list[str]] = field(default_factory=lambda: [[]])
    """What is before each segment, and after the last one, in pieces."""

    def keep(self, text: str) -> None:
        """Add what is not translated."""
        self.between[-1].append(text)

    def add_line(self, line: str) -> None:
        """Add text without line ends."""
        starts = [0, *(sentence_starts(line) if self.split_sentences else [])]
        for start, end in zip(starts, [*starts[1:], len(line)], strict=True):
            sentence = line[start:end]
            text = sentence.strip()
            if not text:
                self.keep(sentence)
                continue
            before = len(sentence) - len(sentence.lstrip())
            self.keep(sentence[:before])
            self.segments.append(text)
            self.between.append([sentence[before + len(text) :]])

    def parts(self, start: int, translations: Sequence[str]) -> Iterator[str]:
        """Yield the translation in parts, which are the whole one if they are joined.

        Args:
            start: number of the first segment.
            translations: of the segments from there on.
        """
        last = len(self.segments) - 1
        for place, translation in enumerate(translations, start):
            after = self.between[-1] if place == last else []
            yield "".join([*self.between[place], self.escape(translation), *after])

    def render(self, translations: Sequence[str]) -> str:
        """Return the whole translation."""
        return "".join(self.parts(0, translations) if self.segments else self.between[0])


def text_document(text: str, *, split_sentences: bool = False) -> Document:
    """Return plain text, with a segment for each line that is not blank."""
    document = Document(split_sentences)
    for place, part in enumerate(_LINE_END.split(text)):
        if place % 2:
            document.keep(part)
        else:
            document.add_line(part)
    return document
