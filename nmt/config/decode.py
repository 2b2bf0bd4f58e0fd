"""The section `decode` of a configuration: the defaults of `nmt translate`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from nmt.config.section import BatchTokens, Section
from nmt.limits import MAX_BEAM_SIZE, MAX_LENGTH

Phrase = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^\S(.*\S)?$")]
BeamSize = Annotated[int, Field(gt=0, le=MAX_BEAM_SIZE)]
LengthPenalty = Annotated[float, Field(ge=0.0, le=10.0)]


class DecodeConfig(Section):
    """The defaults of the options of `nmt translate` (paper, section 6.1)."""

    beam_size: BeamSize = 4
    """Hypotheses kept at each step; 1 is greedy search."""
    length_penalty: LengthPenalty = 0.6
    """Alpha of Wu et al. (2016): scores are divided by ((5 + length) / 6) ** alpha."""
    coverage_penalty: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """Beta of Wu et al. (2016): penalize finished translations that leave parts of the source
    unattended, by the attention of the last decoder layer. Transformers only."""
    stop: Literal["beam", "first", "bound"] = "beam"
    """When to stop: beam (patience * beam_size hypotheses have finished), first (one has), or bound
    (nothing in the beam can still become one of the best; exact, but slower)."""
    patience: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    """Stop later, or with values below 1 earlier, than when beam_size hypotheses have finished
    (Kasai et al. 2022)."""
    beam_groups: Annotated[int, Field(gt=0, le=MAX_BEAM_SIZE)] = 1
    """Divide the beam into this many groups that avoid each other's tokens (diverse beam search,
    Vijayakumar et al. 2018)."""
    diversity: Annotated[float, Field(ge=0.0, le=100.0)] = 0.5
    """With beam_groups: what a token costs for each hypothesis of an earlier group that has chosen
    it in the same step."""
    max_extra_len: Annotated[int, Field(ge=0, le=MAX_LENGTH)] = 50
    """A translation has at most this many tokens more than its source."""
    min_length: Annotated[int, Field(ge=0, le=MAX_LENGTH)] = 0
    """A translation has at least this many tokens, EOS excluded."""
    no_repeat_ngram_size: Annotated[int, Field(ge=0, le=MAX_LENGTH)] = 0
    """No sequence of this many tokens occurs twice in a translation; 0 allows all."""
    repetition_penalty: Annotated[float, Field(gt=0.0, le=100.0)] = 1.0
    """For each token that the translation already has, the logit is divided by this if positive,
    multiplied if negative (Keskar et al. 2019). 1 is no penalty."""
    banned: list[Phrase] = Field(default=[])
    """Words or phrases that no translation contains as whole words, in this case. A longer word is
    not banned unless one of its tokens ends where the banned one does."""
    terms: Literal["hard", "soft", "both"] = "hard"
    """How required terms get into a translation. With hard, the search keeps hypotheses with them.
    With soft, the model sees the first form of each, which it may ignore; this costs little time.
    `both` does both. The last two need a model trained with data.terms."""
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

    @property
    def enough_finished(self) -> int:
        """How many hypotheses must have finished before the search stops, unless it is by `bound`.

        A half is rounded up, as CTranslate2 does it.
        """
        return 1 if self.stop == "first" else max(1, math.floor(self._patient_beam + 0.5))

    @property
    def _patient_beam(self) -> float:
        return self.patience * (self.beam_size // self.beam_groups)

    def _conflicts(self) -> Iterator[str]:
        if self.trees and self.reshapes:
            yield (
                "decode.trees cannot be combined with min_length, no_repeat_ngram_size or "
                "repetition_penalty: a tree repeats brackets and has a given length"
            )
        if self.trees and self.banned:
            yield "decode.trees cannot be combined with banned: a tree has all source words"
        if self.trees and self.beam_groups > 1:
            yield "decode.trees cannot be combined with beam_groups: a sentence has one tree"
        if self.trees and self.terms != "hard":
            yield f"decode.trees cannot be combined with terms {self.terms}: a tree has no terms"
        if self.beam_size % self.beam_groups:
            yield (
                f"`beam_groups` {self.beam_groups} does not divide `beam_size` {self.beam_size}: "
                "each group has the same number of hypotheses"
            )
        if self.patience != 1.0 and self.stop != "beam":
            yield f"`patience` cannot be combined with `stop` {self.stop}: it is for `stop` beam"
