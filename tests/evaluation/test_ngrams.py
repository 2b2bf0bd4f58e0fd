"""Counts and log odds worked out by hand."""

from __future__ import annotations

import math
from collections import Counter

from nmt.evaluation.ngrams import Ngram, differences, match_counts


def test_matches_are_clipped_at_the_reference_with_most() -> None:
    counts = match_counts([["a", "a", "a", "b"]], [[["a", "x"], ["a", "a", "b"]]])
    assert counts == {
        ("a",): 2,
        ("b",): 1,
        ("a", "a"): 1,
        ("a", "b"): 1,
        ("a", "a", "b"): 1,
    }


def test_matches_are_counted_sentence_by_sentence() -> None:
    assert match_counts([["a"], ["b"]], [[["b"]], [["b"]]]) == {("b",): 1}


def test_differences() -> None:
    baseline = Counter({("a",): 3, ("b",): 1, ("d",): 2, ("a", "b"): 5})
    system = Counter({("a",): 1, ("b",): 1, ("c",): 3, ("e",): 3, ("d",): 1})
    won, lost = differences(baseline, system, range(1, 2), 5)
    assert won == [Ngram("c", 0, 3, math.log(4)), Ngram("e", 0, 3, math.log(4))]
    assert lost == [Ngram("a", 3, 1, math.log(1 / 2)), Ngram("d", 2, 1, math.log(2 / 3))]
    assert differences(baseline, system, range(1, 2), 1) == (won[:1], lost[:1])
    assert differences(baseline, system, range(2, 5), 5)[1] == [Ngram("a b", 5, 0, -math.log(6))]
