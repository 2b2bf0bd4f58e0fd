"""The interface between a search and a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Stepper(Protocol):
    """A model that has encoded B sentences, with W hypotheses for each."""

    def step(self, tokens_BW: Tensor) -> Iterable[Tensor]:
        """Return the log-probabilities of the next token of every hypothesis.

        Args:
            tokens_BW: int64, the newest token of each hypothesis; in the first call BOS, one
                hypothesis per sentence.

        Returns:
            Log-probabilities [R, V], float32, one row for each of the B * W hypotheses, split
            into consecutive parts of any number of rows. The search may overwrite them.
        """
        ...

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep the given sentences, and for each the given hypotheses.

        Args:
            sentences_N: int64, indices of the sentences to keep, ascending.
            beams_NW: int64 indices of the hypotheses to continue in each; an index may repeat.
        """
        ...


class EnsembleStepper:
    """Several models combined by averaging their probabilities.

    Args:
        steppers: the models.
        weights: of each, as for `averaged`.
    """

    def __init__(self, steppers: Sequence[Stepper], weights: Sequence[float] | None = None) -> None:
        self._steppers = steppers
        self._weights = weights or [1.0] * len(steppers)

    def step(self, tokens_BW: Tensor) -> Iterator[Tensor]:
        """Yield the logarithm of the average probability; see `Stepper.step`."""
        steps = [stepper.step(tokens_BW) for stepper in self._steppers]
        for log_probs in zip(*steps, strict=True):
            yield averaged(log_probs, self._weights)

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses in every model."""
        for stepper in self._steppers:
            stepper.select(sentences_N, beams_NW)


def averaged(log_probs: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the logarithm of the weighted arithmetic mean of the probabilities of several models.

    Args:
        log_probs: log-probabilities of each model, all of the same shape.
        weights: of each, above 0; their sum does not matter.
    """
    relative = [weight * len(weights) / sum(weights) for weight in weights]
    if set(relative) != {1.0}:
        pairs = zip(log_probs, relative, strict=True)
        log_probs = [each + math.log(weight) for each, weight in pairs]
    return torch.stack(list(log_probs)).logsumexp(0) - math.log(len(log_probs))
