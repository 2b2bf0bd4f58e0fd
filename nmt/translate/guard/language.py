"""The language of a text, with py3langid, which is an extra."""

from __future__ import annotations

from importlib.util import find_spec

from nmt.config.languages import LanguagePair, base_code
from nmt.data.identify import identifier

_FEWEST_LETTERS = 10
_LETTERS_OF_ANY = 40
"""From this number on, a text may be recognised as a third language."""
_MARGIN = 1000
_MARGIN_OF_COPY = 2
_CHARACTERS = 2000
"""More do not change the result."""


def is_available() -> bool:
    """Return whether py3langid is installed."""
    return find_spec("py3langid") is not None


def is_wrong_language(src: str, tgt: str, languages: LanguagePair) -> bool:
    """Return whether a translation is in another language than it should be.

    That is so if the language of the source is a thousand times as probable as the right one, or in
    longer texts, if any other is. Texts of a few letters pass, and so do those whose source is
    itself not recognised, because it has many names, or is in another language.

    Args:
        src: the source.
        tgt: its translation.
        languages: those of both; languages that py3langid does not know pass.
    """
    src_code, tgt_code = map(_label, languages)
    size = _letters(tgt)
    if src_code == tgt_code or size < _FEWEST_LETTERS:
        return False
    of_tgt = _probabilities(tgt)
    if tgt_code not in of_tgt or src_code not in of_tgt:
        return False
    least = _MARGIN * of_tgt[tgt_code]
    of_src = _probabilities(src)
    if of_tgt[src_code] > least:
        return of_src[src_code] > _MARGIN * of_src[tgt_code]
    if size < _LETTERS_OF_ANY or max(of_tgt.values()) < least:
        return False
    return of_src[src_code] == max(of_src.values())


def is_plausible(text: str, languages: LanguagePair) -> bool:
    """Return whether a text may be in the target language, rather than in that of the source.

    Short sentences of close languages, such as Czech and Slovak, are often the same in both.

    Args:
        text: the text.
        languages: source and target; py3langid has to know both.
    """
    src_code, tgt_code = map(_label, languages)
    found = _probabilities(text)
    if src_code not in found or tgt_code not in found:
        return False
    return found[src_code] < _MARGIN_OF_COPY * found[tgt_code]


def _label(language: str) -> str:
    """Return what py3langid calls a language."""
    code = base_code(language)
    return "no" if code == "nb" else code


def _probabilities(text: str) -> dict[str, float]:
    """Return the probability of each language."""
    # In capitals, a text looks like another language.
    text = text[:_CHARACTERS]
    ranked = identifier().rank(text.lower() if text.isupper() else text)
    return {label: float(probability) for label, probability in ranked}


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text[:_CHARACTERS]))
