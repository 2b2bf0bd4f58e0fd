"""What the rules look at: the two sides of a pair."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property

from nmt.config.languages import base_code
from nmt.data.scripts import (
    IDEOGRAPHS,
    KANA,
    SOUTHEAST_ASIAN,
    has_long_words,
    has_spaces,
    scripts_of,
)

LINK = re.compile(
    r"(?i:https?://|ftp://|www\.)[!#-;=?-~]+|[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+", re.ASCII
)
"""A URL or an e-mail address, up to a letter that is not ASCII: Chinese has no space behind it."""
_WITHOUT_MARKS = re.compile(f"[{KANA}{SOUTHEAST_ASIAN}]")
# About as many characters as translate an English word.
_WORD = re.compile(
    rf"[^\w\s]*(?:[{IDEOGRAPHS}]{{1,2}}|[{KANA}]{{1,3}}|[{SOUTHEAST_ASIAN}]{{1,3}}"
    rf"|[^\s{IDEOGRAPHS}{KANA}{SOUTHEAST_ASIAN}]+)[^\w\s]*"
)


@dataclass(frozen=True)
class Language:
    """What the rules need to know about a language.

    Attributes:
        code: such as `en`, without a region; empty if unknown.
        scripts: in which it is written; none if unknown.
        has_long_words: whether one word often says what takes several in other languages.
    """

    code: str
    scripts: frozenset[str]
    has_long_words: bool

    @classmethod
    def of(cls, code: str | None) -> Language:
        """Return what is known about a code."""
        return cls(base_code(code), scripts_of(code), has_long_words(code))


@dataclass
class Side:
    """One side of a pair.

    Attributes:
        text: the line.
        language: its language.
    """

    text: str
    language: Language

    @cached_property
    def has_spaces(self) -> bool:
        """As the function `has_spaces`."""
        return has_spaces(self.text)

    @cached_property
    def has_final_marks(self) -> bool:
        """Whether its script has full stops and question marks, and sentences do not lack them."""
        return self.text.isascii() or not _WITHOUT_MARKS.search(self.text)

    @cached_property
    def words(self) -> list[str]:
        """The words, with the punctuation next to them; without spaces, a few characters each."""
        return self.text.split() if self.has_spaces else _WORD.findall(self.text)

    @cached_property
    def plain_words(self) -> list[str]:
        """The words without case and punctuation; without spaces, the characters."""
        kept = "".join(c if _is_of_word(c) else " " for c in self.text.casefold())
        return kept.split() if self.has_spaces else list(kept.replace(" ", ""))


Sides = tuple[Side, Side]
"""A source side and a target side."""


@cache
def _is_of_word(character: str) -> bool:
    """Return whether a character is a letter, a number or a mark, such as the vowels of Hindi."""
    return character.isalnum() or unicodedata.category(character)[0] == "M"
