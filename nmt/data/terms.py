"""Terms of the target language appended to sources, so that a model learns to use given terms.

Random words of the target become terms. They are appended to the source tokens, each after the
symbol `TERM` (Chen et al. 2020, "Lexical-Constraint-Aware Neural Machine Translation via Data
Augmentation"). Unlike in Chen et al., terms have ordinary positions and embeddings, and there is no
pointer network. Dinu et al. (2019, "Training Neural Machine Translation to Apply Terminology
Constraints") insert terms next to their source words, which takes an aligner.

`TERM` is a control symbol: no text contains it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from nmt.config.terms import TermsConfig
from nmt.data.pieces import is_in_word, words_of
from nmt.data.tokenizer import Tokenizer

TERM = "<term>"

_MAX_WORDS = 3
_JOINTS = {"", " ", "-", "'", "\u2019"}
"""What may stand between two words of a term."""


def behind_source(terms: Sequence[Sequence[int]], tokenizer: Tokenizer) -> list[int]:
    """Return the ids of terms, each after `TERM`, that go between a source and its EOS.

    Args:
        terms: ids of each term.
        tokenizer: of the source side, with the symbol `TERM` if there are any terms.
    """
    return [token for ids in terms for token in (tokenizer.control_symbols[TERM], *ids)]


def without_terms(src_ids: Sequence[int], tokenizer: Tokenizer) -> list[int]:
    """Return the ids of a source without EOS up to its terms.

    Args:
        src_ids: without EOS.
        tokenizer: of the source side.
    """
    symbol = tokenizer.control_symbols.get(TERM)
    return [*itertools.takewhile(lambda token: token != symbol, src_ids)]


def num_without_terms(src_ids: Sequence[int], tokenizer: Tokenizer) -> int:
    """Return the number of tokens of a source, tags and EOS included, without its terms.

    Args:
        src_ids: with EOS.
        tokenizer: of the source side.
    """
    symbol = tokenizer.control_symbols.get(TERM)
    return src_ids.index(symbol) + 1 if symbol in src_ids else len(src_ids)


def draw_terms(targets: Sequence[str], settings: TermsConfig, seed: int) -> list[list[str]]:
    """Draw terms from target texts; the same arguments give the same terms.

    A term is one to three adjacent words without punctuation between them, except hyphens and
    apostrophes. The terms of a text do not overlap, and are in random order.

    Args:
        targets: the texts.
        settings: how many texts get terms, and how many terms.
        seed: seed of the random generator.

    Returns:
        The terms of each text; empty lists for texts that get none or have no words.
    """
    rng = random.Random(seed)
    chosen = (rng.random() < settings.probability for _ in targets)
    return [
        _drawn(text, rng.randint(1, settings.max_terms), rng) if is_chosen else []
        for text, is_chosen in zip(targets, chosen, strict=True)
    ]


def _drawn(text: str, number: int, rng: random.Random) -> list[str]:
    """Draw up to `number` terms from a text."""
    words = [(start, start + len(word)) for word, start in words_of(text) if is_in_word(word[0])]
    free = [True] * len(words)
    terms = []
    for first in rng.sample(range(len(words)), min(number, len(words))):
        last = first
        most = first + rng.randrange(_MAX_WORDS)
        while last < min(most, len(words) - 1) and _joins(text, words[last], words[last + 1]):
            last += 1
        if all(free[first : last + 1]):
            free[first : last + 1] = [False] * (last + 1 - first)
            terms.append(text[words[first][0] : words[last][1]])
    return terms


def _joins(text: str, left: tuple[int, int], right: tuple[int, int]) -> bool:
    return text[left[1] : right[0]] in _JOINTS
