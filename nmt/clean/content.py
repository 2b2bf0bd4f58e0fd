"""Rules about what a pair says: markup, links, copies, numbers, final marks, words of a list.

Each returns whether the pair is to be dropped.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from nmt.clean.sides import LINK, Side
from nmt.config.cleaning import (
    CopiesRule,
    LinksRule,
    NumbersRule,
    PatternRule,
    TerminalPunctuationRule,
)

_MARKUP = re.compile(
    r"</?[a-zA-Z][^<>]*>|<!--|&[a-zA-Z]{2,8};|&#x?[0-9a-fA-F]+;"
    r"|\[/?(?:b|i|u|url|img|quote|code)\b[^\]]*\]|\[\[|\]\]|\{\{|\}\}"
)
_NUMBER = re.compile(r"\d+")
_CHINESE_DIGITS = str.maketrans("\u3007\u96f6一二三四五六七八九", "00123456789")
_CHINESE_YEAR = re.compile("[\u3007\u96f6一二三四五六七八九]{4}")
_QUESTION_MARKS = "?\uff1f\u061f\u037e\u1367"  # also full-width, Arabic, Greek and Ethiopic
_FULL_STOPS = ".\uff0e\u3002\uff61\u0964\u06d4\u1362"  # also ideographic, Hindi, Urdu, Ethiopic
_ARMENIAN_STOP = "\u0589"  # ends questions, too
_BUDDHIST_YEARS = 543
_QUOTES = "[\"'\u2019\u201c\u201d\xab\xbb)\\s]*$"
_FINAL_MARKS = re.compile(f"[!\uff01\u2026{_QUESTION_MARKS}{_FULL_STOPS}{_ARMENIAN_STOP}]")
_QUESTION = re.compile(f"[{_QUESTION_MARKS}]{_QUOTES}")
_STATEMENT = re.compile(f"[{_FULL_STOPS}]{_QUOTES}")


def markup(src: Side, tgt: Side) -> bool:
    """HTML tags and entities, BBCode and wiki markup."""
    return any(_MARKUP.search(side.text) for side in (src, tgt))


def links(src: Side, tgt: Side, limits: LinksRule) -> bool:
    """Links that differ between the sides, or are most of both."""
    found = [LINK.findall(side.text) for side in (src, tgt)]
    if not any(found):
        return False
    ours, theirs = (sorted(link.rstrip(".,;:!?)").lower() for link in links) for links in found)
    return ours != theirs or all(
        sum(map(len, links)) > limits.max_share * len(side.text)
        for links, side in zip(found, (src, tgt), strict=True)
    )


def copies(src: Side, tgt: Side, limits: CopiesRule) -> bool:
    """Untranslated text: both sides are the same, or nearly so."""
    ours, theirs = (
        Counter(word for word in side.plain_words if not _NUMBER.search(word))
        for side in (src, tgt)
    )
    if min(ours.total(), theirs.total()) < limits.min_words:
        return False
    common = 2 * (ours & theirs).total()
    return common > limits.max_similarity * (ours.total() + theirs.total())


# ---------------------------------------------------------------- numbers


def numbers(src: Side, tgt: Side, limits: NumbersRule) -> bool:
    """Numbers that disagree.

    Zeros do not count, as in OpusFilter's NonZeroNumeralsFilter: `2 million` is `2 000 000`. Digits
    that only one side has are spelled out on the other, unless they are many.
    """
    ours, theirs = (_numbers(side.text) for side in (src, tgt))
    ours, theirs = ours - theirs, theirs - ours
    ours, theirs = _without_times(ours, theirs), _without_times(theirs, ours)
    digits = [Counter("".join(rest.elements()).replace("0", "")) for rest in (ours, theirs)]
    only_ours, only_theirs = digits[0] - digits[1], digits[1] - digits[0]
    if only_ours and only_theirs:
        return True
    missing = (only_ours or only_theirs).total()
    # As many numbers on both sides, but not the same digits: 12 and 120 are not spelled out.
    return missing >= limits.min_digits or (missing > 0 and ours.total() == theirs.total())


def _numbers(text: str) -> Counter[str]:
    """Count the runs of digits of a text, as ASCII."""
    if text.isascii():
        return Counter(_NUMBER.findall(text))
    runs = _NUMBER.findall(_CHINESE_YEAR.sub(lambda year: year[0].translate(_CHINESE_DIGITS), text))
    return Counter("".join(str(unicodedata.decimal(digit)) for digit in run) for run in runs)


def _without_times(numbers: Counter[str], others: Counter[str]) -> Counter[str]:
    """Return the numbers that are not the same hour or year as another."""
    return Counter(
        {
            number: count
            for number, count in numbers.items()
            if not any(_is_same_time(number, other) for other in others)
        }
    )


def _is_same_time(one: str, other: str) -> bool:
    """Return whether two numbers may be the same hour, as 7 and 19, or year, as 60 and 1960.

    1990 is the year 2533 in Thailand.
    """
    shorter, longer = sorted((one, other), key=len)
    if len(longer) <= 2:
        return abs(int(one) - int(other)) == 12
    if len(shorter) == len(longer) == 4:
        return abs(int(one) - int(other)) == _BUDDHIST_YEARS
    return (len(shorter), len(longer)) == (2, 4) and longer.endswith(shorter)


# ---------------------------------------------------------------- marks, words and patterns


def terminal_punctuation(src: Side, tgt: Side, limits: TerminalPunctuationRule) -> bool:
    """Sentence-final marks that disagree, as in OpusFilter's TerminalPunctuationFilter.

    Japanese questions may end with a full stop, and Thai has neither, so these are not looked at.
    """
    if not (src.has_final_marks and tgt.has_final_marks):
        return False
    ours, theirs = (len(_FINAL_MARKS.findall(side.text)) for side in (src, tgt))
    penalty = abs(ours - theirs) + max(ours - 1, 0) + max(theirs - 1, 0)
    if ours != theirs and penalty > limits.max_penalty:
        return True
    if max(len(src.words), len(tgt.words)) > limits.question_words:
        return False
    return any(
        bool(_QUESTION.search(one.text)) and bool(_STATEMENT.search(other.text))
        for one, other in ((src, tgt), (tgt, src))
    )


class Profanity:
    """Words or phrases of a list.

    Args:
        entries: the list; blank ones are left out.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        words = sorted(re.escape(entry.strip().casefold()) for entry in entries if entry.strip())
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)") if words else None

    def __call__(self, src: Side, tgt: Side) -> bool:
        """Return whether a side has one of them."""
        return self._pattern is not None and any(
            self._pattern.search(side.text.casefold()) for side in (src, tgt)
        )


def pattern(src: Side, tgt: Side, limits: PatternRule) -> bool:
    """A match of a regular expression of the user."""
    return any(
        expression is not None and re.search(expression, side.text) is not None
        for expression, side in ((limits.src, src), (limits.tgt, tgt))
    )
