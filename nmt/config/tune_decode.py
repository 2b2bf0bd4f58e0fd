"""The section `train.tune_decode`: which settings of the search are tried on validation text."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nmt.config.decode import BeamSize, LengthPenalty
from nmt.config.section import Section


class TuneDecodeConfig(Section):
    """Choose the length penalty, and among several beam sizes, at the end of training: those with
    the best `train.metric` on data.valid, or BLEU if that is a loss.
    """

    length_penalties: Annotated[list[LengthPenalty], Field(min_length=1, max_length=100)] = Field(
        default=[0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0]
    )
    """Values of `decode.length_penalty` to try. Each costs only a ranking of the translations, or
    with `decode.stop: bound` a search of its own."""
    beam_sizes: Annotated[list[BeamSize], Field(max_length=20)] = Field(default=[])
    """Values of `decode.beam_size` to try in addition to the configured one. Each costs a
    translation of the validation text, and a larger one later slows down every translation."""
    minutes: Annotated[float, Field(gt=0.0, le=1e5)] = 30.0
    """Time limit. Beam sizes that do not fit in are left out; without time for the first search,
    `decode` stays as it is."""
