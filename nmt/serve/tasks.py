"""What workers are asked to do, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from nmt.config.languages import LanguagePair
from nmt.translate.alternatives import Alternative
from nmt.translate.guard.guard import GuardMode
from nmt.translate.words import Links


class Hop(NamedTuple):
    """One translation step: a model, and the languages it has to be told."""

    model: int
    """Its number on the command line, from 0."""
    src_lang: str | None = None
    tgt_lang: str | None = None


class Served(NamedTuple):
    """A model that a worker has loaded."""

    name: str
    hops: dict[LanguagePair, Hop]
    """How it translates each of its pairs."""


@dataclass(frozen=True)
class Task:
    """How to translate; lines with the same task can share a batch."""

    hop: Hop
    nbest: int = 1
    aligns: bool = False
    glossary: tuple[tuple[str, ...], ...] = ()
    """Source term, target term and its other forms."""
    guard: GuardMode | None = None
    """How to check the translations, if at all."""
    num_words: int = 0
    """If not 0: look for this many next words instead of translations."""


class Line(NamedTuple):
    """A piece of text that is translated as one."""

    text: str
    prefix: str = ""
    """The beginning of its translation, for the next words."""


@dataclass(frozen=True)
class Found:
    """What was found for a line."""

    texts: list[str] = field(default_factory=list)
    """Translations, best first."""
    links: Links = field(default_factory=list)
    """Word alignment of the best one."""
    flags: tuple[str, ...] = ()
    """Why the best one may be bad, if it was checked."""
    confidence: float | None = None
    """The probability that it is acceptable, if it was checked and the model is calibrated."""
    words: list[Alternative] = field(default_factory=list)


@dataclass(frozen=True)
class Failed:
    """Why a line cannot be translated."""

    message: str


Outcome = Found | Failed
