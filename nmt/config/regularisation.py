"""The sections of regularised training: R-Drop, SimCut, token cutoff, and changed words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from nmt.config.models import AnyModel, TransformerConfig
from nmt.config.section import Probability, Section

Alpha = Annotated[float, Field(gt=0.0, le=1000.0)]


class RDropConfig(Section):
    """Compute each batch twice with different dropout, and make the two predictions agree (R-Drop,
    Liang et al. 2021).
    """

    alpha: Alpha = 5.0
    """Weight of the divergence, as in the paper. The whole loss is half of the paper's: the mean of
    the two cross-entropies, plus alpha times half the mean of the KL divergences in both
    directions, in nats per token."""


class SimCutConfig(Section):
    """Compute each batch a second time without the embeddings of some tokens, and make the two
    predictions agree (SimCut, Gao et al. 2022).
    """

    alpha: Alpha = 3.0
    """Weight of KL(prediction with all embeddings || the other one), in nats per token."""
    cutoff: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    """Probability that the embedding of a token becomes zero, in source and target."""


class TokenCutoffConfig(Section):
    """Compute each batch a second time without the embeddings of some tokens, learn from both, and
    make the two predictions agree (token cutoff, Shen et al. 2020, with one cut copy).
    """

    alpha: Alpha = 5.0
    """Weight of the Jensen-Shannon divergence. The whole loss is half of the paper's: the mean of
    the two cross-entropies, plus alpha times half the divergence, in nats per token."""
    cutoff: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    """Probability that the embedding of a token becomes zero, in source and target."""


class TokenRates(Section):
    """Probabilities with which the tokens of training pairs are changed."""

    src: Probability = 0.0
    """Of each token of the source."""
    tgt: Probability = 0.0
    """Of each token that the decoder reads; the labels stay the same."""

    def _conflicts(self) -> Iterator[str]:
        if self.src == self.tgt == 0.0:
            yield "changes no tokens: set src, tgt or both above 0"


def has_dropout(model: AnyModel) -> bool:
    """Return whether a model has dropout that differs between two copies of a pair in a batch.

    `layer_dropout` does not: it leaves out a layer for the whole batch.
    """
    return any(value for key, value in model if key.endswith("dropout") and key != "layer_dropout")


def regularisation_conflicts(
    model: AnyModel,
    *,
    r_drop: RDropConfig | None,
    guided: bool,
    shard: bool,
) -> Iterator[str]:
    """Yield a message for each combination of settings that is impossible.

    Args:
        model: the section `model`.
        r_drop: `train.r_drop`.
        guided: whether there is `train.guided_alignment`.
        shard: `train.shard`.
    """
    if r_drop and not has_dropout(model):
        yield (
            "train.r_drop compares predictions with different dropout, but the model has none: "
            "set model.dropout, or use train.sim_cut"
        )
    if isinstance(model, TransformerConfig) and model.layer_dropout:
        if guided:
            yield (
                "model.layer_dropout cannot be combined with train.guided_alignment, which needs "
                "its layer in every step: use one of them"
            )
        if shard:
            yield "model.layer_dropout cannot be combined with train.shard: use one of them"
