"""What a search needs of a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Stepper(Protocol):
    """A model that has read B sentences, with W hypotheses for each."""

    def step(self, tokens_BW: Tensor) -> Iterable[Tensor]:
        """Return the log-probabilities of the next token of every hypothesis.

        Args:
            tokens_BW: int64, the newest token of each hypothesis; in the first call BOS, one
                hypothesis per sentence.

        Returns:
            log_probs_RV, float32, one row for each of the B * W hypotheses, in consecutive parts
            of any number of rows. The search may overwrite them.
        """
        ...

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep some sentences, and replace their hypotheses by copies of some of them.

        Args:
            sentences_N: int64, indices of the sentences to keep, ascending.
            beams_NW: int64, for each the indices of the hypotheses to go on with; an index may
                occur several times.
        """
        ...


class EnsembleStepper:
    """Several models as one: the average of their probabilities."""

    def __init__(self, steppers: Sequence[Stepper]) -> None:
        self._steppers = steppers

    def step(self, tokens_BW: Tensor) -> Iterator[Tensor]:
        """Return the logarithm of the average probability."""
        steps = [stepper.step(tokens_BW) for stepper in self._steppers]
        for log_probs in zip(*steps, strict=True):
            yield torch.stack(log_probs).logsumexp(0) - math.log(len(log_probs))

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses in every model."""
        for stepper in self._steppers:
            stepper.select(sentences_N, beams_NW)
