"""Groups worked out by hand."""

from __future__ import annotations

from collections import Counter

from nmt.evaluation.groups import by_digits, by_ending, by_length, by_rarest_word, count_words


def test_by_length() -> None:
    lengths = [10, 11, 0, 61, 60, 20, 1000]
    assert by_length([["x"] * length for length in lengths]) == {
        "0-10": [0, 2],
        "11-20": [1, 5],
        "51-60": [4],
        "> 60": [3, 6],
    }


def test_by_rarest_word() -> None:
    frequencies = Counter({"the": 5000, "cat": 100, "mat": 4, "hut": 1})
    sentences = ["the", "the cat", "the mat", "hut the", "the dog", "", "cat mat"]
    assert by_rarest_word([line.split() for line in sentences], frequencies) == {
        "0": [4, 5],
        "1": [3],
        "2-4": [2, 6],
        "100-999": [1],
        "> 999": [0],
    }


def test_by_ending() -> None:
    lines = [
        "Why?",
        "Go!",
        "No.",
        "Title",
        "„Wer?“",
        "He said (yes.) ",
        "",
        "何\uff1f」",
        "5 %",
        "…",
    ]
    assert by_ending(lines) == {"?": [0, 4, 7], "!": [1], ".": [2, 5], "other": [3, 6, 8, 9]}


def test_by_digits() -> None:
    assert by_digits(["In 1990", "none", "٣", ""]) == {
        "with digits": [0, 2],
        "without digits": [1, 3],
    }
    assert by_digits(["none"]) == {"without digits": [0]}


def test_count_words() -> None:
    lines = ["the cat the", "a cat"]
    assert count_words(lines, str.split, {"the", "cat"}) == {"the": 2, "cat": 2}
