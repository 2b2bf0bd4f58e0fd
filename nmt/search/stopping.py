"""When the search for a sentence ends.

Shapes: B sentences that are still searched.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from nmt.search.slots import Finished


class StopRule(Protocol):
    """Decides after each step for which sentences the search goes on."""

    def goes_on(
        self, finished: Finished, sentence_B: Tensor, live_B: Tensor, limits_B: Tensor
    ) -> Tensor:
        """Return whether the search of each sentence goes on, bool [B].

        Args:
            finished: the hypotheses that have finished.
            sentence_B: numbers of the sentences.
            live_B: the highest log-probability of a live hypothesis; -inf if there is none.
            limits_B: most tokens of a hypothesis.
        """
        ...


class EnoughFinished:
    """Stops once a number of hypotheses have finished.

    With `beam_size` this is the heuristic of fairseq and CTranslate2, with 1 "first finished", and
    with patience * beam_size the rule of Kasai et al. (2022, "A Call for Clarity in Beam Search").

    Args:
        count: how many hypotheses.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def goes_on(
        self, finished: Finished, sentence_B: Tensor, live_B: Tensor, limits_B: Tensor
    ) -> Tensor:
        """Return whether fewer have finished."""
        return finished.num_B[sentence_B] < self._count


class NoneCanWin:
    """Stops once no live hypothesis can come to rank among the best finished ones.

    The log-probability of a hypothesis only falls as it grows, and a coverage penalty is at most 0.
    So its score will never exceed log_prob / penalty(max_length). This is exact: whatever the
    beam has kept is searched to its end (Huang et al. 2017, "When to Finish?", for scores that are
    normalised by length).

    Args:
        keep: how many of the best finished hypotheses are wanted.
    """

    def __init__(self, keep: int = 1) -> None:
        self._keep = keep

    def goes_on(
        self, finished: Finished, sentence_B: Tensor, live_B: Tensor, limits_B: Tensor
    ) -> Tensor:
        """Return whether a live hypothesis can still win."""
        worst = [self._worst(finished, number) for number in sentence_B.tolist()]
        penalties_B = ((5 + limits_B) / 6) ** finished.length_penalty
        return live_B / penalties_B > torch.tensor(worst, device=live_B.device)

    def _worst(self, finished: Finished, number: int) -> float:
        scores = sorted(best.score for best in finished.hypotheses[number])
        return scores[-self._keep] if len(scores) >= self._keep else -torch.inf
