"""Beam search and greedy search over a step function.

The stopping rule is the heuristic of fairseq and CTranslate2; with beam_size 1 this is greedy
search. A live hypothesis could still overtake the finished ones, because a score rises with length
wherever the penalty grows faster than the log-probability falls. An exact search would continue
until no live log_prob / penalty(max_length) reaches the worst finished hypothesis. The paper
(section 6.1) says only "terminating early when possible". Unlike Wu et al., this search does not
prune by score. The beam itself is ranked by log_prob, since all its hypotheses have the same
length.

Shapes: B sentences in the batch, W live hypotheses per sentence, N sentences that stay,
R = B * W hypotheses, K candidates per sentence (per hypothesis in [R, K]).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt.search.constraints import ConstrainedStepper, Constraint
from nmt.search.hypothesis import Hypothesis
from nmt.search.prefix import Prefixes
from nmt.search.slots import Beams, Candidates, advance, collect_finished
from nmt.search.stepper import Stepper
from nmt.search.topk import most_probable, top

_ROUND_SENTENCES = 16


@torch.inference_mode()
def beam_search(
    stepper: Stepper,
    max_lengths: Sequence[int],
    *,
    bos_id: int,
    eos_id: int,
    beam_size: int,
    length_penalty: float,
    constraints: Sequence[Constraint] = (),
    prefixes: Prefixes | None = None,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """Return the best token sequences found by beam search for a batch of sentences.

    Each step considers the 2 * beam_size best continuations of a sentence. Those among the
    beam_size best that end with EOS are finished hypotheses; the beam_size best of the others stay
    alive. The search for a sentence stops once beam_size hypotheses have finished, or at its
    maximum length, where unfinished hypotheses are accepted. Finished hypotheses are ranked by
    log_prob / ((5 + length) / 6) ** length_penalty, where the length includes EOS (Wu et al. 2016,
    eq. 14, without the coverage penalty).

    Ties are broken by hypothesis, then by token id. A batch gives the same results as its sentences
    alone, provided the stepper does.

    Args:
        stepper: the model, with one hypothesis per sentence.
        max_lengths: most tokens of a hypothesis of each sentence, EOS included; at least 1.
        bos_id: the first token passed to the stepper.
        eos_id: the token that ends a hypothesis.
        beam_size: hypotheses kept per sentence; 1 is greedy search.
        length_penalty: alpha of the formula above; 0 ranks by log_prob.
        constraints: rules on the tokens of a hypothesis.
        prefixes: what the hypotheses of each sentence begin with.
        device: device of the tensors passed to and from the stepper.

    Returns:
        The finished hypotheses of each sentence, best first; at most beam_size.
    """
    max_lengths_B = torch.tensor(max_lengths, dtype=torch.int64, device=device)
    finished: list[list[Hypothesis]] = [[] for _ in max_lengths]
    num_finished_B = torch.zeros_like(max_lengths_B)
    stepper = ConstrainedStepper(stepper, constraints)
    beams = Beams.start(len(max_lengths), device)
    length = 0
    while len(beams.sentence_B):
        length += 1
        following = most_probable(stepper.step(beams.next_tokens(bos_id)), 2 * beam_size)
        best = _candidates(beams.scores_BW, *following, 2 * beam_size)
        best = prefixes.force(best, beams.sentence_B, length, beam_size) if prefixes else best
        ends_BK = best.tokens_BK == eos_id
        at_limit_B = max_lengths_B[beams.sentence_B] <= length
        # A score of -inf only fills up the beam, or belongs to a sentence that has ended.
        done_BW = ((ends_BK | at_limit_B[:, None]) & best.scores_BK.isfinite())[:, :beam_size]
        if done_BW.any():
            collect_finished(finished, beams, best, done_BW, eos_id, length_penalty)
            num_finished_B[beams.sentence_B] += done_BW.sum(dim=1)
        goes_on_B = ~at_limit_B & (num_finished_B[beams.sentence_B] < beam_size)
        live_scores_BK, stay_N = _live(best.scores_BK, ends_BK, goes_on_B)
        beams = advance(stepper, beams, best, live_scores_BK, stay_N, beam_size)
    return [sorted(group, key=lambda h: -h.score)[:beam_size] for group in finished]


def _live(scores_BK: Tensor, ends_BK: Tensor, goes_on_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores of live continuations, -inf for others, and the sentences that stay."""
    scores_BK = scores_BK.masked_fill(ends_BK, -torch.inf)
    lives_B = goes_on_B & scores_BK.isfinite().any(dim=1)
    return scores_BK.masked_fill(~lives_B[:, None], -torch.inf), _staying(lives_B)


def _staying(lives_B: Tensor) -> Tensor:
    """Return the sentences that stay: the live ones, filled up to a multiple of 16.

    The batch then takes few different sizes: kernels are built for each.
    """
    num_live = int(lives_B.sum())
    count = min(-(-num_live // _ROUND_SENTENCES) * _ROUND_SENTENCES, len(lives_B))
    live_first_B = (~lives_B).to(torch.int8).sort(stable=True).indices
    return live_first_B[:count].sort().values


def _candidates(
    scores_BW: Tensor, log_probs_RK: Tensor, tokens_RK: Tensor, count: int
) -> Candidates:
    """Return the best continuations of each sentence over all its hypotheses."""
    scores_BK = (scores_BW.reshape(-1, 1) + log_probs_RK).reshape(len(scores_BW), -1)
    scores_BK, places_BK = top(scores_BK, count)
    return Candidates(
        scores_BK,
        places_BK // log_probs_RK.shape[1],
        tokens_RK.reshape(len(scores_BW), -1).gather(1, places_BK),
        log_probs_RK.reshape(len(scores_BW), -1).gather(1, places_BK),
    )
