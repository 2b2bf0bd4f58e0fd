"""The section `decode` of a configuration: the defaults of `nmt translate`."""

from __future__ import annotations

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
    batch_tokens: BatchTokens = 4096
    """Maximum size of a batch in source tokens, padding included."""
    trees: bool = False
    """Write linearised trees over the words of the source, for models trained on text from
    `nmt treebank --leaves words`. Every tree has all words in order and balanced brackets."""
