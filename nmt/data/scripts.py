"""Scripts of languages and of characters."""

from __future__ import annotations

import functools
import re
import unicodedata

from nmt.config.languages import base_code

IDEOGRAPHS = "\u3005\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA = "\u3041-\u30ff\uff66-\uff9f"
SOUTHEAST_ASIAN = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
_UNSPACED = re.compile(f"[{IDEOGRAPHS}{KANA}{SOUTHEAST_ASIAN}]")
_LANGUAGES = {
    "LATIN": "af br ca cs cy da de en eo es et eu fi fo fr ga gl hr hu id is it jv lb lt lv "
    "mg mt nb nl nn no oc pl pt ro sk sl so sq sv sw tl tr vi",
    "CYRILLIC": "be bg kk ky mk mn ru tg tt uk",
    "ARABIC": "ar fa ps ug ur",
    "DEVANAGARI": "hi mr ne sa",
    "BENGALI": "as bn",
    "HEBREW": "he yi",
    "CJK": "zh",
    "CJK HIRAGANA KATAKANA": "ja",
    "CJK HANGUL": "ko",
    "LATIN CYRILLIC": "az bs sh sr uz",
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
_LONG_WORDS = {
    *("az", "et", "eu", "fi", "hu", "ka", "kk", "kn", "ko", "ky", "ml", "mn", "ta", "te", "tr"),
    *("ug", "uz"),
}
_WIDTH = re.compile("(?:FULL|HALF)WIDTH ")


def has_spaces(text: str) -> bool:
    """Return whether spaces separate all words: not in Chinese, Japanese, Thai and the like."""
    return text.isascii() or not _UNSPACED.search(text)


def scripts_of(language: str | None) -> frozenset[str]:
    """Return the scripts of a language code such as `en` or `pt-BR`; none if it is unknown."""
    return _SCRIPTS.get(base_code(language), frozenset())


def has_long_words(language: str | None) -> bool:
    """Return whether a word of a language often says what takes several in others.

    In Turkish, `evlerimizde` is `in our houses`.
    """
    return base_code(language) in _LONG_WORDS


@functools.lru_cache(maxsize=1 << 16)
def script_of(character: str) -> str:
    """Return the script of a letter, as in its Unicode name: `LATIN`; empty for all else.

    Letters that texts of any script use, such as the micro sign or modifiers, have none.
    """
    if unicodedata.category(character) not in {"Ll", "Lu", "Lt", "Lo"}:
        return ""
    name = _WIDTH.sub("", unicodedata.name(character, "OTHER")).split(" ")[0]
    return "" if name in {"MICRO", "FEMININE", "MASCULINE", "KELVIN", "OHM"} else name
