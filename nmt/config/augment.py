"""The section `data.augment`: training pairs changed to resemble careless input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from nmt.config.section import Section

_Rate = Annotated[float, Field(ge=0.0, le=1.0)]


class AugmentConfig(Section):
    """Change the text of random training pairs, drawn again in each epoch, so that the model copes
    with such input. The names and the idea are those of OpusTrainer (Mozilla). A pair that would
    become longer than `data.max_length` stays as it is.
    """

    upper: _Rate = 0.0
    """Fraction of the pairs in upper case, on both sides."""
    title: _Rate = 0.0
    """Fraction of the pairs in which each word begins with a capital letter, on both sides."""
    lower: _Rate = 0.0
    """Fraction of the pairs with a source in lower case; the target stays, so that the model
    restores the capital letters."""
    typos: _Rate = 0.0
    """Fraction of the pairs with typing errors in the source: one, and up to one more for each 40
    characters."""
    no_punctuation: _Rate = 0.0
    """Fraction of the pairs without punctuation at the end, on both sides."""
    concatenate: _Rate = 0.0
    """Fraction of the pairs to which the next one of the corpus is appended, on both sides."""

    def _conflicts(self) -> Iterator[str]:
        if not any(self.model_dump().values()):
            yield "set at least one probability, as in {upper: 0.05, typos: 0.05}"
        if self.upper + self.title + self.lower > 1:
            yield "upper, title and lower exclude each other: their sum must not exceed 1"


def augment_conflicts(augment: AugmentConfig, *, guided: bool, placeholders: bool) -> Iterator[str]:
    """Yield a message for each other setting that does not go with the section.

    Args:
        augment: the section.
        guided: whether there is a `train.guided_alignment`.
        placeholders: whether there are `data.placeholders`.
    """
    if placeholders:
        yield (
            "data.augment cannot be combined with data.placeholders, whose symbols it would change"
        )
    if guided and augment.concatenate:
        yield (
            "data.augment.concatenate cannot be combined with train.guided_alignment, whose word "
            "alignment is that of single pairs; the other settings of data.augment can"
        )
