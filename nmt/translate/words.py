"""Words of a text, and links between the words of a source and its translation.

Words are separated by white space, and punctuation at either end of a word is a separate word:
`"No," it's 3.5.` has the words `"`, `No`, `,"`, `it's`, `3.5` and `.`.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nmt.data.tokenizer import Token

NO_WORD = -1

Links = list[tuple[int, int]]
"""Pairs of source and target word number, from 0."""

Weights: TypeAlias = "NDArray[np.float32]"
"""Attention of target tokens to source tokens, [target tokens, source tokens]."""

LogProbs: TypeAlias = "NDArray[np.float32]"
"""Natural logarithms of the probabilities of all target tokens, [V]."""

_CHUNK = re.compile(r"\S+")


def split_words(text: str) -> list[str]:
    """Split a text into the words that links refer to.

    Words are separated by white space. A run of punctuation (Unicode categories P*) at either end
    of a word is a separate word; punctuation inside a word does not split it.
    """
    return [text[start:end] for start, end in word_spans(text)]


def word_at(text: str, place: int) -> tuple[int, int] | None:
    """Return the span of the word (see `split_words`) at a place, or else of the next one.

    Args:
        text: the text.
        place: index of a character.

    Returns:
        The indices of its first character and of that after its last; None if there is no word.
    """
    return next((span for span in word_spans(text) if span[1] > place), None)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return the indices of the first character of each word, and of that after its last."""
    spans = []
    for chunk in _CHUNK.finditer(text):
        start, end = chunk.span()
        first, last = start, end  # the span without punctuation
        while first < end and is_punctuation(text[first]):
            first += 1
        while last > first and is_punctuation(text[last - 1]):
            last -= 1
        parts = [(start, first), (first, last), (last, end)]
        spans += [(begin, stop) for begin, stop in parts if begin < stop]
    return spans


def is_punctuation(character: str) -> bool:
    """Return whether a character is punctuation (Unicode categories P*)."""
    return unicodedata.category(character).startswith("P")


def word_numbers(text: str, tokens: Sequence[Token]) -> list[int]:
    """Return the word number of each token of a text (see `split_words`), or NO_WORD.

    A token that covers several words belongs to the first; the others may have no token.
    """
    ends = [end for _, end in word_spans(text)]
    numbers = [bisect_right(ends, token.start) for token in tokens]
    return [number if number < len(ends) else NO_WORD for number in numbers]


def link_words(weights_TS: Weights, src_words: Sequence[int], tgt_words: Sequence[int]) -> Links:
    """Link each target word to the source word that it attends to most.

    Args:
        weights_TS: attention of target tokens to source tokens.
        src_words: word number of each source token. Further source tokens (EOS) belong to no
            word.
        tgt_words: word number of each target token.

    Returns:
        One link per target word, sorted. With equal weights, the first source word is chosen.
    """
    import numpy as np  # here, because translation without links does not need it

    sources, targets = ([n for n in numbers if n != NO_WORD] for numbers in (src_words, tgt_words))
    if not sources or not targets:
        return []
    in_word_S = [place for place, number in enumerate(src_words) if number != NO_WORD]
    in_word_T = [place for place, number in enumerate(tgt_words) if number != NO_WORD]
    first = min(sources)  # the part of a long line may begin with its thousandth word
    columns = [number - first for number in sources]
    # Sums over the tokens of a target word have the same maximum as means.
    summed_VW = np.zeros((max(targets) + 1, max(columns) + 1), np.float32)
    np.add.at(summed_VW, np.ix_(targets, columns), weights_TS[np.ix_(in_word_T, in_word_S)])
    best_V = summed_VW.argmax(1).tolist()
    return sorted((first + best_V[word], word) for word in set(targets))


def format_pharaoh(links: Links) -> str:
    """Return links in Pharaoh format: `0-0 1-2`, source word first."""
    return " ".join(f"{src}-{tgt}" for src, tgt in links)


def parse_pharaoh(text: str) -> Links:
    """Parse links in Pharaoh format.

    Raises:
        ValueError: if the text is not in that format.
    """
    links = (link.split("-") for link in text.split())
    return [(int(src), int(tgt)) for src, tgt in links]
