"""The section `decode` of a configuration: the defaults of `nmt translate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from nmt.config.section import BatchTokens, Section
from nmt.limits import MAX_BEAM_SIZE, MAX_LENGTH


class DecodeConfig(Section):
    """The defaults of the options of `nmt translate` (paper, section 6.1)."""

    beam_size: Annotated[int, Field(gt=0, le=MAX_BEAM_SIZE)] = 4
    """Hypotheses kept at each step; 1 is greedy search."""
    length_penalty: Annotated[float, Field(ge=0.0, le=10.0)] = 0.6
    """Alpha of Wu et al. (2016): scores are divided by ((5 + length) / 6) ** alpha."""
    max_extra_len: Annotated[int, Field(ge=0, le=MAX_LENGTH)] = 50
    """A translation has at most this many tokens more than its source."""
    min_length: Annotated[int, Field(ge=0, le=MAX_LENGTH)] = 0
    """A translation has at least this many tokens, EOS excluded."""
    no_repeat_ngram_size: Annotated[int, Field(ge=0, le=MAX_LENGTH)] = 0
    """No sequence of this many tokens occurs twice in a translation; 0 allows all."""
    repetition_penalty: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    """For each token that the translation already has, the logit is divided by this if positive,
    multiplied if negative (Keskar et al. 2019). 1 is no penalty."""
    batch_tokens: BatchTokens = 4096
    """Maximum size of a batch in source tokens, padding included."""
    trees: bool = False
    """Write linearised trees over the words of the source, for models trained on text from
    `nmt treebank --leaves words`. Every tree has all words in order and balanced brackets."""

    @property
    def reshapes(self) -> bool:
        """Whether the search changes the model's probabilities.

        It then ranks by the probabilities of the tokens that are allowed, which sum to 1 again.
        """
        values = (self.min_length, self.no_repeat_ngram_size, self.repetition_penalty)
        return values != (0, 0, 1.0)

    def _conflicts(self) -> Iterator[str]:
        if self.trees and self.reshapes:
            yield (
                "decode.trees cannot be combined with min_length, no_repeat_ngram_size or "
                "repetition_penalty: a tree repeats brackets and has a given length"
            )
