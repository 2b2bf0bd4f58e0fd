"""Where sentences begin: the rules of sentencex (Wikimedia) for the language, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nmt.config.languages import base_code

_INITIAL = re.compile(r"(?:\A|[\s(\[\"'„“‘«-])[^\W\d_]\.\s*\Z")  # noqa: RUF001
"""Before a name: "J. R. Doe", and "M. Dupont", which sentencex divides."""
_MAX_INITIAL = 8
_WINDOW = 2000  # characters; the time of sentencex is quadratic for text such as ` ` `


def sentence_starts(text: str, lang: str) -> list[int]:
    """Return the offsets at which the second and later sentences of a text start.

    No sentence starts after an initial, nor with a lower-case letter unless the whole text is in
    lower case.

    Args:
        text: the text.
        lang: code of its language, as `de`, `de_CH` or `deu_Latn`. Those that sentencex does not
            know have the rules of a similar language, or else of English.
    """
    has_case = text != text.lower()
    code = base_code(lang)
    end = len(text.rstrip())
    return [
        start
        for start in _starts(text, code)
        if start < end
        and not (has_case and text[start].islower())
        and not _INITIAL.search(text[max(0, start - _MAX_INITIAL) : start])
    ]


def _starts(text: str, code: str) -> Iterator[int]:
    """Yield where sentences start, after the first.

    The last sentence of a window may continue behind it, so the next window begins with it.
    """
    from sentencex import get_sentence_boundaries

    place = 0
    while place < len(text):
        window = text[place : place + _WINDOW]
        window = window.encode("utf-8", "replace").decode("utf-8")  # it refuses half a character
        found = [each["start_index"] for each in get_sentence_boundaries(code, window)][1:]
        yield from (place + start for start in found)
        if place + _WINDOW >= len(text):
            return
        place += found[-1] if found else _WINDOW
