"""Sampling over a step function."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.device import widest_float
from nmt.errors import ConfigError
from nmt.search.constraints import ConstrainedStepper, Constraint
from nmt.search.draw import draw
from nmt.search.hypothesis import Hypothesis
from nmt.search.prefix import Prefixes
from nmt.search.repeated import RepeatedStepper, whole_sentences
from nmt.search.slots import Beams, Candidates, Finished, advance
from nmt.search.stepper import Stepper


@dataclass(frozen=True)
class Sampling:
    """How to draw translations instead of searching for the best.

    Raises:
        ConfigError: if a setting is out of range.
    """

    temperature: float = 1.0
    """Divides the log-probabilities; values below 1 sharpen the distribution. Above 0, finite."""
    top_k: int | None = None
    """Draw from the k most probable tokens only (Fan et al. 2018)."""
    top_p: float | None = None
    """Draw from the smallest set of most probable tokens with this total probability (Holtzman et
    al. 2020), after temperature and top_k; above 0, at most 1."""
    seed: int = 1
    """Determines, together with the key of a sentence, what is drawn for it."""

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ConfigError(f"temperature must be above 0 and finite, not {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1, not {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, not {self.top_p}")


@torch.inference_mode()
def sample_search(
    stepper: Stepper,
    max_lengths: Sequence[int],
    sentence_keys: Sequence[str],
    sampling: Sampling,
    *,
    bos_id: int,
    eos_id: int,
    length_penalty: float,
    constraints: Sequence[Constraint] = (),
    prefixes: Prefixes | None = None,
    draws: int = 1,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """Draw token sequences for each sentence of a batch.

    Each draw has its own random generator, which yields one number per step, so the result depends
    neither on the other sentences in the batch nor on the number of draws.

    Args:
        sentence_keys: one per sentence, such as its line number.
        sampling: settings of the distribution to draw from.
        stepper, max_lengths, bos_id, eos_id, length_penalty, constraints, prefixes, device: as
            in `beam_search`; the length penalty does not change what is drawn. Constraints and
            prefixes see each draw as a sentence: those of a sentence stand in consecutive places.
        draws: sequences to draw for each sentence, independently of each other.

    Returns:
        The hypotheses of each sentence, in the order of drawing; fewer if its probabilities are
        not finite. Their log-probabilities are those of the model, whatever the temperature.
    """
    generators = [
        _generator(sampling.seed, key, draw) for key in sentence_keys for draw in range(draws)
    ]
    limits = [limit for limit in max_lengths for _ in range(draws)]
    max_lengths_B = torch.tensor(limits, dtype=torch.int64, device=device)
    finished = Finished(len(limits), eos_id, length_penalty, device)
    if draws > 1:
        stepper = RepeatedStepper(stepper, draws)
    if constraints:
        stepper = ConstrainedStepper(stepper, constraints)
    beams = Beams.start(len(limits), device)
    length, wide = 0, widest_float(torch.device(device))
    while len(beams.sentence_B):
        length += 1
        numbers = [generators[number].random() for number in beams.sentence_B.tolist()]
        numbers_B = torch.tensor(numbers, dtype=wide, device=device)
        drawn = _drawn(beams, stepper.step(beams.next_tokens(bos_id)), numbers_B, sampling)
        if prefixes:
            drawn = prefixes.force(drawn, beams.sentence_B, length, 1)
        ends_B1 = (drawn.tokens_BK == eos_id) | (max_lengths_B[beams.sentence_B] <= length)[:, None]
        finite_B1 = drawn.scores_BK.isfinite()
        finished.add(beams, drawn, ends_B1 & finite_B1)
        lives_B1 = ~ends_B1 & finite_B1
        live_scores_B1 = drawn.scores_BK.masked_fill(~lives_B1, -torch.inf)
        stay_N = whole_sentences(lives_B1[:, 0], draws).nonzero()[:, 0]
        beams = advance(stepper, beams, drawn, live_scores_B1, stay_N, 1)
    groups = (finished.hypotheses[i : i + draws] for i in range(0, len(limits), draws))
    return [[*itertools.chain(*group)] for group in groups]


def _generator(seed: int, key: str, draw: int) -> random.Random:
    """Return the generator of a draw; that of the first does not depend on there being others."""
    return random.Random(f"{seed} {key} {draw}" if draw else f"{seed} {key}")


def _drawn(
    beams: Beams, log_probs: Iterable[Tensor], numbers_B: Tensor, sampling: Sampling
) -> Candidates:
    """Return one continuation of each hypothesis, which numbers in [0, 1) choose."""
    tokens, chosen = [], []
    for log_probs_CV in log_probs:
        numbers_C, numbers_B = numbers_B.tensor_split([len(log_probs_CV)])
        tokens_C1 = draw(
            log_probs_CV,
            numbers_C,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
        )
        tokens.append(tokens_C1)
        chosen.append(log_probs_CV.gather(1, tokens_C1))
    tokens_B1, log_probs_B1 = torch.cat(tokens), torch.cat(chosen)
    scores_B1 = beams.scores_BW + log_probs_B1
    return Candidates(scores_B1, torch.zeros_like(tokens_B1), tokens_B1, log_probs_B1)
