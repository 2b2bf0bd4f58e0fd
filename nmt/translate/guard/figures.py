"""Numbers, addresses of the Web and of e-mail: a translation should keep them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from nmt.data.placeholders import EMAIL, URL

NUMBER = re.compile(r"\d(?:[\d.,'\u2019\u00a0\u202f]*\d)?")
_HALF_OF_DAY = re.compile(
    r"\b(?:[ap]\.?\s?m|morning|afternoon|evening)\b|[上下]午|午[前後]|오[전후]", re.IGNORECASE
)
_TIME = re.compile(r"\b\d{1,2}[.:]\d\d\b")
_HOURS = 24
# A number with this many digits or fewer, without zeros at its end, is often a word: one hundred,
# twenty-five, 3 million.
_DIGITS_OF_A_WORD = 2
_CHINESE_NUMBER = re.compile("[〇零一二三四五六七八九十百千万萬亿億兆]{2,}")


def changes_addresses(src: str, tgt: str) -> bool:
    """Return whether a translation loses or invents a URL or an e-mail address."""
    return _addresses(src) != _addresses(tgt)


def _addresses(text: str) -> set[str]:
    return {found for pattern in (URL, EMAIL) for found in pattern.findall(text)}


def changes_numbers(src: str, tgt: str) -> bool:
    """Return whether a translation loses or invents a number.

    Numbers are compared by their digits, because separators depend on the language: 1,000.5 is
    1.000,5. Those within addresses do not count. If only one side has a short number, the other
    may have it in words, and in Chinese numerals, a long one, too. Hours may differ where the
    source divides the day (3 p.m., 15 Uhr).
    """
    divides_day = any(map(_HALF_OF_DAY.search, (src, tgt)))
    ours, theirs = (_numbers(text, without_times=divides_day) for text in (src, tgt))
    lost, invented = ours - theirs, theirs - ours
    if "".join(sorted(lost.elements())) == "".join(sorted(invented.elements())):
        return False  # divided in other ways: 10/12 and 1012
    if lost and invented:
        return True
    if _CHINESE_NUMBER.search(tgt if lost else src):
        return False
    return any(len(number) > _DIGITS_OF_A_WORD for number in (*lost, *invented))


def _numbers(text: str, *, without_times: bool) -> Counter[str]:
    """Count the numbers of a text by their digits, without zeros at the end."""
    for pattern in (URL, EMAIL, *([_TIME] if without_times else [])):
        text = pattern.sub(" ", text)
    numbers = Counter(_digits(found) for found in NUMBER.findall(text))
    if without_times:
        numbers = Counter({n: count for n, count in numbers.items() if not _is_hour(n)})
    return numbers


def _is_hour(digits: str) -> bool:
    # `int` refuses thousands of digits.
    return len(digits) <= _DIGITS_OF_A_WORD and int(digits) <= _HOURS


def _digits(number: str) -> str:
    digits = "".join(str(unicodedata.digit(c)) for c in number if c.isdecimal())
    return digits.rstrip("0") or "0"
