"""Rules on the tokens of a hypothesis, applied to the log-probabilities of each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from nmt.search.stepper import Stepper


class Constraint(Protocol):
    """A rule, with the state it keeps for each hypothesis."""

    def advance(self, tokens_BW: Tensor) -> None:
        """Update the state with the newest token of each hypothesis; BOS in the first call."""
        ...

    def apply(self, log_probs_CV: Tensor, first: int) -> Tensor:
        """Return log-probabilities with the rule applied.

        Args:
            log_probs_CV: log-probabilities for C consecutive hypotheses; may be overwritten.
            first: index of the first of these among all B * W hypotheses.
        """
        ...

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep sentences and hypotheses; see `nmt.search.stepper.Stepper.select`."""
        ...


class Forbidden:
    """Tokens that are never chosen.

    Args:
        ids: token ids.
        device: device of the log-probabilities.
    """

    def __init__(self, ids: Sequence[int], device: torch.device | str = "cpu") -> None:
        self._ids = torch.tensor(list(ids), dtype=torch.int64, device=device)

    def advance(self, tokens_BW: Tensor) -> None:
        """Do nothing: there is no state."""

    def apply(self, log_probs_CV: Tensor, first: int) -> Tensor:
        """Set the probabilities of the tokens to 0."""
        return log_probs_CV.index_fill_(1, self._ids, -torch.inf)

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Do nothing: there is no state."""


class ConstrainedStepper:
    """A stepper with constraints on its log-probabilities, applied in the given order."""

    def __init__(self, stepper: Stepper, constraints: Sequence[Constraint]) -> None:
        self._stepper = stepper
        self._constraints = constraints

    def step(self, tokens_BW: Tensor) -> Iterator[Tensor]:
        """Yield the constrained log-probabilities; see `Stepper.step`."""
        for constraint in self._constraints:
            constraint.advance(tokens_BW)
        first = 0
        for log_probs_CV in self._stepper.step(tokens_BW):
            size = len(log_probs_CV)
            for constraint in self._constraints:
                log_probs_CV = constraint.apply(log_probs_CV, first)
            first += size
            yield log_probs_CV

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep sentences and hypotheses in the stepper and every constraint."""
        self._stepper.select(sentences_N, beams_NW)
        for constraint in self._constraints:
            constraint.select(sentences_N, beams_NW)
