"""What the rules look at: the two sides of a pair."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, cached_property

from nmt.clean.scripts import base_code, has_spaces, scripts_of

LINK = re.compile(r"(?:https?://|ftp://|www\.)[^\s<>\"]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
"""A URL or an e-mail address."""


@dataclass(frozen=True)
class Language:
    """What the rules need to know about a language.

    Attributes:
        code: such as `en`, without a region; empty if unknown.
        scripts: in which it is written; none if unknown.
        has_spaces: whether spaces separate its words. Otherwise each character counts as a word.
    """

    code: str
    scripts: frozenset[str]
    has_spaces: bool

    @classmethod
    def of(cls, code: str | None) -> Language:
        """Return what is known about a code."""
        return cls(base_code(code), scripts_of(code), has_spaces(code))


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
    def words(self) -> list[str]:
        """The words, with the punctuation next to them."""
        return self.text.split() if self.language.has_spaces else list("".join(self.text.split()))

    @cached_property
    def plain_words(self) -> list[str]:
        """The words without case and punctuation."""
        kept = "".join(c if _is_of_word(c) else " " for c in self.text.casefold())
        return kept.split() if self.language.has_spaces else list(kept.replace(" ", ""))


Sides = tuple[Side, Side]
"""A source side and a target side."""


@cache
def _is_of_word(character: str) -> bool:
    """Return whether a character is a letter, a number or a mark, such as the vowels of Hindi."""
    return character.isalnum() or unicodedata.category(character)[0] == "M"
