"""A search that is held to linearised trees over the words of its source.

A parse has the words of the sentence, each once and in order, and brackets around them that match:
`(S (NP John )NP (VP sleeps )VP )S`, as `scripts/treebank --leaves words` writes them. A model that
has learned from few trees knows what a tree is but loses words; here it is left the choice of the
brackets alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nmt.data.tokenizer import Tokenizer
from nmt.errors import ConfigError
from nmt.parsing.trees import escaped

_MAX_OPENING = 6  # brackets before a word; treebanks have no more, a lost model has no end of them
_SPACE = "\u2581"  # SentencePiece's, with which the first piece of a word begins


class TreeGrammar:
    """What may follow what in a linearised tree, in tokens.

    Args:
        tokenizer: of the target side, in which brackets with their labels are single pieces.

    Raises:
        ConfigError: it has no such pieces.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        ids = {piece: i for i, piece in enumerate(tokenizer.pieces(range(tokenizer.vocab_size)))}
        self.eos_id = tokenizer.eos_id
        self.closing = {
            token: ids[f"{_SPACE}){piece[2:]}"]
            for piece, token in ids.items()
            if piece.startswith(f"{_SPACE}(") and piece[2:] and f"{_SPACE}){piece[2:]}" in ids
        }
        """Of each opening bracket the one that closes it."""
        self.inner = {token for piece, token in ids.items() if not piece.startswith(_SPACE)}
        """Pieces that go on with a word."""
        self.inner.discard(tokenizer.unk_id)
        if not self.closing:
            raise ConfigError(
                "decode.trees needs a model whose pieces are brackets with labels: see "
                "tokenizer.user_defined_symbols in configs/parsing-gum.yaml"
            )

    def words(self, sentence: str) -> list[int]:
        """Give the tokens of a sentence's words as they stand in a tree.

        A word that the tokenizer does not know whole, or takes for several, is the unknown token.
        """
        found = []
        for ids in self._tokenizer.encode([escaped(word) for word in sentence.split(" ")]):
            is_word = ids and ids[0] not in self.inner and self.inner.issuperset(ids[1:])
            found += ids if is_word else [self._tokenizer.unk_id]
        return found


@dataclass(frozen=True)
class _Partial:
    """The beginning of a tree."""

    grammar: TreeGrammar
    words: Sequence[int]
    place: int = 0
    """Of the next token of `words`."""
    opened: tuple[tuple[int, int], ...] = ()
    """Brackets that are open: the token that closes each, and the place where it opened."""

    def extended(self, token: int) -> _Partial:
        if token in self.grammar.closing:
            bracket = (self.grammar.closing[token], self.place)
            return replace(self, opened=(*self.opened, bracket))
        if self.opened and token == self.opened[-1][0]:
            return replace(self, opened=self.opened[:-1])
        return replace(self, place=self.place + 1)

    @cached_property
    def following(self) -> list[int]:
        """The tokens that may follow: there is always one."""
        rest = self.words[self.place : self.place + 1]
        if rest and rest[0] in self.grammar.inner:
            return [*rest]
        num_opening = sum(place == self.place for _, place in self.opened)
        found = [*self.grammar.closing] if rest and num_opening < _MAX_OPENING else []
        if self.opened:
            found += rest
            closing, place = self.opened[-1]
            # No bracket is empty, and the outermost has all words.
            if place < self.place and (len(self.opened) > 1 or not rest):
                found.append(closing)
        return found or [self.grammar.eos_id]


class TreeConstraint:
    """Holds hypotheses to trees over the words of their sources.

    Args:
        grammar: of the trees.
        sentences: the source text of each sentence.
    """

    def __init__(self, grammar: TreeGrammar, sentences: Iterable[str]) -> None:
        self._partials_BW = [[_Partial(grammar, grammar.words(text))] for text in sentences]
        self._has_begun = False

    def advance(self, tokens_BW: Tensor) -> None:
        """Extend each tree by a token."""
        if self._has_begun:
            self._partials_BW = [
                [partial.extended(token) for partial, token in zip(*rows, strict=True)]
                for rows in zip(self._partials_BW, tokens_BW.tolist(), strict=True)
            ]
        self._has_begun = True  # the first token is BOS

    def apply(self, log_probs_CV: Tensor, first: int) -> Tensor:
        """Give what cannot follow in a tree probability 0."""
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
    """Make a mask that is true at some tokens of each row."""
    rows = [row for row, tokens in enumerate(allowed) for _ in tokens]
    columns = [token for tokens in allowed for token in tokens]
    mask_CV = torch.zeros_like(like_CV, dtype=torch.bool)
    mask_CV[rows, columns] = True
    return mask_CV
