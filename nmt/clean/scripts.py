"""Scripts of languages and of characters."""

from __future__ import annotations

import functools
import unicodedata

_LANGUAGES = {
    "LATIN": "af az br bs ca cs cy da de en eo es et eu fi fo fr ga gl hr hu id is it jv lb lt lv "
    "mg mt nb nl nn no oc pl pt ro sk sl so sq sv sw tl tr uz vi",
    "CYRILLIC": "be bg kk ky mk mn ru tg tt uk",
    "ARABIC": "ar fa ps ug ur",
    "DEVANAGARI": "hi mr ne sa",
    "BENGALI": "as bn",
    "HEBREW": "he yi",
    "CJK": "zh",
    "CJK HIRAGANA KATAKANA": "ja",
    "CJK HANGUL": "ko",
    "LATIN CYRILLIC": "sr sh",
    "GREEK": "el",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "THAI": "th",
    "LAO": "lo",
    "KHMER": "km",
    "MYANMAR": "my",
    "TIBETAN": "bo dz",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "ORIYA": "or",
    "SINHALA": "si",
    "ETHIOPIC": "am ti",
}
"""Languages by the Unicode names of their scripts."""
_SCRIPTS = {
    language: frozenset(scripts.split())
    for scripts, languages in _LANGUAGES.items()
    for language in languages.split()
}
_WITHOUT_SPACES = {"zh", "ja", "th", "lo", "km", "my", "bo", "dz"}


def scripts_of(language: str | None) -> frozenset[str]:
    """Return the scripts of a language code such as `en` or `pt-BR`; none if it is unknown."""
    return _SCRIPTS.get(base_code(language), frozenset())


def has_spaces(language: str | None) -> bool:
    """Return whether a language puts spaces between words; unknown ones do."""
    return base_code(language) not in _WITHOUT_SPACES


def base_code(language: str | None) -> str:
    """Return the code of a language without its region: `pt` for `pt-BR`."""
    return (language or "").replace("_", "-").split("-")[0].lower()


@functools.lru_cache(maxsize=1 << 16)
def script_of(character: str) -> str:
    """Return the script of a letter, as in its Unicode name: `LATIN`; empty for all else.

    Letters that texts of any script use, such as the micro sign or modifiers, have none.
    """
    if unicodedata.category(character) not in {"Ll", "Lu", "Lt", "Lo"}:
        return ""
    name = unicodedata.name(character, "OTHER").removeprefix("FULLWIDTH ").split(" ")[0]
    return "" if name in {"MICRO", "FEMININE", "MASCULINE", "KELVIN", "OHM"} else name
