"""A search constraint that allows only linearised trees over the words of the source.

A parse has the words of the sentence, each once and in order, and matching brackets around them:
`(S (NP John )NP (VP sleeps )VP )S`, as written by `nmt treebank --leaves words`. A model
trained on few trees writes well-formed trees but loses words; under this constraint it chooses only
the brackets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nmt.data.pieces import SPACE
from nmt.data.tokenizer import Tokenizer
from nmt.errors import ConfigError
from nmt.parsing.trees import escaped

# Brackets opened before a word. Treebanks have no more, but a poor model might never stop.
_MAX_OPENING = 6


class TreeGrammar:
    """The tokens of linearised trees: brackets and words.

    Args:
        tokenizer: target tokenizer, in which each bracket with its label is a single piece.

    Raises:
        ConfigError: if it has no such pieces.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        ids = {piece: i for i, piece in enumerate(tokenizer.vocabulary())}
        self.eos_id = tokenizer.eos_id
        self.closing = {
            token: ids[f"{SPACE}){piece[2:]}"]
            for piece, token in ids.items()
            if piece.startswith(f"{SPACE}(") and piece[2:] and f"{SPACE}){piece[2:]}" in ids
        }
        """Maps each opening bracket to the one that closes it."""
        self.inner = {token for piece, token in ids.items() if not piece.startswith(SPACE)}
        """Pieces that continue a word."""
        self.inner.discard(tokenizer.unk_id)
        if not self.closing:
            raise ConfigError(
                "decode.trees needs a model that has labelled brackets as pieces: see "
                "tokenizer.user_defined_symbols in configs/parsing-gum.yaml"
            )

    def words(self, sentence: str) -> list[int]:
        """Return the tokens of the words of a sentence as they appear in a tree.

        A word with unknown characters, or one that the tokenizer splits at a space, becomes the
        unknown token.
        """
        tokens = []
        for ids in self._tokenizer.encode([escaped(word) for word in sentence.split(" ")]):
            is_word = ids and ids[0] not in self.inner and self.inner.issuperset(ids[1:])
            tokens += ids if is_word else [self._tokenizer.unk_id]
        return tokens


@dataclass(frozen=True)
class _Partial:
    """A prefix of a linearised tree."""

    grammar: TreeGrammar
    words: Sequence[int]
    place: int = 0
    """Index of the next token of `words`."""
    opened: tuple[tuple[int, int], ...] = ()
    """Open brackets: for each, the token that closes it and the `place` where it opened."""

    def extended(self, token: int) -> _Partial:
        if token in self.grammar.closing:
            bracket = (self.grammar.closing[token], self.place)
            return replace(self, opened=(*self.opened, bracket))
        if self.opened and token == self.opened[-1][0]:
            return replace(self, opened=self.opened[:-1])
        return replace(self, place=self.place + 1)

    @cached_property
    def following(self) -> list[int]:
        """Return the tokens that may follow; there is always at least one."""
        rest = self.words[self.place : self.place + 1]
        if rest and rest[0] in self.grammar.inner:
            return [*rest]
        num_opening = sum(place == self.place for _, place in self.opened)
        tokens = [*self.grammar.closing] if rest and num_opening < _MAX_OPENING else []
        if self.opened:
            tokens += rest
            closing, place = self.opened[-1]
            # No bracket is empty, and the outermost one spans all words.
            if place < self.place and (len(self.opened) > 1 or not rest):
                tokens.append(closing)
        return tokens or [self.grammar.eos_id]


class TreeConstraint:
    """A constraint that makes every hypothesis a tree over the words of its source.

    Args:
        grammar: tokens of the trees.
        sentences: source text of each sentence.
    """

    def __init__(self, grammar: TreeGrammar, sentences: Iterable[str]) -> None:
        self._partials_BW = [[_Partial(grammar, grammar.words(text))] for text in sentences]
        self._has_begun = False

    def advance(self, tokens_BW: Tensor) -> None:
        """Extend each tree by its newest token."""
        if self._has_begun:
            self._partials_BW = [
                [partial.extended(token) for partial, token in zip(*rows, strict=True)]
                for rows in zip(self._partials_BW, tokens_BW.tolist(), strict=True)
            ]
        self._has_begun = True  # the first token is BOS

    def apply(self, log_probs_CV: Tensor, first: int) -> Tensor:
        """Set the probabilities of tokens that cannot follow to 0."""
        partials = [partial for row in self._partials_BW for partial in row]
        following = [partial.following for partial in partials[first : first + len(log_probs_CV)]]
        return log_probs_CV.masked_fill(~_mask(following, log_probs_CV), -torch.inf)

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses."""
        self._partials_BW = [
            [self._partials_BW[sentence][beam] for beam in beams]
            for sentence, beams in zip(sentences_N.tolist(), beams_NW.tolist(), strict=True)
        ]


def _mask(allowed: Sequence[Sequence[int]], like_CV: Tensor) -> Tensor:
    """Return a mask that is true at the allowed tokens of each row."""
    rows = [row for row, tokens in enumerate(allowed) for _ in tokens]
    columns = [token for tokens in allowed for token in tokens]
    mask_CV = torch.zeros_like(like_CV, dtype=torch.bool)
    mask_CV[rows, columns] = True
    return mask_CV
