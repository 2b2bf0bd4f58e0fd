"""The language of a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nmt.config.languages import base_code
from nmt.data.identify import identifier

_CHARACTERS = 2000
"""More do not change the result."""
_SHOWN = 0.05


class Detected(NamedTuple):
    """A language that a text may be in."""

    language: str
    confidence: float
    """From 0 to 100."""


class Detector:
    """Tells the languages of a server apart.

    Args:
        languages: their codes. Those that py3langid does not know are never detected; if it knows
            none, all that it knows are candidates.
    """

    def __init__(self, languages: Iterable[str]) -> None:
        self._codes = {base_code(code): code for code in languages}
        self._identifier = identifier(self._codes)

    def detect(self, text: str) -> list[Detected]:
        """Return the likely languages of a text, the likeliest first; at least one."""
        ranked = self._identifier.rank(text[:_CHARACTERS])
        found = [
            Detected(self._codes.get(label, label), round(100 * float(probability), 1))
            for label, probability in ranked
            if probability >= _SHOWN
        ]
        return found or [Detected(self._codes.get(ranked[0][0], ranked[0][0]), 0.0)]
