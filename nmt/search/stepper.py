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
    """Several models combined by averaging their probabilities."""

    def __init__(self, steppers: Sequence[Stepper]) -> None:
        self._steppers = steppers

    def step(self, tokens_BW: Tensor) -> Iterator[Tensor]:
        """Yield the logarithm of the average probability; see `Stepper.step`."""
        steps = [stepper.step(tokens_BW) for stepper in self._steppers]
        for log_probs in zip(*steps, strict=True):
            yield torch.stack(log_probs).logsumexp(0) - math.log(len(log_probs))

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses in every model."""
        for stepper in self._steppers:
            stepper.select(sentences_N, beams_NW)
