"""Corpora whose text is unlike that of the others: sides swapped, lower-cased, tokenised."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nmt.check.finding import Finding
from nmt.check.subject import Subject

_CHARACTERS = 100_000  # of a sample that are looked at

# By how much the cosines of both sides together must be larger when the sides are exchanged. See
# the test for what languages have.
_CLOSER = 0.2


def swapped_sides(subject: Subject) -> Iterator[Finding]:
    """Say which corpora have source and target the other way round than the largest one."""
    largest, others = subject.samples
    src, tgt = _trigrams(largest.src), _trigrams(largest.tgt)
    for other in others:
        other_src, other_tgt = _trigrams(other.src), _trigrams(other.tgt)
        straight = _cosine(other_src, src) + _cosine(other_tgt, tgt)
        crossed = _cosine(other_src, tgt) + _cosine(other_tgt, src)
        if crossed > straight + _CLOSER:
            yield Finding(
                "error",
                "swapped",
                other.about,
                f"{other.corpus}: source and target are swapped: its source text is like the "
                f"target text of {largest.corpus}, and its target text like the source text there; "
                "exchange the two in one of them",
            )


def _trigrams(text: str) -> Counter[str]:
    """Count triples of characters, which tell languages apart (Cavnar and Trenkle 1994)."""
    text = text[:_CHARACTERS].lower()
    return Counter(map("".join, zip(text, text[1:], text[2:], strict=False)))


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    product = sum(count * other[trigram] for trigram, count in one.items())
    squares = [sum(count * count for count in counts.values()) for counts in (one, other)]
    return product / math.sqrt(squares[0] * squares[1]) if all(squares) else 0.0


# ---------------------------------------------------------------- lower-cased or tokenised


class Difference(NamedTuple):
    """A side of a corpus whose text was treated otherwise than that of the largest one.

    Attributes:
        about: the key of its part, such as `data.valid`.
        corpus: its name.
        side: `src` or `tgt`.
        style: `lower-cased` or `tokenised`.
        training_has_it: the largest training corpus is so, and this one is not.
    """

    about: str
    corpus: str
    side: str
    style: str
    training_has_it: bool


class _Style(NamedTuple):
    """A way to treat text, and its signs: a share that is low in one kind of text, else high."""

    name: str
    share: Callable[[str], float | None]
    low: float
    high: float
    is_low: bool


def style_differences(subject: Subject) -> Iterator[Difference]:
    """Compare case and tokenisation of every corpus with those of the largest training corpus."""
    largest, others = subject.samples
    for style in _STYLES:
        for side in ("src", "tgt"):
            # What the tokenizer folds is no difference to the encoder.
            if side == "src" and style.is_low and _folds_case(subject):
                continue
            usual = _has_style(style, getattr(largest, side))
            for other in others:
                here = _has_style(style, getattr(other, side))
                if None not in (usual, here) and usual != here:
                    yield Difference(other.about, other.corpus, side, style.name, bool(usual))


def other_styles(subject: Subject) -> Iterator[Finding]:
    """Say which corpora were lower-cased or tokenised when the others were not."""
    largest, _ = subject.samples
    grouped: dict[tuple[str, str, str, bool], list[str]] = {}
    for about, corpus, side, style, training_has_it in style_differences(subject):
        grouped.setdefault((about, corpus, style, training_has_it), []).append(side)
    for (about, corpus, style, training_has_it), sides in grouped.items():
        where = (
            ""
            if len(sides) == 2
            else " on the source side"
            if sides == ["src"]
            else (" on the target side")
        )
        having, lacking = (largest.corpus, corpus) if training_has_it else (corpus, largest.corpus)
        yield Finding(
            "warning",
            "other-style",
            about,
            f"{having} is {style}{where}, {lacking} is not: the model learns one kind of text and "
            "is measured on the other; take both raw, which is all that nmt needs, or treat both "
            "alike",
        )


def _folds_case(subject: Subject) -> bool:
    return subject.config.tokenizer.normalization.endswith("_cf")


def _has_style(style: _Style, text: str) -> bool | None:
    """Tell whether a text was so treated; None if it is in between or says too little."""
    share = style.share(text[:_CHARACTERS])
    if share is None or style.low < share < style.high:
        return None
    return (share <= style.low) == style.is_low


def _capitals(text: str) -> float | None:
    """Return the share of capitals among the letters that have a case."""
    upper, lower = sum(map(str.isupper, text)), sum(map(str.islower, text))
    return upper / (upper + lower) if upper + lower >= 500 else None


_MARK = re.compile("([ \t]?)(?:[.,](?=\\s|$)|[\u3002\u3001])")  # those of Chinese and Japanese too


def _spaced_marks(text: str) -> float | None:
    """Return the share of full stops and commas that stand apart from the word before them."""
    spaces = _MARK.findall(text)
    return sum(map(bool, spaces)) / len(spaces) if len(spaces) >= 20 else None


# English captions have 2 % of capitals, German prose 6 %. Raw text has spaces before under 1 % of
# its full stops and commas, tokenised text before nearly all.
_STYLES = [
    _Style("lower-cased", _capitals, low=0.001, high=0.01, is_low=True),
    _Style("tokenised", _spaced_marks, low=0.1, high=0.5, is_low=False),
]
