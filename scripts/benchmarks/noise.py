"""Noise of known kinds, planted in parallel text."""

from __future__ import annotations

import bisect
import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

Pair = tuple[str, str]


class Planted(NamedTuple):
    """A corpus with noise.

    Attributes:
        pairs: the pairs.
        kinds: of the noise in each pair; empty for those that are as before.
    """

    pairs: list[Pair]
    kinds: list[str]


RULES = {
    "copy": "copies",
    "other language": "language",
    "swapped": "language",
    "shifted": "terminal_punctuation",
    "mojibake": "encoding",
    "duplicate": "duplicates",
    "near-duplicate": "near_duplicates",
    "truncated": "length_ratio",
    "other number": "numbers",
    "markup": "markup",
    "repeated words": "repetition",
}
"""The kinds of noise, and the rule that is for each."""


def plant(pairs: Sequence[Pair], foreign: Sequence[str], rate: float, seed: int) -> Planted:
    """Replace random pairs by noise, the same share for each kind.

    Args:
        pairs: clean text.
        foreign: lines in a language that is not one of the two.
        rate: share of the pairs that get noise of each kind.
        seed: of the random numbers.
    """
    draw = random.Random(seed)
    result, kinds = [*pairs], [""] * len(pairs)
    wanted = round(rate * len(pairs))
    places = draw.sample(range(1, len(pairs)), len(pairs) - 1)
    # The other half stays as it is, to be repeated.
    upcoming, kept = iter(places[: len(pairs) // 2]), sorted(places[len(pairs) // 2 :])
    makers = _makers(pairs, kept, sorted(foreign, key=len), draw)
    for kind in RULES:
        made = 0
        skipped = []
        for place in upcoming:
            changed = makers[kind](place)
            if changed is None or changed == pairs[place]:
                skipped.append(place)  # it has no number, for example; other kinds may use it
                continue
            result[place], kinds[place] = changed, kind
            made += 1
            if made == wanted:
                break
        upcoming = iter([*skipped, *upcoming])
    return Planted(result, kinds)


def _makers(
    pairs: Sequence[Pair], kept: Sequence[int], foreign: Sequence[str], draw: random.Random
) -> dict[str, Callable[[int], Pair | None]]:
    """Return a function for each kind that returns the noise for a place, or None."""
    lengths = [len(line) for line in foreign]

    def in_other_language(place: int) -> Pair:
        src, tgt = pairs[place]
        near = bisect.bisect(lengths, len(tgt)) + draw.randint(-20, 20)
        return src, foreign[min(max(near, 0), len(foreign) - 1)]

    def earlier(place: int) -> Pair | None:
        number = bisect.bisect(kept, place)
        return pairs[kept[draw.randrange(number)]] if number else None

    return {
        "copy": lambda place: (pairs[place][0], pairs[place][0]),
        "other language": in_other_language,
        "swapped": lambda place: (pairs[place][1], pairs[place][0]),
        "shifted": lambda place: (pairs[place][0], pairs[place - 1][1]),
        "mojibake": lambda place: _mojibake(*pairs[place], draw),
        "duplicate": earlier,
        "near-duplicate": lambda place: _nearly(earlier(place), draw),
        "truncated": lambda place: _truncated(*pairs[place], draw),
        "other number": lambda place: _other_number(*pairs[place], draw),
        "markup": lambda place: _marked_up(*pairs[place], draw),
        "repeated words": lambda place: _stuttering(*pairs[place], draw),
    }


def _mojibake(src: str, tgt: str, draw: random.Random) -> Pair:
    encoding = draw.choice(["latin-1", "cp1252"])
    return src, tgt.encode().decode(encoding, errors="replace")


def _nearly(pair: Pair | None, draw: random.Random) -> Pair | None:
    """Change case and punctuation, or leave out a word of a long side."""
    if pair is None:
        return None
    src, tgt = pair
    words = tgt.split()
    if len(words) > 8 and draw.random() < 0.5:
        del words[draw.randrange(len(words))]
        return src, " ".join(words)
    return src.lower(), re.sub(r"[.!?,]", lambda mark: draw.choice(["", f" {mark[0]}"]), tgt)


def _truncated(src: str, tgt: str, draw: random.Random) -> Pair | None:
    words = tgt.split()
    if len(words) < 6:
        return None
    return src, " ".join(words[: max(1, round(len(words) * draw.uniform(0.2, 0.5)))])


def _other_number(src: str, tgt: str, draw: random.Random) -> Pair | None:
    numbers = [*re.finditer(r"[1-9]\d*", tgt)]
    if not numbers or numbers[0][0] not in src:
        return None
    number = draw.choice(numbers)
    other = str(int(number[0]) + draw.randint(1, 9))
    return src, tgt[: number.start()] + other + tgt[number.end() :]


def _marked_up(src: str, tgt: str, draw: random.Random) -> Pair:
    form = draw.choice(
        ["<b>{}</b>", "{}<br/>", '<a href="/p?id=7">{}</a>', "{}&nbsp;", "[b]{}[/b]"]
    )
    return src, form.format(tgt)


def _stuttering(src: str, tgt: str, draw: random.Random) -> Pair:
    words = tgt.split()
    size = min(draw.randint(1, 3), len(words))
    start = draw.randint(0, len(words) - size)
    end = start + size
    return src, " ".join(words[:end] + words[start:end] * draw.randint(1, 3) + words[end:])
