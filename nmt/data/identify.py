"""py3langid's model of languages."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cache
from typing import Any


def identifier(languages: Iterable[str] = ()) -> Any:
    """Return a `LanguageIdentifier` whose `rank` gives probabilities.

    Args:
        languages: codes of the languages to choose from; those that it does not know are left out.
            Without any, it chooses from all that it knows.
    """
    chosen = copy.copy(_loaded())
    if known := sorted({*languages} & {*chosen.labels}):
        chosen.set_languages(known)
    return chosen


@cache  # loading it takes seconds
def _loaded() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
