"""N-grams that one system gets right and another does not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_ORDER = 4
"""Length of the longest n-grams counted."""

Counts = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Ngram:
    """Words in a row that one system gets right more often than the other.

    Attributes:
        text: the words, separated by spaces.
        baseline, system: how often they match the reference in each system's translations;
            clipped in each sentence, as in BLEU.
        log_odds: log((system + 1) / (baseline + 1)). compare-mt prints the same as a probability,
            (system + 1) / (system + baseline + 2).
    """

    text: str
    baseline: int
    system: int
    log_odds: float


def match_counts(
    translations: Iterable[Sequence[str]], references: Iterable[Iterable[Sequence[str]]]
) -> Counts:
    """Count the n-grams that translations share with their references.

    Args:
        translations: the words of each sentence.
        references: for each sentence, the words of each of its references.
    """
    total: Counts = Counter()
    for words, refs in zip(translations, references, strict=True):
        allowed: Counts = Counter()
        for ref in refs:
            allowed |= _ngrams(ref)
        total.update(_ngrams(words) & allowed)
    return total


def differences(
    baseline: Counts, system: Counts, orders: range, top: int
) -> tuple[list[Ngram], list[Ngram]]:
    """Return the n-grams that a system gets right more often than the baseline, and less often.

    Args:
        baseline, system: `match_counts` of the two.
        orders: lengths of the n-grams.
        top: the largest number of n-grams in each list.

    Returns:
        Two lists, each by decreasing absolute log odds, then by decreasing absolute difference of
        the counts, then alphabetically.
    """
    found = [
        Ngram(" ".join(words), baseline[words], system[words], _log_odds(baseline, system, words))
        for words in sorted(baseline.keys() | system.keys())
        if len(words) in orders
    ]
    found.sort(key=lambda each: (-abs(each.log_odds), -abs(each.system - each.baseline)))
    won = [ngram for ngram in found if ngram.log_odds > 0]
    lost = [ngram for ngram in found if ngram.log_odds < 0]
    return won[:top], lost[:top]


def _log_odds(baseline: Counts, system: Counts, words: tuple[str, ...]) -> float:
    return math.log((system[words] + 1) / (baseline[words] + 1))


def _ngrams(words: Sequence[str]) -> Counts:
    return Counter(
        tuple(words[start : start + order])
        for order in range(1, MAX_ORDER + 1)
        for start in range(len(words) - order + 1)
    )
