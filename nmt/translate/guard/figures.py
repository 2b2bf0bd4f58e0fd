"""Numbers, addresses of the Web and of e-mail: a translation should keep them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

from nmt.data.placeholders import EMAIL, URL

_SITE = re.compile(r"\A(?:\w+://)?[^/?#]*")
NUMBER = re.compile(
    # An ordinary space may separate thousands, too: 1 000 000,5.
    r"(?<!\d)\d{1,3}(?: \d{3})+(?:[.,]\d+)?(?![\d.,]*\d)|\d(?:[\d.,'\u2019\u00a0\u202f]*\d)?"
)
_HALF_OF_DAY = re.compile(
    r"(?<![^\W\d])(?:[ap]\.?\s?m|morning|afternoon|evening)\b|[上下]午|午[前後]|오[전후]",
    re.IGNORECASE,
)
# Its order and leading zeros depend on the language.
_DATE = re.compile(r"(?<!\d)(\d{4}|\d\d?)([./-])(\d\d?)\2(\d{4}|\d\d?)(?!\d)")
_DAY_AND_MONTH = re.compile(r"(?<![\d.,])([0-3]?\d)\.(0?\d|1[0-2])\.(?!\d)")
_YEAR = re.compile(r"(?:1[0-9]|20)\d\d")
_TIME = re.compile(r"(?<![\d.,:])(\d\d?)[.:]([0-5]\d)(?![.,:]?\d)")
_HOURS = 24
# A number with this many digits or fewer, without zeros at its end, is often a word: one hundred,
# twenty-five, 3 million.
_DIGITS_OF_A_WORD = 2
_CHINESE_NUMBER = re.compile("[〇零一二三四五六七八九十百千万萬亿億兆]{2,}")


def changes_addresses(src: str, tgt: str) -> bool:
    """Return whether a translation loses or invents a URL or an e-mail address.

    Capitals count in the path of a URL only.
    """
    return _addresses(src) != _addresses(tgt)


def _addresses(text: str) -> set[str]:
    urls = {_SITE.sub(lambda site: site[0].lower(), url) for url in URL.findall(text)}
    return urls | {address.lower() for address in EMAIL.findall(text)}


def changes_numbers(src: str, tgt: str) -> bool:
    """Return whether a translation loses or invents a number.

    Numbers are compared by their digits, because separators depend on the language: 1,000.5 is
    1.000,5. Those within addresses do not count. If only one side has a short number, the other
    may have it in words, and in Chinese numerals, a long one, too. Times may have 12 hours or 24;
    where the source divides the day (3 p.m., 15 Uhr), other short numbers may be hours. The parts
    of a date count separately, in any order (5 May 2020, 05/05/2020), and a year may lack its
    century (the 1990s, 90er).
    """
    src, tgt = map(_without_addresses, (src, tgt))
    divides_day = any(map(_HALF_OF_DAY.search, (src, tgt)))
    times = _times(src, tgt), _times(tgt, src)
    # Without a colon or the half of the day, nothing tells 6.30 Uhr from 6.30 euros.
    are_times = divides_day or (all(times) and any(":" in time for side in times for time in side))
    ours, theirs = (
        _numbers(_comparable(text, side if are_times else set(), divides_day))
        for text, side in zip((src, tgt), times, strict=True)
    )
    lost, invented = _without(ours, theirs), _without(theirs, ours)
    for long, short in ((lost, invented), (invented, lost)):
        _remove_years(long, short)
    if divides_day:
        lost, invented = ([n for n in side if not _is_hour(n)] for side in (lost, invented))
    if _joined(lost) == _joined(invented):
        return False  # divided in other ways: 10/12 and 1012
    if lost and invented:
        return True
    if _CHINESE_NUMBER.search(tgt if lost else src):
        return False
    return any(len(_without_zeros(number)) > _DIGITS_OF_A_WORD for number in (*lost, *invented))


def _without_addresses(text: str) -> str:
    for pattern in (URL, EMAIL):
        text = pattern.sub(" ", text)
    return text


def _times(text: str, other: str) -> set[str]:
    """Return what may be a time; 6.30 is a number, not a time, if the other text has it too."""
    known = {*_numbers(other)}
    found = (time[0] for time in _TIME.finditer(text))
    return {time for time in found if ":" in time or not known.issuperset(_numbers(time))}


def _comparable(text: str, times: Collection[str], divides_day: bool) -> str:
    """Return a text whose times and dates are divided into their parts.

    Args:
        text: the text, without addresses.
        times: the times in it, which get 12 hours.
        divides_day: leave the times out.
    """

    def parts(time: re.Match[str]) -> str:
        if time[0] not in times:
            return time[0]
        return " " if divides_day else f"{(int(time[1]) - 1) % 12 + 1} / {time[2]}"

    text = _TIME.sub(parts, text)
    text = _DATE.sub(lambda date: _divided(date.group(1, 3, 4)), text)
    return _DAY_AND_MONTH.sub(lambda date: _divided(date.groups()), text)


def _divided(parts: Sequence[str]) -> str:
    return " / ".join(str(int(part)) for part in parts)


def _numbers(text: str) -> list[str]:
    """Return the digits of each number, in order."""
    found = NUMBER.findall(text)
    return ["".join(str(unicodedata.digit(c)) for c in each if c.isdecimal()) for each in found]


def _without(numbers: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the numbers that are not among others, in order, as often as they are missing."""
    there = Counter(map(_without_zeros, others))
    left = []
    for number in numbers:
        key = _without_zeros(number)
        if there[key]:
            there[key] -= 1
        else:
            left.append(number)
    return left


def _remove_years(long: list[str], short: list[str]) -> None:
    """Remove years of one side, and their last two digits from the other."""
    for year in [*long]:
        if _YEAR.fullmatch(year) and year[2:] in short:
            long.remove(year)
            short.remove(year[2:])


def _is_hour(digits: str) -> bool:
    # `int` refuses thousands of digits.
    return len(digits) <= _DIGITS_OF_A_WORD and int(digits) <= _HOURS


def _joined(numbers: Sequence[str]) -> str:
    return _without_zeros("".join(numbers))


def _without_zeros(digits: str) -> str:
    """Return digits without the zeros at the end: 3 million is 3,000,000."""
    return digits.rstrip("0") or "0"
