"""Where text without spaces between words may be divided.

That is Chinese, Japanese, Thai, Lao, Khmer and Burmese.

The rules are the main ones of the Unicode line breaking algorithm (UAX #14) for ideographs: between
any two characters, but not before closing punctuation or small kana, and not after opening
punctuation. A word in katakana stays whole, and so do a Thai or Lao consonant and its vowels. A
Khmer or Burmese consonant stays with all that is written below and around it, and a Burmese one
that ends a syllable (with asat) with that syllable.
"""

from __future__ import annotations

import re

_KATAKANA = "\u30a1-\u30fa\u30fc\uff66-\uff9f"
_THAI_LAO = "\u0e01-\u0e7f\u0e81-\u0eff"
_CJK = "\u3001-\u303f\u3041-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff9f"
_CJK_RARE = "\U00020000-\U0003ffff"
_KHMER_BURMESE = "\u1780-\u17dd\u1000-\u103f\u104a-\u109f"
_SPACELESS = f"[{_THAI_LAO}{_KHMER_BURMESE}{_CJK}{_CJK_RARE}]"
_CLAUSE_END = ",.;:!?…、。！，．：；？｡､។៕၊။"  # noqa: RUF001
_CLOSING = _CLAUSE_END + "%)\\]}”’»〉》」』】〕〗〙〛％）］｝｣･・—"  # noqa: RUF001
_OPENING = "(\\[{“‘«〈《「『【〔〖〘〚（［｛｢"  # noqa: RUF001
_SMALL_KANA = "ーぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ\u31f0-\u31ff\uff67-\uff70"
_REPEATED = "々〻ゝゞヽヾ"
_MARKS = "\u0300-\u036f\u3099-\u309c\uff9e\uff9f\u200d\ufe00-\ufe0f"
_VOWELS_BEHIND = "\u0e2f-\u0e3a\u0e45-\u0e4e\u0eaf-\u0ebc\u0ec6-\u0ece"
_VOWELS_BEFORE = "\u0e40-\u0e44\u0ec0-\u0ec4"
_KHMER_SIGNS = "\u17b4-\u17d3\u17d6\u17d7\u17dd"  # vowels, marks, the sign of repetition
_BURMESE_SIGNS = (
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074"
    "\u1082-\u108d\u108f\u109a-\u109d"
)
_STACKS = "\u17d2\u1039"  # the consonant behind it is written below the one before it
_ENDS_SYLLABLE = "[\u1000-\u103f]\u1037?[\u1039\u103a]"
_PLACE = re.compile(
    rf"(?<=[^\s\"'\u200d{_OPENING}{_VOWELS_BEFORE}{_STACKS}])"
    rf"(?=[^\s\"'{_CLOSING}{_SMALL_KANA}{_REPEATED}{_MARKS}{_VOWELS_BEHIND}])"
    rf"(?![{_KHMER_SIGNS}{_BURMESE_SIGNS}]|{_ENDS_SYLLABLE})"
    rf"(?:(?<={_SPACELESS})|(?={_SPACELESS}))"
    rf"(?!(?<=[{_KATAKANA}])[{_KATAKANA}])"
)
_AFTER_CLAUSE = re.compile(rf"[{_CLAUSE_END}][\"'{_CLOSING}]*\Z")
_MAX_CLAUSE_END = 4


def break_places(text: str) -> set[int]:
    """Return the offsets at which a text may be divided although it has no space there."""
    return {match.start() for match in _PLACE.finditer(text)}


def ends_clause(text: str, end: int | None = None) -> bool:
    """Return whether a text, up to an offset, ends with punctuation and perhaps quotation marks."""
    end = len(text) if end is None else end
    return bool(_AFTER_CLAUSE.search(text, max(0, end - _MAX_CLAUSE_END), end))
