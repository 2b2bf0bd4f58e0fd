"""Rules about the shape of a pair: lengths, ratios, repetitions.

Each returns whether the pair is to be dropped.
"""

from __future__ import annotations

import re

from nmt.clean.sides import LINK, Side
from nmt.config.cleaning import LengthRatioRule, LengthRule, RepetitionRule, WordLengthRule

_MAX_PHRASE = 4
_LEADERS = ".-_\u2026\u2013\u2014\u30fb\u3002"  # also an ellipsis, dashes, and Japanese dots
_HANGUL = re.compile("[\uac00-\ud7a3]")


def empty(src: Side, tgt: Side) -> bool:
    """A side without any text."""
    return not (src.words and tgt.words)


def length(src: Side, tgt: Side, limits: LengthRule) -> bool:
    """A side that is too short or too long."""
    return not all(
        limits.min_words <= len(side.words) <= limits.max_words
        and limits.min_characters <= len(side.text) <= limits.max_characters
        for side in (src, tgt)
    )


def length_ratio(src: Side, tgt: Side, limits: LengthRatioRule) -> bool:
    """Sides of very different lengths."""
    if not (src.language.has_long_words or tgt.language.has_long_words):
        shorter, longer = sorted((len(src.words), len(tgt.words)))
        if longer > limits.words * shorter + limits.extra_words:
            return True
    if not (src.has_spaces and tgt.has_spaces):
        return False
    shorter, longer = sorted((_num_letters(src.text), _num_letters(tgt.text)))
    return longer > limits.characters * shorter + limits.extra_characters


def _num_letters(text: str) -> int:
    """Return the number of characters; a Korean one has about three letters."""
    return len(text) if text.isascii() else len(text) + 2 * len(_HANGUL.findall(text))


def word_length(src: Side, tgt: Side, limits: WordLengthRule) -> bool:
    """A long word, or long words on average."""
    return any(_has_long_words(side, limits) for side in (src, tgt))


def _has_long_words(side: Side, limits: WordLengthRule) -> bool:
    words = side.words
    if len(words) > 2 and len(side.text) > limits.max_mean * len(words) + len(words):
        return True
    if len(side.text) <= limits.max_characters:
        return False
    return any(len(word) > limits.max_characters and not LINK.search(word) for word in words)


def repetition(src: Side, tgt: Side, limits: RepetitionRule) -> bool:
    """Words, phrases or characters repeated on one side only."""
    if any(_long_run(side.text, limits.max_characters) for side in (src, tgt)):
        return True
    ours, theirs = (_repeats(side.text.casefold().split()) for side in (src, tgt))
    return (
        abs(ours[0] - theirs[0]) > limits.max_words or abs(ours[1] - theirs[1]) > limits.max_phrases
    )


def _long_run(text: str, most: int) -> bool:
    return any(
        len(run[0]) > most and run[1] not in _LEADERS for run in re.finditer(r"(\S)\1{2,}", text)
    )


def _repeats(words: list[str]) -> tuple[int, int]:
    """Return how often a word follows itself in a row, at most, and how often a phrase does.

    Punctuation counts, except after the last word: `Go away. Away with you!` repeats nothing, but
    `Go away away.` does.
    """
    found = [0] * (_MAX_PHRASE + 1)  # by number of words
    bare = [word.rstrip(".,:;!?") for word in words]
    if len({*bare}) == len(words):
        return 0, 0
    for size in range(1, min(_MAX_PHRASE, len(words) // 2) + 1):
        equal = 0  # words in a row that are equal to those `size` places before
        for word, end, earlier in zip(words[size:], bare[size:], words, strict=False):
            equal = equal + 1 if earlier in (word, end) else 0
            found[size] = max(found[size], equal // size)
        if found[1]:  # `no no no no` is a word, not a phrase
            break
    return found[1], max(found[2:])
