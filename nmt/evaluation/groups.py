"""Groups of sentences that are alike: in length, in rare words, in punctuation, in digits."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

Groups = dict[str, list[int]]
"""The numbers of the sentences of each group, from 0, by the group's name; no group is empty."""

LENGTH_LIMITS = (10, 20, 30, 40, 50, 60)
FREQUENCY_LIMITS = (0, 1, 4, 9, 99, 999)
"""The largest number of each group; one more group holds larger numbers."""

# Full-width question mark, exclamation mark and full stop; the Arabic question mark.
_WIDE = str.maketrans("\uff1f\uff01\u3002\u061f", "?!.?")
_CLOSING = " \t\"'\u2019\u201c\u201d\u00ab\u00bb\u300d\u300f)]"


def by_length(sentences: Iterable[Sequence[str]]) -> Groups:
    """Group sentences by their number of words."""
    return _by_number(map(len, sentences), LENGTH_LIMITS)


def by_rarest_word(sentences: Iterable[Sequence[str]], frequencies: Counter[str]) -> Groups:
    """Group sentences by the frequency of their rarest word; an empty sentence has frequency 0."""
    rarest = (min((frequencies[word] for word in words), default=0) for words in sentences)
    return _by_number(rarest, FREQUENCY_LIMITS)


def by_ending(lines: Iterable[str]) -> Groups:
    """Group sentences by their last character: ? or ! or a full stop, or else `other`.

    Closing quotation marks and brackets after it are ignored. Full-width and Arabic marks count as
    their ASCII counterparts.
    """

    def ending(line: str) -> str:
        last = line.rstrip(_CLOSING)[-1:].translate(_WIDE)
        return last if last in ("?", "!", ".") else "other"

    return _grouped(map(ending, lines), ("?", "!", ".", "other"))


def by_digits(lines: Iterable[str]) -> Groups:
    """Group sentences by whether they have digits."""
    names = ("with digits", "without digits")
    has_digits = (any(map(str.isdigit, line)) for line in lines)
    return _grouped((names[0] if has else names[1] for has in has_digits), names)


def count_words(
    lines: Iterable[str], split: Callable[[str], Sequence[str]], vocabulary: set[str]
) -> Counter[str]:
    """Count the words of a text that are in the vocabulary, line by line: it may be large."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(word for word in split(line) if word in vocabulary)
    return counts


def _by_number(numbers: Iterable[int], limits: Sequence[int]) -> Groups:
    """Group sentences by a number each: up to the first limit, to the second, and so on."""
    lowest = [0, *(limit + 1 for limit in limits)]
    names = [
        str(high) if low == high else f"{low}-{high}"
        for low, high in zip(lowest, limits, strict=False)
    ]
    names.append(f"> {limits[-1]}")
    return _grouped((names[bisect.bisect_left(limits, number)] for number in numbers), names)


def _grouped(keys: Iterable[str], order: Iterable[str]) -> Groups:
    """Group sentences by a key each, in this order of the keys."""
    groups: Groups = {name: [] for name in order}
    for number, key in enumerate(keys):
        groups[key].append(number)
    return {name: numbers for name, numbers in groups.items() if numbers}
