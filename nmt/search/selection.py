"""Choosing the best continuations of each sentence.

Shapes: B sentences in the batch, W live hypotheses per sentence, R = B * W hypotheses, K candidates
per sentence (per hypothesis in [R, K]).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from torch import Tensor

from nmt.search.slots import Beams, Candidates
from nmt.search.topk import most_probable, top


class Selection(Protocol):
    """Chooses candidates; rules that compare hypotheses of a sentence belong here."""

    def __call__(self, beams: Beams, log_probs: Iterable[Tensor], beam_size: int) -> Candidates:
        """Return the 2 * beam_size best continuations of each sentence, or all if there are fewer.

        So many, because half of them may end with EOS. The live ones keep their order.

        Args:
            beams: the live hypotheses.
            log_probs: those of their next tokens, as from `Stepper.step`.
            beam_size: hypotheses kept per sentence.
        """
        ...


def most_probable_candidates(
    beams: Beams, log_probs: Iterable[Tensor], beam_size: int
) -> Candidates:
    """Return the most probable continuations; see `Selection`.

    Ties are broken by hypothesis, then by token id.
    """
    log_probs_RK, tokens_RK = most_probable(log_probs, 2 * beam_size)
    scores_RK = beams.scores_BW.reshape(-1, 1) + log_probs_RK
    return chosen(scores_RK, log_probs_RK, tokens_RK, len(beams.scores_BW), 2 * beam_size)


def chosen(
    ranks_RK: Tensor, log_probs_RK: Tensor, tokens_RK: Tensor, num_sentences: int, count: int
) -> Candidates:
    """Return those continuations of each sentence that rank highest, over all its hypotheses.

    Args:
        ranks_RK: what the continuations are ranked by, which becomes their score.
        log_probs_RK, tokens_RK: the continuations of each hypothesis.
        num_sentences: B.
        count: how many to return for each sentence.
    """
    ranks_BK, places_BK = top(ranks_RK.reshape(num_sentences, -1), count)
    return Candidates(
        ranks_BK,
        places_BK // log_probs_RK.shape[1],
        tokens_RK.reshape(num_sentences, -1).gather(1, places_BK),
        log_probs_RK.reshape(num_sentences, -1).gather(1, places_BK),
    )
