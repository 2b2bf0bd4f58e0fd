"""Diverse beam search (Vijayakumar et al. 2018).

The paper is "Diverse Beam Search for Improved Description of Complex Scenes".

The beam is divided into groups that are searched one after the other in each step. A group prefers
tokens that the groups before it have not chosen in the same step: each of their hypotheses that
goes on with a token makes it cost `diversity` (their equation 3 with Hamming diversity).

Shapes: B sentences in the batch, G groups of each, U = B * G groups, W live hypotheses per group,
R = U * W hypotheses, K candidates per group (per hypothesis in [R, K]).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from nmt.search.beam import beam_search
from nmt.search.hypothesis import Hypothesis
from nmt.search.repeated import RepeatedStepper
from nmt.search.selection import chosen
from nmt.search.slots import Beams, Candidates, best_first
from nmt.search.stepper import Stepper
from nmt.search.topk import most_probable


class Diverse:
    """A `Selection` in which the groups of a sentence avoid each other's tokens.

    The penalty decides only what is selected. It is not part of the score of a hypothesis, unlike
    in fairseq and transformers, where it adds up over the steps. EOS is never penalised: it does
    not go on.

    Args:
        groups: groups per sentence.
        diversity: what a token costs for each hypothesis that has chosen it.
        eos_id: the token that ends a hypothesis.
    """

    def __init__(self, groups: int, diversity: float, eos_id: int) -> None:
        self._groups, self._diversity, self._eos_id = groups, diversity, eos_id

    def __call__(self, beams: Beams, log_probs: Iterable[Tensor], beam_size: int) -> Candidates:
        """Return the candidates of each group, in order of their penalised score."""
        # Up to beam_size tokens of each earlier group may fall behind.
        count = (1 + self._groups) * beam_size
        log_probs_RK, tokens_RK = most_probable(log_probs, count)
        width = beams.scores_BW.shape[1]
        scores_BGWK, log_probs_BGWK, tokens_BGWK = (
            each_RK.view(-1, self._groups, width, each_RK.shape[1])
            for each_RK in (beams.scores_BW.reshape(-1, 1) + log_probs_RK, log_probs_RK, tokens_RK)
        )
        taken_BC = tokens_BGWK[:, 0, 0, :0]
        selected = []
        for group in range(self._groups):
            tokens_BWK = tokens_BGWK[:, group]
            times_BWK = (tokens_BWK[..., None] == taken_BC[:, None, None]).sum(dim=-1)
            penalties_BWK = self._diversity * times_BWK
            scores_BWK = scores_BGWK[:, group] - penalties_BWK
            best = chosen(
                scores_BWK.flatten(0, 1),
                log_probs_BGWK[:, group].flatten(0, 1),
                tokens_BWK.flatten(0, 1),
                len(tokens_BWK),
                2 * beam_size,
            )
            taken_BC = torch.cat([taken_BC, self._taken(best, beam_size)], dim=1)
            selected.append(best)
        return _interleaved(selected, beams.scores_BW)

    def _taken(self, best: Candidates, beam_size: int) -> Tensor:
        """Return the tokens with which a group's hypotheses go on; -1 fills up the rows."""
        lives_BK = (best.tokens_BK != self._eos_id) & best.scores_BK.isfinite()
        lives_BK &= lives_BK.cumsum(dim=1) <= beam_size
        return best.tokens_BK.masked_fill(~lives_BK, -1)


def _interleaved(selected: Sequence[Candidates], scores_UW: Tensor) -> Candidates:
    """Return the candidates of all groups in the order of the beams, with their real scores."""
    beams_UK, tokens_UK, log_probs_UK = (
        torch.stack(columns, dim=1).flatten(0, 1)
        for columns in zip(
            *((best.beams_BK, best.tokens_BK, best.log_probs_BK) for best in selected), strict=True
        )
    )
    scores_UK = scores_UW.gather(1, beams_UK) + log_probs_UK
    return Candidates(scores_UK, beams_UK, tokens_UK, log_probs_UK)


def diverse_beam_search(
    stepper: Stepper,
    max_lengths: Sequence[int],
    *,
    groups: int,
    diversity: float,
    beam_size: int,
    eos_id: int,
    **settings: Any,
) -> list[list[Hypothesis]]:
    """Return the best token sequences of all groups of a diverse beam search.

    Each group is a beam of its own, of beam_size / groups hypotheses, and ends by itself; stopping
    rules apply to each. The first group finds what a beam search of its size finds.

    Args:
        stepper, max_lengths, eos_id: as in `beam_search`.
        groups: number of groups; divides beam_size.
        diversity: strength of the penalty, at least 0.
        beam_size: hypotheses kept per sentence, over all groups.
        settings: others of `beam_search`. Constraints and prefixes see each group as a sentence:
            those of a sentence stand in consecutive places.

    Returns:
        The hypotheses of each sentence, best first. One that several groups have found is there
        once, so there may be fewer than beam_size.
    """
    assert beam_size % groups == 0
    found = beam_search(
        RepeatedStepper(stepper, groups),
        [limit for limit in max_lengths for _ in range(groups)],
        beam_size=beam_size // groups,
        eos_id=eos_id,
        selection=Diverse(groups, diversity, eos_id),
        copies=groups,
        **settings,
    )
    return [_distinct(found[first : first + groups]) for first in range(0, len(found), groups)]


def _distinct(groups: Sequence[Sequence[Hypothesis]]) -> list[Hypothesis]:
    """Return the hypotheses of all groups, best first, each once."""
    distinct: dict[tuple[int, ...], Hypothesis] = {}
    for best in best_first([hypothesis for group in groups for hypothesis in group]):
        distinct.setdefault((best.num_tokens, *best.ids), best)
    return [*distinct.values()]
