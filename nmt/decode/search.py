"""Beam search, greedy search and sampling over a step function; knows no model.

Shapes: B sentences in the batch, W live hypotheses a sentence, N sentences or hypotheses picked
out of these, K candidates a sentence, T tokens so far, V vocabulary.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nmt.errors import ConfigError

_ROUND_SENTENCES = 16
_BLOCK = 64


class Stepper(Protocol):
    """What a search needs of a model: sentences, each with hypotheses, the tokens chosen so far."""

    def step(self, tokens_BW: Tensor) -> Iterable[Tensor]:
        """Take the newest token of every hypothesis and return what may follow.

        Args:
            tokens_BW: int64 token ids; in the first call the begin mark, one hypothesis a
                sentence.

        Returns:
            log_probs_RV, float32, of the B * W hypotheses; in as many parts as suit the stepper,
            each of some rows. The search may overwrite them.
        """
        ...

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep some sentences, and in place of their hypotheses continue others of them.

        Args:
            sentences_N: int64 numbers of sentences, in rising order.
            beams_NW: int64 numbers of hypotheses of these; one that stands twice is doubled.
        """
        ...


@dataclass(frozen=True)
class Hypothesis:
    """A translation in tokens."""

    ids: list[int]
    """Tokens without begin and end mark."""
    score: float
    """log_prob over the length penalty: what hypotheses are ranked by."""
    log_prob: float
    """Natural logarithm of the probability: the sum of token_log_probs."""
    token_log_probs: list[float]
    """Of each token, and of the end mark if the hypothesis ended before the maximum length."""


@dataclass
class _Beams:
    """The live hypotheses; those that a sentence does not have score -inf."""

    sentence_B: Tensor
    scores_BW: Tensor
    tokens_BWT: Tensor
    token_log_probs_BWT: Tensor

    @classmethod
    def start(cls, num_sentences: int, device: torch.device | str) -> _Beams:
        return cls(
            torch.arange(num_sentences, device=device),
            torch.zeros(num_sentences, 1, device=device),
            torch.empty(num_sentences, 1, 0, dtype=torch.int64, device=device),
            torch.empty(num_sentences, 1, 0, device=device),
        )

    def next_tokens(self, bos_id: int) -> Tensor:
        """Give the tokens (B, W) that the stepper has not seen yet."""
        if self.tokens_BWT.shape[2] == 0:
            return torch.full_like(self.sentence_B[:, None], bos_id)
        return self.tokens_BWT[:, :, -1]

    def extended(self, best: _Candidates, *places: Tensor) -> tuple[Tensor, Tensor]:
        """Give the tokens and log-probabilities of candidates, with those before them."""
        beams = (places[0], best.beams_BK[places])
        tokens, log_probs = best.tokens_BK[places], best.log_probs_BK[places]
        return (
            torch.cat([self.tokens_BWT[beams], tokens[..., None]], dim=-1),
            torch.cat([self.token_log_probs_BWT[beams], log_probs[..., None]], dim=-1),
        )


@dataclass
class _Candidates:
    """The best continuations of every sentence, best first."""

    scores_BK: Tensor
    beams_BK: Tensor
    tokens_BK: Tensor
    log_probs_BK: Tensor


@torch.inference_mode()
def beam_search(
    stepper: Stepper,
    max_lengths: Sequence[int],
    *,
    bos_id: int,
    eos_id: int,
    beam_size: int,
    length_penalty: float,
    forbidden_ids: Sequence[int] = (),
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """Search the most probable token sequences of a batch of sentences.

    In each step the 2 * beam_size best continuations of a sentence are looked at. Of the
    beam_size best among them, those that end are finished hypotheses; the beam_size best that
    do not end live on. A sentence is searched until beam_size hypotheses have finished, or up to
    its maximum length, where the live ones are taken as they are; it then leaves the batch.
    Finished hypotheses are ranked by log_prob / ((5 + length) / 6) ** length_penalty with the end
    mark counted in length (Wu et al. 2016, eq. 14, without the coverage penalty).

    Where to stop is a heuristic, that of fairseq and CTranslate2 (and for beam_size 1 it is
    greedy search). A live hypothesis may still overtake the finished ones, because its score
    rises with its length wherever the penalty grows faster than the log-probability falls; an
    exact search would have to go on until no live log_prob / penalty(max_length) reaches the
    worst hypothesis kept. The paper (section 6.1) says "terminating early when possible" and
    leaves the rule open; Wu et al. also prune by score, which is left out here. The beam itself
    is chosen by log_prob, as all its hypotheses have the same length.

    Equal scores among the continuations looked at are ordered by hypothesis, then by token id.
    No sentence looks at another, so a batch gives what its sentences give alone, if the stepper
    does. Sentences leave the batch some at a time, so that its size takes few values: kernels
    are made for each.

    Args:
        stepper: the model, holding one hypothesis a sentence.
        max_lengths: largest number of tokens of each sentence's hypotheses, end mark included;
            at least 1.
        bos_id: what the stepper is given first.
        eos_id: the token that ends a hypothesis.
        beam_size: hypotheses kept a sentence; 1 is greedy search.
        length_penalty: alpha of the formula above; 0 ranks by log_prob.
        forbidden_ids: tokens that are never chosen.
        device: where the stepper takes and returns its tensors.

    Returns:
        For each sentence its finished hypotheses, best first: beam_size of them, fewer only if
        the vocabulary does not make more.
    """
    max_lengths_B = torch.tensor(max_lengths, dtype=torch.int64, device=device)
    finished: list[list[Hypothesis]] = [[] for _ in max_lengths]
    num_finished_B = torch.zeros_like(max_lengths_B)
    forbidden = torch.tensor(list(forbidden_ids), dtype=torch.int64, device=device)
    beams = _Beams.start(len(max_lengths), device)
    length = 0
    while len(beams.sentence_B):
        length += 1
        following = _most_probable(
            stepper.step(beams.next_tokens(bos_id)), 2 * beam_size, forbidden
        )
        best = _candidates(beams.scores_BW, *following, 2 * beam_size)
        ends_BK = best.tokens_BK == eos_id
        at_limit_B = max_lengths_B[beams.sentence_B] <= length
        # Dead continuations (-inf) are those of sentences that have ended, and there are some
        # while the vocabulary is smaller than the beam.
        done_BW = (ends_BK | at_limit_B[:, None]) & best.scores_BK.isfinite()
        done_BW = done_BW[:, :beam_size]
        if done_BW.any():
            _collect(finished, beams, best, done_BW, eos_id, length_penalty)
            num_finished_B[beams.sentence_B] += done_BW.sum(dim=1)
        live_scores_BK = best.scores_BK.masked_fill(ends_BK, -torch.inf)
        lives_B = ~at_limit_B & (num_finished_B[beams.sentence_B] < beam_size)
        lives_B &= live_scores_BK.isfinite().any(dim=1)
        live_scores_BK = live_scores_BK.masked_fill(~lives_B[:, None], -torch.inf)
        stay_N = _staying(lives_B)
        beams = _advance(stepper, beams, best, live_scores_BK, stay_N, beam_size)
    return [sorted(group, key=lambda h: -h.score)[:beam_size] for group in finished]


def _staying(lives_B: Tensor) -> Tensor:
    """Choose the sentences that stay: the live ones, and as many more as make a round number."""
    num_live = int(lives_B.sum())
    count = min(-(-num_live // _ROUND_SENTENCES) * _ROUND_SENTENCES, len(lives_B))
    live_first_B = (~lives_B).to(torch.int8).sort(stable=True).indices
    return live_first_B[:count].sort().values


def _most_probable(
    parts: Iterable[Tensor], count: int | None, forbidden: Tensor
) -> tuple[Tensor, Tensor]:
    """Give the best few tokens of each row, or all, with their log-probabilities; best first."""
    best = []
    for log_probs_CV in parts:
        log_probs_CV.index_fill_(1, forbidden, -torch.inf)
        best.append(_top(log_probs_CV, count or log_probs_CV.shape[1]))
    log_probs, tokens = zip(*best, strict=True)
    return torch.cat(log_probs), torch.cat(tokens)


def _candidates(
    scores_BW: Tensor, log_probs_RK: Tensor, tokens_RK: Tensor, count: int
) -> _Candidates:
    """Choose the best continuations of each sentence among those of all its hypotheses."""
    scores_BK = (scores_BW.reshape(-1, 1) + log_probs_RK).reshape(len(scores_BW), -1)
    scores_BK, places_BK = _top(scores_BK, count)
    return _Candidates(
        scores_BK,
        places_BK // log_probs_RK.shape[1],
        tokens_RK.reshape(len(scores_BW), -1).gather(1, places_BK),
        log_probs_RK.reshape(len(scores_BW), -1).gather(1, places_BK),
    )


def _top(values_NV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Give the largest values of each row with their places, equal values by place."""
    values_NK, places_NK = _largest(values_NV, min(count, values_NV.shape[1]))
    places_NK, order_NK = places_NK.sort(dim=1)
    values_NK = values_NK.gather(1, order_NK)
    values_NK, order_NK = values_NK.sort(dim=1, descending=True, stable=True)
    return values_NK, places_NK.gather(1, order_NK)


def _largest(values_NV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Give the largest values of each row with their places, in no order.

    They are in the blocks whose own largest values are the largest, and to find these takes one
    quick pass, several times faster than topk on a CPU.
    """
    num_rows, size = values_NV.shape
    num_blocks = size // _BLOCK
    if num_blocks <= 2 * count:
        return values_NV.topk(count, sorted=False)
    blocks_NOI = values_NV[:, : num_blocks * _BLOCK].view(num_rows, num_blocks, _BLOCK)
    blocks_NK = blocks_NOI.amax(dim=2).topk(count, sorted=False).indices
    inside_NKI = torch.arange(_BLOCK, device=values_NV.device) + _BLOCK * blocks_NK[:, :, None]
    rest_R = torch.arange(num_blocks * _BLOCK, size, device=values_NV.device)
    places_NC = torch.cat([inside_NKI.flatten(1), rest_R.expand(num_rows, -1)], dim=1)
    values_NK, chosen_NK = values_NV.gather(1, places_NC).topk(count, sorted=False)
    return values_NK, places_NC.gather(1, chosen_NK)


def _collect(
    finished: list[list[Hypothesis]],
    beams: _Beams,
    best: _Candidates,
    done_BW: Tensor,
    eos_id: int,
    length_penalty: float,
) -> None:
    """Append the hypotheses that candidates end to those of their sentences."""
    sentence_N, place_N = done_BW.nonzero(as_tuple=True)
    tokens_NT, log_probs_NT = beams.extended(best, sentence_N, place_N)
    numbers = beams.sentence_B[sentence_N].tolist()
    for number, ids, log_probs in zip(
        numbers, tokens_NT.tolist(), log_probs_NT.tolist(), strict=True
    ):
        finished[number].append(_hypothesis(ids, log_probs, eos_id, length_penalty))


def normalised(log_prob: float, length: int, length_penalty: float) -> float:
    """Divide a log-probability by the length penalty (Wu et al. 2016, eq. 14).

    Args:
        log_prob: of all tokens together.
        length: number of tokens, end mark included.
        length_penalty: alpha; 0 leaves log_prob as it is.
    """
    return float(log_prob / ((5 + length) / 6) ** length_penalty)


def _hypothesis(
    ids: list[int], token_log_probs: list[float], eos_id: int, length_penalty: float
) -> Hypothesis:
    log_prob = sum(token_log_probs)
    score = normalised(log_prob, len(ids), length_penalty)
    if ids[-1] == eos_id:
        ids = ids[:-1]
    return Hypothesis(ids, score, log_prob, token_log_probs)


def _advance(
    stepper: Stepper,
    beams: _Beams,
    best: _Candidates,
    live_scores_BK: Tensor,
    stay_N: Tensor,
    beam_size: int,
) -> _Beams:
    """Keep the best live candidates of the sentences that stay, in the stepper as well."""
    live_scores_NW, places_NW = live_scores_BK[stay_N].sort(dim=1, descending=True, stable=True)
    live_scores_NW, places_NW = live_scores_NW[:, :beam_size], places_NW[:, :beam_size]
    tokens_NWT, log_probs_NWT = beams.extended(best, stay_N[:, None], places_NW)
    if len(stay_N):
        stepper.select(stay_N, best.beams_BK[stay_N[:, None], places_NW])
    return _Beams(beams.sentence_B[stay_N], live_scores_NW, tokens_NWT, log_probs_NWT)


@dataclass(frozen=True)
class Sampling:
    """How to draw translations instead of searching the best.

    Raises:
        ConfigError: a setting is out of its range.
    """

    temperature: float = 1.0
    """Log-probabilities are divided by it: under 1 the likely gets likelier; above 0, finite."""
    top_k: int | None = None
    """Draw from the so many most probable tokens (Fan et al. 2018)."""
    top_p: float | None = None
    """Draw from the fewest most probable tokens that have this probability together (Holtzman
    et al. 2020), after temperature and top_k; above 0, at most 1."""
    seed: int = 1
    """Together with a sentence's key it determines what is drawn for the sentence."""

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ConfigError(
                f"temperature must be above 0 and finite, but it is {self.temperature}"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1, but it is {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, but it is {self.top_p}")


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
    forbidden_ids: Sequence[int] = (),
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """Draw one token sequence for each sentence of a batch.

    Each sentence has a random generator of its own, which gives one number a step: what is
    drawn does not depend on the other sentences of the batch.

    Args:
        sentence_keys: of each sentence, what tells it from the others: its line number, say.
        sampling: what to draw from.
        stepper, max_lengths, bos_id, eos_id, length_penalty, forbidden_ids, device: as in
            `beam_search`; the length penalty does not change what is drawn.

    Returns:
        For each sentence one hypothesis, or none if its probabilities are not finite; the
        log-probabilities are the model's, whatever the temperature.
    """
    generators = [random.Random(f"{sampling.seed} {key}") for key in sentence_keys]
    results: list[list[Hypothesis]] = [[] for _ in max_lengths]
    max_lengths_B = torch.tensor(max_lengths, dtype=torch.int64, device=device)
    forbidden = torch.tensor(list(forbidden_ids), dtype=torch.int64, device=device)
    beams = _Beams.start(len(max_lengths), device)
    length = 0
    while len(beams.sentence_B):
        length += 1
        step = stepper.step(beams.next_tokens(bos_id))
        log_probs_BK, tokens_BK = _most_probable(step, sampling.top_k, forbidden)
        numbers_B = torch.tensor(
            [generators[number].random() for number in beams.sentence_B.tolist()],
            dtype=torch.float64,
            device=device,
        )
        places_B1 = _draw(log_probs_BK, numbers_B, sampling)
        tokens_B1, log_probs_B1 = tokens_BK.gather(1, places_B1), log_probs_BK.gather(1, places_B1)
        drawn = _Candidates(
            beams.scores_BW + log_probs_B1, torch.zeros_like(tokens_B1), tokens_B1, log_probs_B1
        )
        ends_B1 = (tokens_B1 == eos_id) | (max_lengths_B[beams.sentence_B] <= length)[:, None]
        finite_B1 = drawn.scores_BK.isfinite()
        _collect(results, beams, drawn, ends_B1 & finite_B1, eos_id, length_penalty)
        stay_N = (~ends_B1 & finite_B1)[:, 0].nonzero()[:, 0]
        beams = _advance(stepper, beams, drawn, drawn.scores_BK, stay_N, 1)
    return results


def _draw(log_probs_BK: Tensor, numbers_B: Tensor, sampling: Sampling) -> Tensor:
    """Turn numbers from [0, 1) into places (B, 1) through the cumulative distribution."""
    probs_BK = ((log_probs_BK - log_probs_BK[:, :1]).double() / sampling.temperature).softmax(dim=1)
    cumulated_BK = probs_BK.cumsum(dim=1)
    if sampling.top_p is not None:
        probs_BK = probs_BK.masked_fill(cumulated_BK - probs_BK >= sampling.top_p, 0.0)
        cumulated_BK = probs_BK.cumsum(dim=1)
    # Strictly under the total, so that rounding never reaches a token of probability 0.
    thresholds_B = numbers_B * cumulated_BK[:, -1]
    places_B1 = torch.searchsorted(cumulated_BK, thresholds_B[:, None], right=True)
    last_B1 = (probs_BK > 0).sum(dim=1, keepdim=True) - 1
    return places_B1.minimum(last_B1).clamp(min=0)  # of a row of NaN none is above 0
