"""Sections of the configuration that only training from another run's weights uses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nmt.config.section import Section
from nmt.limits import MAX_VOCAB_SIZE


class ExtendConfig(Section):
    """Add pieces to the tokenizer of another run."""

    pieces: Annotated[int, Field(gt=0, le=MAX_VOCAB_SIZE)]
    """Maximum number of new pieces, per side if the vocabularies are separate. Only what occurs
    more than once becomes a piece."""


class LoraConfig(Section):
    """Train low-rank changes of matrices, and nothing else (LoRA, Hu et al. 2021)."""

    rank: Annotated[int, Field(gt=0, le=4096)] = 8
    """Rank of the change of each matrix."""
    alpha: Annotated[float, Field(gt=0.0, le=1e6)] = 16.0
    """The change is multiplied by alpha / rank, so that another rank needs no other learning
    rate."""
    targets: list[Literal["attention", "feed_forward"]] = Field(
        default=["attention", "feed_forward"], min_length=1
    )
    """The sub-layers whose matrices change: all four projections of `attention`, including that to
    the encoder, and both layers of `feed_forward`."""
