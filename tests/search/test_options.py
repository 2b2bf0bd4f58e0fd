"""Stopping rules, coverage, diverse groups and several samples on hand-made probabilities."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch import Tensor

from nmt.search.beam import beam_search
from nmt.search.constraints import Forbidden
from nmt.search.coverage import Coverage
from nmt.search.diverse import diverse_beam_search
from nmt.search.hypothesis import Hypothesis
from nmt.search.prefix import Prefixes
from nmt.search.sample import Sampling, sample_search
from nmt.search.stepper import EnsembleStepper
from nmt.search.stopping import EnoughFinished, NoneCanWin
from tables import BOS, EOS, A, B, TableStepper, enumerate_all, markov, random_tables, search

# ---------------------------------------------------------------- stopping


# The short one finishes first; with a strong length penalty the long one wins: a eos .5 * 1 with
# length 2, b b b eos .5 * .9 * .9 * 1 with length 4.
LATE = torch.full((4, 4, 4, 4), -math.inf)
LATE[0, 0, BOS, [A, B]] = math.log(0.5)
LATE[0, BOS, A, EOS] = 0.0
LATE[0, BOS, B, [EOS, B]] = torch.tensor([0.1, 0.9]).log()
LATE[BOS, B, B, [EOS, B]] = torch.tensor([0.1, 0.9]).log()
LATE[B, B, B, EOS] = 0.0


@pytest.mark.parametrize(
    ("stop", "ids"),
    [
        (EnoughFinished(1), [[A]]),
        (EnoughFinished(2), [[A], [B, B]]),
        (EnoughFinished(3), [[B, B, B], [A]]),
        (NoneCanWin(1), [[B, B, B], [A]]),
    ],
)
def test_when_to_stop(stop: object, ids: list[list[int]]) -> None:
    [found] = search([LATE], [9], 3, beam_size=2, length_penalty=4.0, stop=stop)
    assert [h.ids for h in found] == ids


@pytest.mark.parametrize("keep", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.5])
def test_a_bound_finds_the_best_of_all_sequences(alpha: float, keep: int) -> None:
    tables, max_length = random_tables(6, 5, 5, seed=3), 5  # at most 3 ** 5 sequences are alive
    options = {"beam_size": 243, "length_penalty": alpha, "stop": NoneCanWin(keep)}
    found = search(tables, [max_length] * 6, 5, **options)
    for table, hypotheses in zip(tables, found, strict=True):
        best = enumerate_all(table, 5, max_length, alpha)[:keep]
        assert [h.ids for h in hypotheses[:keep]] == [h.ids for h in best]


def test_a_bound_stops_before_the_limit() -> None:
    table = markov(bos={A: 0.6, EOS: 0.4}, a={A: 0.9, EOS: 0.1})
    stepper = TableStepper([table])
    settings = {"bos_id": BOS, "eos_id": EOS, "beam_size": 2, "length_penalty": 0.0}
    [found] = beam_search(stepper, [50], stop=NoneCanWin(), **settings)
    assert found[0].ids == []
    assert len(stepper.sizes) == 5  # .6 * .9 ** 4 < .4


# ---------------------------------------------------------------- coverage


class Attention:
    """A stepper whose position t attends to the source as a table of rows says."""

    def __init__(self, stepper: TableStepper, rows_TS: Tensor) -> None:
        self.stepper, self.rows_TS, self.position = stepper, rows_TS, -1

    def step(self, tokens_BW: Tensor) -> list[Tensor]:
        self.position += 1
        self.shape = tokens_BW.shape
        return self.stepper.step(tokens_BW)

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        self.stepper.select(sentences_N, beams_NW)

    def attention(self) -> Tensor:
        return self.rows_TS[self.position].expand(*self.shape, -1)


def test_the_coverage_penalty_is_that_of_the_paper() -> None:
    # One row per target token; the last source token is padding.
    rows = torch.tensor([[0.5, 0.4, 0.1, 0.0], [0.9, 0.1, 0.0, 0.0], [0.0, 0.2, 0.8, 0.0]])
    table = markov(bos={A: 0.6, EOS: 0.4}, a={B: 0.9, EOS: 0.1}, b={EOS: 1.0})
    stepper = Attention(TableStepper([table]), rows)
    mask = torch.tensor([[True, True, True, False]])
    coverage = Coverage(0.5, stepper.attention, mask)
    settings = {"bos_id": BOS, "eos_id": EOS, "beam_size": 2, "length_penalty": 1.0}
    [found] = beam_search(stepper, [5], coverage=coverage, stop=EnoughFinished(3), **settings)
    by_ids = {tuple(h.ids): h for h in found}
    short = 0.5 * (math.log(0.5) + math.log(0.4) + math.log(0.1))
    long = 0.5 * (math.log(1.0) + math.log(0.7) + math.log(0.9))
    assert by_ids[()].coverage == pytest.approx(short)
    assert by_ids[()].score == pytest.approx(math.log(0.4) + short)
    assert by_ids[A, B].coverage == pytest.approx(long)
    assert by_ids[A, B].score == pytest.approx(math.log(0.54) / (8 / 6) + long)
    assert found[0].ids == [A, B]
    assert by_ids[A, B].log_prob == pytest.approx(math.log(0.54))


# ---------------------------------------------------------------- diverse groups


def diverse(tables: list[Tensor], limits: list[int], **options: object) -> list[list[Hypothesis]]:
    settings = {"bos_id": BOS, "eos_id": EOS, "length_penalty": 0.0}
    settings["constraints"] = [Forbidden([BOS])]
    return diverse_beam_search(TableStepper(tables), limits, **settings | options)


def test_a_group_avoids_the_tokens_of_the_groups_before_it() -> None:
    table = markov(
        bos={A: 0.6, B: 0.4}, a={A: 0.2, B: 0.2, EOS: 0.6}, b={A: 0.15, B: 0.05, EOS: 0.8}
    )
    # Group 1: a eos. Group 2: log .6 - .5 > log .4 - 0? .364 < .4, so b; then eos costs nothing.
    [found] = diverse([table], [5], groups=2, diversity=0.5, beam_size=2)
    assert [h.ids for h in found] == [[A], [B]]
    assert [h.log_prob for h in found] == pytest.approx([math.log(0.36), math.log(0.32)])
    [found] = diverse([table], [5], groups=2, diversity=0.4, beam_size=2)  # .402 > .4
    assert [h.ids for h in found] == [[A]]  # both groups have found it


def test_the_penalty_counts_each_hypothesis() -> None:
    # Both groups' hypotheses are a and b at first; in the second step both of group 1 take a.
    table = markov(bos={A: 0.5, B: 0.5}, a={A: 0.7, B: 0.3}, b={A: 0.7, B: 0.3})
    [found] = diverse([table], [2], groups=2, diversity=0.5, beam_size=4)
    # log(.7 / .3) = .85 is more than .5, but less than twice that.
    assert {tuple(h.ids) for h in found} == {(A, A), (B, A), (A, B), (B, B)}
    [found] = diverse([table], [2], groups=2, diversity=0.4, beam_size=4)
    assert {tuple(h.ids) for h in found} == {(A, A), (B, A)}


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_without_a_penalty_every_group_is_a_beam_search(groups: int) -> None:
    tables = random_tables(10, 9)
    expected = search(tables, [12] * 10, beam_size=2, length_penalty=0.6)
    options = {"groups": groups, "beam_size": 2 * groups, "length_penalty": 0.6}
    assert diverse(tables, [12] * 10, diversity=0.0, **options) == expected


@pytest.mark.parametrize("stop", [None, NoneCanWin(2), EnoughFinished(1)])
def test_diverse_batches_give_the_same_as_their_sentences_alone(stop: object) -> None:
    tables, limits = random_tables(40, 12), [1 + number % 11 for number in range(40)]
    forced = [[2 + number % 5] * (number % 3) for number in range(40)]
    options = {"groups": 3, "diversity": 0.7, "beam_size": 6, "length_penalty": 0.6, "stop": stop}
    limits = [limit + 3 for limit in limits]
    prefixes = Prefixes([row for row in forced for _ in range(3)], EOS)
    together = diverse(tables, limits, prefixes=prefixes, **options)
    for table, limit, prefix, found in zip(tables, limits, forced, together, strict=True):
        own = Prefixes([prefix] * 3, EOS) if prefix else None
        assert diverse([table], [limit], prefixes=own, **options) == [found]
        assert len({(*h.ids, h.num_tokens) for h in found}) == len(found)
        assert all(h.ids[: len(prefix)] == prefix for h in found)


# ---------------------------------------------------------------- samples and ensembles


def test_several_samples_are_independent_of_their_number_and_batch() -> None:
    tables, keys = random_tables(20, 9), [str(number) for number in range(20)]
    settings = {"bos_id": BOS, "eos_id": EOS, "length_penalty": 0.6}
    settings["constraints"] = [Forbidden([BOS])]

    def draw(places: list[int], draws: int) -> list[list[Hypothesis]]:
        stepper = TableStepper([tables[place] for place in places])
        limits, chosen = [9 + place % 5 for place in places], [keys[place] for place in places]
        return sample_search(stepper, limits, chosen, Sampling(), draws=draws, **settings)

    four = draw([*range(20)], 4)
    assert all(len(group) == 4 for group in four)
    assert [group[:1] for group in four] == draw([*range(20)], 1)
    assert [group[:3] for group in four] == draw([*range(20)], 3)
    assert four == [draw([place], 4)[0] for place in range(20)]
    assert len({tuple(h.ids) for group in four for h in group}) > 40
    assert any([h.score for h in group] != sorted(h.score for h in group) for group in four)


def test_the_draws_of_a_sentence_follow_the_distribution() -> None:
    spread = markov(bos={EOS: 0.1, A: 0.3, B: 0.6})
    settings = {"bos_id": BOS, "eos_id": EOS, "length_penalty": 0.0}
    [draws] = sample_search(TableStepper([spread]), [1], ["1"], Sampling(), draws=4000, **settings)
    share = sum(h.ids == [B] for h in draws) / 4000
    assert share == pytest.approx(0.6, abs=0.032)  # four standard deviations


class Fixed:
    def __init__(self, *probs: float) -> None:
        self.log_probs = torch.tensor([probs]).log()

    def step(self, tokens_BW: Tensor) -> list[Tensor]:
        return [self.log_probs]

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None: ...


@pytest.mark.parametrize("weights", [[3.0, 1.0], [0.75, 0.25]])
def test_an_ensemble_weighs_probabilities(weights: list[float]) -> None:
    ensemble = EnsembleStepper([Fixed(0.2, 0.8), Fixed(0.6, 0.4)], weights)
    [log_probs] = ensemble.step(torch.zeros(1, 1))
    assert log_probs.exp().tolist() == [pytest.approx([0.3, 0.7])]


def test_equal_weights_change_nothing() -> None:
    models = [Fixed(*random.Random(i).choices([0.1, 0.2, 0.7], k=5)) for i in range(3)]
    [plain] = EnsembleStepper(models).step(torch.zeros(1, 1))
    [weighted] = EnsembleStepper(models, [1 / 3] * 3).step(torch.zeros(1, 1))
    assert torch.equal(plain, weighted)
