"""Searches against hand-made probabilities, exhaustive search and independent loops."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from nmt.errors import ConfigError
from nmt.search.beam import beam_search
from nmt.search.constraints import (
    ConstrainedStepper,
    Constraint,
    Forbidden,
    MinLength,
    NoRepeatedNgrams,
    RepetitionPenalty,
)
from nmt.search.prefix import Prefixes
from nmt.search.sample import Sampling, sample_search
from tables import BOS, EOS, A, B, TableStepper, enumerate_all, markov, random_tables, search


def draw(tables: list[Tensor], max_lengths: list[int], numbers: list[int], **settings: object):
    hypotheses = sample_search(
        TableStepper(tables),
        max_lengths,
        [str(number) for number in numbers],
        Sampling(**settings),
        bos_id=BOS,
        eos_id=EOS,
        length_penalty=0.0,
        constraints=[Forbidden([BOS])],
    )
    return [hypothesis for [hypothesis] in hypotheses]


# Greedy search takes a (0.6) and then at best 0.4: a eos = 0.24, but b eos = 0.4 * 0.9 = 0.36.
GARDEN_PATH = markov(bos={A: 0.6, B: 0.4}, a={EOS: 0.4, A: 0.3, B: 0.3}, b={EOS: 0.9, A: 0.1})


def test_beam_1_follows_the_garden_path() -> None:
    [[best]] = search([GARDEN_PATH], [5])
    assert best.ids == [A]
    assert best.log_prob == pytest.approx(math.log(0.24))
    assert best.token_log_probs == pytest.approx([math.log(0.6), math.log(0.4)])


def test_beam_2_leaves_the_garden_path() -> None:
    # Step 1: a .6, b .4. Step 2: the two best are b eos .36 and a eos .24; both end.
    [hypotheses] = search([GARDEN_PATH], [5], beam_size=2)
    assert [h.ids for h in hypotheses] == [[B], [A]]
    assert [h.log_prob for h in hypotheses] == pytest.approx([math.log(0.36), math.log(0.24)])


def test_length_penalty_flips_the_winner() -> None:
    # a eos has length 2 and 0.5 * 1 = 0.5; b b eos has length 3 and 0.5 * 0.81 * 1 = 0.405.
    # Logarithms: -0.693 and -0.904. alpha 1: / (7/6), / (8/6): -0.594 and -0.678. alpha 2:
    # -0.509 and -0.508. (b eos, 0.5 * 0.19, is always far below.)
    table = markov(bos={A: 0.5, B: 0.5}, a={EOS: 1.0}, b={EOS: 0.19, B: 0.81})
    second_order = table.expand(4, 4, 4).clone()
    second_order[B, B] = torch.tensor([0.0, 1.0, 0.0, 0.0]).log()
    for alpha, winner in [(0.0, [A]), (1.0, [A]), (2.0, [B, B])]:
        [hypotheses] = search([second_order], [9], order=2, beam_size=3, length_penalty=alpha)
        assert hypotheses[0].ids == winner
    assert hypotheses[0].score == pytest.approx(math.log(0.405) / (8 / 6) ** 2)
    assert hypotheses[0].log_prob == pytest.approx(math.log(0.405))


def test_finished_hypotheses_are_replaced_by_the_next_best() -> None:
    # Beam 2. Step 1: eos .5 ends, b .3 stays alive and the third best, a .2, takes the free place.
    # Step 2: a b .2, b eos .18, b a .12: b eos ends and is the second finished hypothesis.
    table = markov(bos={EOS: 0.5, B: 0.3, A: 0.2}, a={B: 1.0}, b={EOS: 0.6, A: 0.4})
    stepper = TableStepper([table])
    [hypotheses] = beam_search(
        stepper, [9], bos_id=BOS, eos_id=EOS, beam_size=2, length_penalty=0.0
    )
    assert [h.ids for h in hypotheses] == [[], [B]]
    assert stepper.sizes == [(1, 1), (1, 2)]


def test_eos_outside_the_beam_does_not_finish() -> None:
    # Beam 1: eos .4 comes second after a .6, so it does not count as finished.
    [[best]] = search([markov(bos={A: 0.6, EOS: 0.4}, a={EOS: 1.0})], [9])
    assert best.ids == [A]


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("order", [2, 5])
def test_a_wide_beam_is_exhaustive_search(alpha: float, order: int) -> None:
    vocab_size, max_length = 5, 5  # 3 words: at most 3^5 sequences are alive
    for table in random_tables(4, vocab_size, order, seed=order):
        expected = enumerate_all(table, order, max_length, alpha)
        [hypotheses] = search(
            [table], [max_length], order, beam_size=len(expected), length_penalty=alpha
        )
        assert [h.ids for h in hypotheses] == [h.ids for h in expected]
        assert [h.score for h in hypotheses] == pytest.approx([h.score for h in expected], abs=1e-5)


def test_beam_1_is_greedy() -> None:
    tables = random_tables(50, 12)
    for table, [best] in zip(tables, search(tables, [20] * 50, length_penalty=0.6), strict=True):
        ids, last = [], BOS
        while len(ids) < 20 and last != EOS:
            row = table[last].clone()
            row[BOS] = -math.inf
            last = int(row.argmax())
            ids.append(last)
        assert best.ids == [token for token in ids if token != EOS]


@pytest.mark.parametrize("beam_size", [1, 2, 4, 30])
def test_a_batch_gives_the_same_as_its_sentences_alone(beam_size: int) -> None:
    tables = random_tables(30, 6)
    max_lengths = [1 + number % 13 for number in range(30)]
    options = {"beam_size": beam_size, "length_penalty": 0.6}
    together = search(tables, max_lengths, **options)
    alone = [
        search([table], [limit], **options)[0]
        for table, limit in zip(tables, max_lengths, strict=True)
    ]
    assert together == alone


def test_hypotheses_are_distinct_sorted_and_summed() -> None:
    for hypotheses in search(random_tables(20, 9), [12] * 20, beam_size=5, length_penalty=0.8):
        assert len(hypotheses) == 5
        assert len({tuple(h.ids) for h in hypotheses}) == 5
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)
        for h in hypotheses:
            assert h.log_prob == pytest.approx(sum(h.token_log_probs), abs=1e-5)
            length = len(h.token_log_probs)
            assert h.score == pytest.approx(h.log_prob / ((5 + length) / 6) ** 0.8)
            assert length == len(h.ids) + 1 or length == 12 == len(h.ids)


def test_maximum_lengths_apply_per_sentence() -> None:
    endless = markov(bos={A: 0.7, B: 0.3}, a={A: 0.6, B: 0.4}, b={A: 1.0})
    results = search([endless] * 4, [1, 3, 2, 7], beam_size=2)
    assert [[len(h.ids) for h in hypotheses] for hypotheses in results] == [
        [1, 1],
        [3, 3],
        [2, 2],
        [7, 7],
    ]
    assert all(len(h.token_log_probs) == len(h.ids) for hypotheses in results for h in hypotheses)


class EndingStepper:
    """Sentences that end with a probability of 0.9 once they have `words_B` words."""

    def __init__(self, words_B: Tensor) -> None:
        self.words_B = words_B
        self.sizes: list[int] = []

    def step(self, tokens_BW: Tensor) -> list[Tensor]:
        ends_BW = (len(self.sizes) >= self.words_B)[:, None].expand_as(tokens_BW)
        self.sizes.append(len(tokens_BW))
        probs_BWV = torch.zeros(*tokens_BW.shape, 4)
        probs_BWV[..., EOS] = torch.where(ends_BW, 0.9, 0.0)
        probs_BWV[..., A] = torch.where(ends_BW, 0.0, 0.9)
        probs_BWV[..., B] = 0.1
        return [probs_BWV.log().flatten(0, 1)]

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        self.words_B = self.words_B[sentences_N]


def test_finished_sentences_leave_the_batch_in_multiples_of_16() -> None:
    words = torch.arange(40) // 8
    stepper = EndingStepper(words)
    results = beam_search(
        stepper, [9] * 40, bos_id=BOS, eos_id=EOS, beam_size=1, length_penalty=0.0
    )
    assert [len(best.ids) for [best] in results] == words.tolist()
    assert stepper.sizes == [40, 32, 32, 16, 16]  # 40, 32, 24, 16 and 8 are live


def test_forbidden_tokens_never_appear() -> None:
    tables = random_tables(20, 9)
    results = search(tables, [15] * 20, beam_size=4, constraints=[Forbidden([BOS, 3, 7])])
    samples = draw(tables, [15] * 20, list(range(20)))
    assert any(h.ids for hypotheses in [*results, samples] for h in hypotheses)
    for hypotheses in results:
        assert all({BOS, 3, 7}.isdisjoint(h.ids) for h in hypotheses)
    assert all(BOS not in h.ids for h in samples)


@pytest.mark.parametrize("beam_size", [2, 8])
def test_vocabularies_smaller_than_the_beam(beam_size: int) -> None:
    only_end = markov(bos={EOS: 1.0})
    [hypotheses] = search([only_end], [5], beam_size=beam_size)
    assert [h.ids for h in hypotheses] == [[]]
    # With one word the sequences are eos, a eos, a a eos and, at the limit, a a a.
    one_word = markov(bos={A: 0.5, EOS: 0.5}, a={A: 0.6, EOS: 0.4})
    [hypotheses] = search([one_word], [3], beam_size=beam_size)
    assert len(hypotheses) == min(beam_size, 4)
    assert hypotheses[0].ids == []


def test_ties_are_ordered_by_token() -> None:
    even = markov(bos={A: 0.5, B: 0.5}, a={EOS: 1.0}, b={EOS: 1.0})
    [hypotheses] = search([even], [5], beam_size=2)
    assert [h.ids for h in hypotheses] == [[A], [B]]


def test_an_empty_batch() -> None:
    assert beam_search(None, [], bos_id=0, eos_id=1, beam_size=4, length_penalty=0.6) == []  # type: ignore[arg-type]


# ---------------------------------------------------------------- prefixes


def test_a_prefix_is_forced_and_costs_nothing() -> None:
    for beam_size in (1, 2):
        [[best, *_]] = search(
            [GARDEN_PATH], [5], beam_size=beam_size, prefixes=Prefixes([[B]], EOS)
        )
        assert best.ids == [B]
        assert best.token_log_probs == pytest.approx([0.0, math.log(0.9)])
    [[best]] = search([GARDEN_PATH], [5], prefixes=Prefixes([[EOS + 2, A]], EOS))
    assert best.ids == [B, A]  # b eos is more probable
    assert best.log_prob == pytest.approx(math.log(0.4))


def test_eos_directly_after_a_prefix_must_be_the_best_candidate() -> None:
    prefixes = Prefixes([[A]], EOS)
    best_ends = markov(a={EOS: 0.5, B: 0.4, A: 0.1}, b={EOS: 1.0})
    [hypotheses] = search([best_ends], [5], beam_size=2, prefixes=prefixes)
    assert [h.ids for h in hypotheses] == [[A], [A, B]]
    # b .5, eos .4, a .1: eos does not count, and a does not take its place.
    second_ends = markov(a={B: 0.5, EOS: 0.4, A: 0.1}, b={EOS: 0.9, A: 0.1})
    [hypotheses] = search([second_ends], [4], beam_size=2, prefixes=prefixes)
    assert [h.ids for h in hypotheses] == [[A, B], [A, B, A, B]]


@pytest.mark.parametrize("beam_size", [1, 2, 4])
def test_prefixes_of_a_batch_are_independent(beam_size: int) -> None:
    tables = random_tables(30, 9)
    forced = [[2 + (number + place) % 7 for place in range(number % 5)] for number in range(30)]
    limits = [5 + number % 9 for number in range(30)]
    options = {"beam_size": beam_size, "length_penalty": 0.6}
    together = search(tables, limits, prefixes=Prefixes(forced, EOS), **options)
    for table, limit, prefix, found in zip(tables, limits, forced, together, strict=True):
        chosen = {"prefixes": Prefixes([prefix], EOS)} if prefix else {}
        assert search([table], [limit], **options, **chosen) == [found]
        assert all(h.ids[: len(prefix)] == prefix for h in found)
        assert all(h.token_log_probs[: len(prefix)] == [0.0] * len(prefix) for h in found)


def test_samples_begin_with_prefixes() -> None:
    tables = random_tables(12, 9)
    forced = [[2 + number % 7] * (number % 3) for number in range(12)]
    stepper = ConstrainedStepper(TableStepper(tables), [Forbidden([BOS])])
    samples = sample_search(
        stepper,
        [9] * 12,
        [str(number) for number in range(12)],
        Sampling(),
        bos_id=BOS,
        eos_id=EOS,
        length_penalty=0.0,
        prefixes=Prefixes(forced, EOS),
    )
    for prefix, [sample] in zip(forced, samples, strict=True):
        assert sample.ids[: len(prefix)] == prefix
        assert sample.token_log_probs[: len(prefix)] == [0.0] * len(prefix)


# ---------------------------------------------------------------- changed probabilities


def changed(tables: list[Tensor], max_lengths: list[int], *rules: Constraint, beam_size: int = 1):
    """Search with rules on the tables, which need not be normalized."""
    stepper = ConstrainedStepper(TableStepper(tables), [Forbidden([BOS]), *rules], normalize=True)
    options = {"bos_id": BOS, "eos_id": EOS, "beam_size": beam_size, "length_penalty": 0.0}
    return beam_search(stepper, max_lengths, **options)


def test_a_minimum_length_forbids_eos() -> None:
    table = markov(bos={EOS: 0.6, A: 0.3, B: 0.1}, a={EOS: 0.9, B: 0.1}, b={EOS: 0.5, A: 0.5})
    [[best]] = changed([table], [9], MinLength(1, EOS))
    assert best.ids == [A]
    assert best.log_prob == pytest.approx(math.log(0.3 / 0.4 * 0.9))
    [[best]] = changed([table], [9], MinLength(2, EOS))
    assert best.ids == [A, B]  # a is followed by b with certainty
    assert best.log_prob == pytest.approx(math.log(0.3 / 0.4 * 1.0 * 0.5))
    assert changed([table], [9], MinLength(0, EOS))[0][0].ids == []
    assert changed([table], [2], MinLength(5, EOS))[0][0].ids == [A, B]  # the limit comes first


@pytest.mark.parametrize(
    ("size", "ids", "probability"),
    [(1, [A, B], 0.9), (2, [A, B, A], 0.9 * 0.8), (3, [A, B, A, B], 0.9 * 0.8 * 0.9)],
)
def test_ngrams_are_not_repeated(size: int, ids: list[int], probability: float) -> None:
    """Where the only other token is forbidden, EOS is certain."""
    table = markov(bos={A: 1.0}, a={B: 0.9, EOS: 0.1}, b={A: 0.8, EOS: 0.2})
    [[best]] = changed([table], [9], NoRepeatedNgrams(size))
    assert best.ids == ids
    assert best.log_prob == pytest.approx(math.log(probability))


def test_a_repetition_penalty_divides_positive_logits_and_multiplies_negative_ones() -> None:
    table = torch.full((4, 4), -9.0)
    table[BOS, A] = 2.0
    table[A] = torch.tensor([0.0, 0.9, 2.0, 1.2])  # a: 2 / 2 < 1.2
    table[B] = torch.tensor([0.0, -0.8, -0.5, -9.0])  # a: -0.5 * 2 < -0.8
    [[best]] = changed([table], [9], RepetitionPenalty(2.0))
    assert best.ids == [A, B]
    rows = torch.tensor([[-9.0, 2.0, -9.0], [0.9, 1.0, 1.2], [-0.8, -1.0, -18.0]]).log_softmax(-1)
    chosen = rows[[0, 1, 2], [1, 2, 0]].tolist()
    assert best.token_log_probs == pytest.approx(chosen, abs=1e-6)
    assert changed([table], [4], RepetitionPenalty(1.0))[0][0].ids == [A, A, A, A]


def test_all_rules_together_follow_an_independent_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    tables = list(2 * torch.randn(40, 7, 7, generator=generator))

    def rules() -> list[Constraint]:
        return [RepetitionPenalty(1.5), MinLength(4, EOS), NoRepeatedNgrams(2)]

    for table, [best] in zip(tables, changed(tables, [12] * 40, *rules()), strict=True):
        ids, log_probs = [], []
        while len(ids) < 12 and EOS not in ids:
            row = table[ids[-1] if ids else BOS].clone()
            for token in set(ids):
                row[token] = row[token] * 1.5 if row[token] < 0 else row[token] / 1.5
            pairs = set(itertools.pairwise(ids))
            forbidden = [token for token in range(7) if ids and (ids[-1], token) in pairs]
            row[[BOS, *forbidden, *([EOS] if len(ids) < 4 else [])]] = -math.inf
            row = row.log_softmax(-1)
            ids.append(int(row.argmax()))
            log_probs.append(float(row[ids[-1]]))
        assert best.ids == [token for token in ids if token != EOS]
        assert best.token_log_probs == pytest.approx(log_probs, abs=1e-5)
    together = changed(tables, [12] * 40, *rules(), beam_size=3)
    assert together == [changed([table], [12], *rules(), beam_size=3)[0] for table in tables]


# ---------------------------------------------------------------- sampling


def test_sampling_from_a_single_token_is_greedy_search() -> None:
    tables = random_tables(20, 9)
    greedy = [hypotheses[0] for hypotheses in search(tables, [15] * 20)]
    assert draw(tables, [15] * 20, list(range(20)), top_k=1, seed=5) == greedy
    assert draw(tables, [15] * 20, list(range(20)), temperature=1e-9, seed=5) == greedy
    assert draw(tables, [15] * 20, list(range(20)), top_p=1e-9, seed=5) == greedy


def test_samples_depend_only_on_seed_and_sentence_key() -> None:
    tables = random_tables(12, 9)
    together = draw(tables, [15] * 12, list(range(12)), seed=3)
    alone = [draw([table], [15], [n], seed=3)[0] for n, table in enumerate(tables)]
    assert together == alone
    assert draw(tables, [15] * 12, list(range(12)), seed=4) != together
    assert draw(tables, [15] * 12, list(range(12, 24)), seed=3) != together


def frequencies(table: Tensor, **settings: object) -> dict[int, float]:
    """Return the relative frequencies of tokens in 4,000 samples of length 1."""
    number = 4000
    samples = draw([table] * number, [1] * number, list(range(number)), **settings)
    counts = Counter(sample.ids[0] if sample.ids else EOS for sample in samples)
    return {token: count / number for token, count in counts.items()}


SPREAD = markov(bos={EOS: 0.1, A: 0.3, B: 0.6})


# Four standard deviations of a frequency in 4,000 draws are at most 4 * sqrt(0.25 / 4000) = 0.032.
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {EOS: 0.1, A: 0.3, B: 0.6}),
        ({"top_k": 2}, {A: 1 / 3, B: 2 / 3}),
        ({"top_p": 0.89}, {A: 1 / 3, B: 2 / 3}),
        ({"top_p": 0.91}, {EOS: 0.1, A: 0.3, B: 0.6}),
        ({"top_p": 0.59}, {B: 1.0}),
        ({"top_p": 0.61}, {A: 1 / 3, B: 2 / 3}),
        # the squares .01, .09 and .36 over their sum .46
        ({"temperature": 0.5}, {EOS: 0.01 / 0.46, A: 0.09 / 0.46, B: 0.36 / 0.46}),
    ],
)
def test_sampled_frequencies(settings: dict[str, float], expected: dict[int, float]) -> None:
    assert frequencies(SPREAD, **settings) == pytest.approx(expected, abs=0.032)


def test_log_probs_of_samples_are_those_of_the_model() -> None:
    for sample in draw([SPREAD] * 20, [1] * 20, list(range(20)), temperature=3.0, top_k=3):
        token = sample.ids[0] if sample.ids else EOS
        assert sample.token_log_probs == pytest.approx([float(SPREAD[BOS, token])])


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"temperature": -1},
        {"temperature": math.inf},
        {"temperature": math.nan},
        {"top_k": 0},
        {"top_p": 0},
    ],
)
def test_sampling_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Sampling(**settings)  # type: ignore[arg-type]
