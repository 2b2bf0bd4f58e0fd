"""The live hypotheses of a search, and how they are extended.

Shapes: B sentences in the batch, W live hypotheses per sentence, N selected sentences
or hypotheses, K candidates per sentence, T tokens so far.
"""

from __future__ import annotations

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


def collect_finished(
    finished: list[list[Hypothesis]],
    beams: Beams,
    best: Candidates,
    done_BW: Tensor,
    eos_id: int,
    length_penalty: float,
) -> None:
    """Append the hypotheses that end with the marked candidates to `finished`, by sentence."""
    sentence_N, place_N = done_BW.nonzero(as_tuple=True)
    tokens_NT, log_probs_NT = beams.extended(best, sentence_N, place_N)
    numbers = beams.sentence_B[sentence_N].tolist()
    for number, ids, log_probs in zip(
        numbers, tokens_NT.tolist(), log_probs_NT.tolist(), strict=True
    ):
        finished[number].append(Hypothesis.from_tokens(ids, log_probs, eos_id, length_penalty))


def advance(
    stepper: Stepper,
    beams: Beams,
    best: Candidates,
    live_scores_BK: Tensor,
    stay_N: Tensor,
    beam_size: int,
) -> Beams:
    """Return the beams of the sentences that stay, and select them in the stepper."""
    live_scores_NW, places_NW = live_scores_BK[stay_N].sort(dim=1, descending=True, stable=True)
    live_scores_NW, places_NW = live_scores_NW[:, :beam_size], places_NW[:, :beam_size]
    tokens_NWT, log_probs_NWT = beams.extended(best, stay_N[:, None], places_NW)
    if len(stay_N):
        stepper.select(stay_N, best.beams_BK[stay_N[:, None], places_NW])
    return Beams(beams.sentence_B[stay_N], live_scores_NW, tokens_NWT, log_probs_NWT)
