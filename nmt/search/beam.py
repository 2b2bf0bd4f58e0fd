"""Beam search and greedy search over a step function.

Each step considers the 2 * beam_size best continuations of a sentence. Those among the beam_size
best that end with EOS are finished hypotheses; the beam_size best of the others stay alive. The
search for a sentence ends when `nmt.search.stopping` says so (the paper's section 6.1 says only
"terminating early when possible"), or at its maximum length, where unfinished hypotheses are
accepted. With beam_size 1 this is greedy search.

Finished hypotheses are ranked by log_prob / ((5 + length) / 6) ** length_penalty, where the length
includes EOS, plus the coverage penalty (Wu et al. 2016, eq. 14). The beam itself is ranked by
log_prob, since all its hypotheses have the same length. Unlike Wu et al., this search does not
prune by score.

A batch gives the same results as its sentences alone, provided the stepper does.

Shapes: B sentences in the batch, W live hypotheses per sentence, N sentences that stay,
K candidates per sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt.search.constraints import ConstrainedStepper, Constraint
from nmt.search.coverage import Coverage
from nmt.search.hypothesis import Hypothesis
from nmt.search.prefix import Prefixes
from nmt.search.repeated import whole_sentences
from nmt.search.selection import Selection, most_probable_candidates
from nmt.search.slots import Beams, Finished, advance
from nmt.search.stepper import Stepper
from nmt.search.stopping import EnoughFinished, StopRule

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
    coverage: Coverage | None = None,
    stop: StopRule | None = None,
    selection: Selection = most_probable_candidates,
    copies: int = 1,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """Return the best token sequences found by beam search for a batch of sentences.

    Args:
        stepper: the model, with one hypothesis per sentence.
        max_lengths: most tokens of a hypothesis of each sentence, EOS included; at least 1.
        bos_id: the first token passed to the stepper.
        eos_id: the token that ends a hypothesis.
        beam_size: hypotheses kept per sentence; 1 is greedy search.
        length_penalty: alpha of the score; 0 ranks by log_prob.
        constraints: rules on the tokens of a hypothesis.
        prefixes: what the hypotheses of each sentence begin with.
        coverage: the coverage penalty.
        stop: by default when beam_size hypotheses have finished.
        selection: chooses the continuations.
        copies: consecutive sentences that leave the batch together; see `RepeatedStepper`.
        device: device of the tensors passed to and from the stepper.

    Returns:
        The finished hypotheses of each sentence, best first; at most beam_size.
    """
    max_lengths_B = torch.tensor(max_lengths, dtype=torch.int64, device=device)
    finished = Finished(len(max_lengths), eos_id, length_penalty, device)
    stop = stop or EnoughFinished(beam_size)
    stepper = ConstrainedStepper(stepper, [*constraints, *([coverage] if coverage else [])])
    beams = Beams.start(len(max_lengths), device)
    length = 0
    while len(beams.sentence_B):
        length += 1
        best = selection(beams, stepper.step(beams.next_tokens(bos_id)), beam_size)
        best = prefixes.force(best, beams.sentence_B, length, beam_size) if prefixes else best
        ends_BK = best.tokens_BK == eos_id
        limits_B = max_lengths_B[beams.sentence_B]
        at_limit_B = limits_B <= length
        # A score of -inf only fills up the beam, or belongs to a sentence that has ended.
        done_BW = ((ends_BK | at_limit_B[:, None]) & best.scores_BK.isfinite())[:, :beam_size]
        if done_BW.any():
            finished.add(beams, best, done_BW, coverage.penalties() if coverage else None)
        live_BK = best.scores_BK.masked_fill(ends_BK | at_limit_B[:, None], -torch.inf)
        best_live_B = live_BK.amax(dim=1)
        goes_on_B = stop.goes_on(finished, beams.sentence_B, best_live_B, limits_B)
        live_BK.masked_fill_(~goes_on_B[:, None], -torch.inf)
        stay_N = _staying(goes_on_B & best_live_B.isfinite(), copies)
        beams = advance(stepper, beams, best, live_BK, stay_N, beam_size)
    return finished.best_first(beam_size)


def _staying(lives_B: Tensor, copies: int) -> Tensor:
    """Return the sentences that stay: the live ones, filled up to a multiple of 16.

    The batch then takes few different sizes: kernels are built for each.
    """
    lives_B = whole_sentences(lives_B, copies)
    num_live = int(lives_B.sum())
    rounded = _ROUND_SENTENCES * copies
    count = min(-(-num_live // rounded) * rounded, len(lives_B))
    live_first_B = (~lives_B).to(torch.int8).sort(stable=True).indices
    return live_first_B[:count].sort().values
