"""The section `data.terms`: terms in the sources, which a model learns to use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nmt.config.section import Section


class TermsConfig(Section):
    """Append random words of the target to the source of training pairs, drawn again in each epoch
    (Dinu et al. 2019, Chen et al. 2020). They count as source tokens in `train.batch_tokens` and
    `data.max_length`: a source that would become too long gets none.
    """

    probability: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Fraction of the pairs that get terms. The others teach the model to translate without."""
    max_terms: Annotated[int, Field(gt=0, le=100)] = 3
    """Largest number of terms of a pair; each has up to three adjacent words."""
