"""The language of a text."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

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
        self._identifier = copy.copy(_identifier())
        known = {code.split("-")[0].lower(): code for code in languages}
        candidates = known.keys() & set(self._identifier.labels)
        self._codes = {label: known[label] for label in candidates}
        if candidates:
            self._identifier.set_languages(sorted(candidates))

    def detect(self, text: str) -> list[Detected]:
        """Return the likely languages of a text, the likeliest first; at least one."""
        ranked = self._identifier.rank(text[:_CHARACTERS])
        found = [
            Detected(self._codes.get(label, label), round(100 * float(probability), 1))
            for label, probability in ranked
            if probability >= _SHOWN
        ]
        return found or [Detected(self._codes.get(ranked[0][0], ranked[0][0]), 0.0)]


@cache  # loading it takes seconds
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
