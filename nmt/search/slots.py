"""The live hypotheses of a search, and how they are extended.

Shapes: B sentences in the batch, W live hypotheses per sentence, N selected sentences
or hypotheses, K candidates per sentence, T tokens so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.search.hypothesis import Hypothesis
from nmt.search.stepper import Stepper


@dataclass
class Beams:
    """The live hypotheses of each sentence; where there are fewer than W, the rest score -inf."""

    sentence_B: Tensor
    scores_BW: Tensor
    tokens_BWT: Tensor
    token_log_probs_BWT: Tensor

    @classmethod
    def start(cls, num_sentences: int, device: torch.device | str) -> Beams:
        """Return beams of one empty hypothesis per sentence."""
        return cls(
            torch.arange(num_sentences, device=device),
            torch.zeros(num_sentences, 1, device=device),
            torch.empty(num_sentences, 1, 0, dtype=torch.int64, device=device),
            torch.empty(num_sentences, 1, 0, device=device),
        )

    def next_tokens(self, bos_id: int) -> Tensor:
        """Return the newest token of each hypothesis [B, W], BOS if there is none."""
        if self.tokens_BWT.shape[2] == 0:
            return torch.full_like(self.sentence_B[:, None], bos_id)
        return self.tokens_BWT[:, :, -1]

    def extended(self, best: Candidates, *places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens and log-probabilities of hypotheses extended by candidates."""
        beams = (places[0], best.beams_BK[places])
        tokens, log_probs = best.tokens_BK[places], best.log_probs_BK[places]
        return (
            torch.cat([self.tokens_BWT[beams], tokens[..., None]], dim=-1),
            torch.cat([self.token_log_probs_BWT[beams], log_probs[..., None]], dim=-1),
        )


@dataclass
class Candidates:
    """The best continuations of each sentence, best first."""

    scores_BK: Tensor
    beams_BK: Tensor
    tokens_BK: Tensor
    log_probs_BK: Tensor


class Finished:
    """The finished hypotheses of each sentence.

    Args:
        num_sentences: of the batch.
        eos_id: the token that ends a hypothesis.
        length_penalty: alpha of their scores.
        device: of `num_B`.

    Attributes:
        hypotheses: those of each sentence, in the order in which they finished.
        num_B: int64, how many there are.
    """

    def __init__(
        self,
        num_sentences: int,
        eos_id: int,
        length_penalty: float,
        device: torch.device | str = "cpu",
    ) -> None:
        self.hypotheses: list[list[Hypothesis]] = [[] for _ in range(num_sentences)]
        self.num_B = torch.zeros(num_sentences, dtype=torch.int64, device=device)
        self.length_penalty = length_penalty
        self._eos_id = eos_id

    def add(
        self, beams: Beams, best: Candidates, done_BK: Tensor, coverage_BW: Tensor | None = None
    ) -> None:
        """Add the hypotheses that end with the marked candidates.

        Args:
            beams: the hypotheses before the last token.
            best: their continuations.
            done_BK: bool, at least one True; K may be smaller than that of `best`.
            coverage_BW: the coverage penalty of each hypothesis in `beams`; None if there is none.
        """
        sentence_N, place_N = done_BK.nonzero(as_tuple=True)
        tokens_NT, log_probs_NT = beams.extended(best, sentence_N, place_N)
        coverage: Sequence[float] = [0.0] * len(sentence_N)
        if coverage_BW is not None:
            coverage = coverage_BW[sentence_N, best.beams_BK[sentence_N, place_N]].tolist()
        numbers = beams.sentence_B[sentence_N].tolist()
        rows = zip(numbers, tokens_NT.tolist(), log_probs_NT.tolist(), coverage, strict=True)
        for number, ids, log_probs, penalty in rows:
            self.hypotheses[number].append(
                Hypothesis.from_tokens(ids, log_probs, self._eos_id, self.length_penalty, penalty)
            )
        self.num_B[beams.sentence_B] += done_BK.sum(dim=1)

    def best_first(self, count: int) -> list[list[Hypothesis]]:
        """Return the best hypotheses of each sentence, at most `count`."""
        return [best_first(group)[:count] for group in self.hypotheses]


def best_first(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Return hypotheses by score; equal ones keep their order."""
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)


def advance(
    stepper: Stepper,
    beams: Beams,
    best: Candidates,
    live_scores_BK: Tensor,
    stay_N: Tensor,
    beam_size: int,
) -> Beams:
    """Return the beams of the sentences that stay, and select them in the stepper.

    Args:
        stepper: gives the log-probabilities of the hypotheses in `beams`.
        beams: the hypotheses before their newest token.
        best: their continuations, best first.
        live_scores_BK: the scores of continuations; -inf for those that are not alive.
        stay_N: indices of the sentences that stay, ascending.
        beam_size: hypotheses kept per sentence: the first that are alive.
    """
    dead_NK = live_scores_BK[stay_N].isneginf().to(torch.int8)
    places_NW = dead_NK.sort(dim=1, stable=True).indices[:, :beam_size]
    tokens_NWT, log_probs_NWT = beams.extended(best, stay_N[:, None], places_NW)
    if len(stay_N):
        stepper.select(stay_N, best.beams_BK[stay_N[:, None], places_NW])
    return Beams(
        beams.sentence_B[stay_N],
        live_scores_BK[stay_N[:, None], places_NW],
        tokens_NWT,
        log_probs_NWT,
    )
