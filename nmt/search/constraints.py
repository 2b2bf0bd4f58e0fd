"""Rules on the tokens of a hypothesis, applied to the log-probabilities of each step.

`MinLength`, `NoRepeatedNgrams` and `RepetitionPenalty` do what CTranslate2 does: they change the
logits, and the log-softmax comes after them (`ConstrainedStepper` with `normalize`).
"""

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
            log_probs_CV: log-probabilities for C consecutive hypotheses, or logits if they are
                normalized after all constraints; may be overwritten.
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


class MinLength:
    """Forbids EOS until a hypothesis has a number of tokens.

    Args:
        length: fewest tokens, EOS excluded.
        eos_id: the token that ends a hypothesis.
    """

    def __init__(self, length: int, eos_id: int) -> None:
        self._missing = length + 1  # the first call of `advance` is for BOS
        self._eos_id = eos_id

    def advance(self, tokens_BW: Tensor) -> None:
        """Count the newest token."""
        self._missing -= 1

    def apply(self, log_probs_CV: Tensor, first: int) -> Tensor:
        """Set the probability of EOS to 0 if the hypotheses are too short."""
        if self._missing > 0:
            log_probs_CV[:, self._eos_id] = -torch.inf
        return log_probs_CV

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Do nothing: all hypotheses have the same length."""


class _History:
    """The tokens of each hypothesis so far, without BOS."""

    _tokens_BWT: Tensor | None = None

    def advance(self, tokens_BW: Tensor) -> None:
        """Append the newest token of each hypothesis."""
        if self._tokens_BWT is None:
            self._tokens_BWT = tokens_BW[:, :, None][:, :, :0]
        else:
            self._tokens_BWT = torch.cat([self._tokens_BWT, tokens_BW[:, :, None]], dim=2)

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses."""
        assert self._tokens_BWT is not None
        self._tokens_BWT = self._tokens_BWT[sentences_N[:, None], beams_NW]

    def _rows(self, first: int, count: int) -> Tensor:
        """Return the tokens [count, T] of consecutive hypotheses."""
        assert self._tokens_BWT is not None
        return self._tokens_BWT.flatten(0, 1)[first : first + count]


class NoRepeatedNgrams(_History):
    """Forbids tokens that would complete an n-gram which the hypothesis already has.

    Args:
        size: n.
    """

    def __init__(self, size: int) -> None:
        self._size = size

    def apply(self, log_probs_CV: Tensor, first: int) -> Tensor:
        """Set the probabilities of the tokens to 0."""
        tokens_CT = self._rows(first, len(log_probs_CV))
        length = tokens_CT.shape[1]
        if length < self._size:
            return log_probs_CV
        ngrams_CTN = tokens_CT.unfold(1, self._size, 1)
        newest_CN = tokens_CT[:, length - self._size + 1 :]
        repeats_CT = (ngrams_CTN[:, :, :-1] == newest_CN[:, None]).all(dim=2)
        change_CT = torch.zeros_like(repeats_CT, dtype=log_probs_CV.dtype)
        change_CT.masked_fill_(repeats_CT, -torch.inf)
        return log_probs_CV.scatter_add_(1, ngrams_CTN[:, :, -1], change_CT)


class RepetitionPenalty(_History):
    """Makes the tokens that a hypothesis already has less probable (Keskar et al. 2019).

    A logit x becomes x / penalty if it is positive, and x * penalty otherwise, as in CTranslate2,
    however often the token occurs. It needs logits: those of log-probabilities would all be
    negative.

    Args:
        penalty: above 1 to penalize.
    """

    def __init__(self, penalty: float) -> None:
        self._penalty = penalty

    def apply(self, log_probs_CV: Tensor, first: int) -> Tensor:
        """Change the logits of the tokens."""
        tokens_CT = self._rows(first, len(log_probs_CV))
        logits_CT = log_probs_CV.gather(1, tokens_CT)
        penalized_CT = torch.where(
            logits_CT < 0, logits_CT * self._penalty, logits_CT / self._penalty
        )
        return log_probs_CV.scatter_(1, tokens_CT, penalized_CT)


class ConstrainedStepper:
    """A stepper with constraints on its log-probabilities, applied in the given order.

    Args:
        stepper: the model.
        constraints: the rules.
        normalize: the stepper returns logits; normalize them after the constraints, so that the
            probabilities of the tokens that are allowed sum to 1.
    """

    def __init__(
        self, stepper: Stepper, constraints: Sequence[Constraint], *, normalize: bool = False
    ) -> None:
        self._stepper = stepper
        self._constraints = constraints
        self._normalize = normalize

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
            yield log_probs_CV.log_softmax(-1) if self._normalize else log_probs_CV

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep sentences and hypotheses in the stepper and every constraint."""
        self._stepper.select(sentences_N, beams_NW)
        for constraint in self._constraints:
            constraint.select(sentences_N, beams_NW)
