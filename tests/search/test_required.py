"""Required terms on hand-made and random probabilities, compared with exhaustive search."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nmt.search.constraints import Forbidden
from nmt.search.hypothesis import Hypothesis
from nmt.search.prefix import Prefixes
from nmt.search.required import RequiredTerms, in_turns
from nmt.search.stopping import NoneCanWin
from nmt.search.term import Alternative
from tables import BOS, EOS, A, B, enumerate_all, markov, random_tables, search

# Tokens from SUFFIX on continue a word; those before begin one.
SUFFIX = 5


def required(terms: list[list[list[list[int]]]], limits: list[int], size: int) -> RequiredTerms:
    """Return terms, given as the token ids of their alternatives, for each sentence."""
    forms = [[[Alternative(tuple(ids)) for ids in term] for term in row] for row in terms]
    return RequiredTerms(forms, torch.arange(size) < SUFFIX, limits, EOS)


def find(
    tables: list[Tensor], limits: list[int], terms: list[list[list[list[int]]]], **options: object
) -> list[list[Hypothesis]]:
    rule = required(terms, limits, len(tables[0]))
    rules = [Forbidden([BOS]), rule]
    options = {"beam_size": 4} | options
    return search(tables, limits, constraints=rules, selection=rule, **options)


def contains(ids: Sequence[int], term: list[list[int]]) -> bool:
    """Return whether one of the alternatives occurs, up to the end of a word."""
    return any(
        [*ids[start : start + len(form)]] == form
        and (start + len(form) == len(ids) or ids[start + len(form)] < SUFFIX)
        for form in term
        for start in range(len(ids))
    )


# Without terms: a eos, 0.9 * 0.8.
EITHER = markov(bos={A: 0.9, B: 0.1}, a={EOS: 0.8, A: 0.15, B: 0.05}, b={EOS: 0.7, A: 0.3})


def test_a_term_is_placed_where_it_costs_least() -> None:
    [[best, *_]] = find([EITHER], [6], [[[[B]]]])
    assert best.ids == [B]  # 0.1 * 0.7, while a b has 0.9 * 0.05 * 0.7
    assert best.log_prob == pytest.approx(math.log(0.07))


def test_one_alternative_is_enough() -> None:
    [[best, *_]] = find([EITHER], [6], [[[[B, B], [A]]]])
    assert best.ids == [A]


def test_several_terms_come_in_any_order() -> None:
    [[best, *_]] = find([EITHER], [6], [[[[A]], [[B]]]])
    # a b: 0.9 * 0.05 * 0.7 = 0.0315; b a: 0.1 * 0.3 * 0.8 = 0.024
    assert best.ids == [A, B]


def test_a_term_that_the_word_goes_on_after_does_not_count() -> None:
    table = torch.full((6, 6), -math.inf)
    table[BOS, [A, B]] = torch.tensor([0.9, 0.1]).log()
    table[A, [SUFFIX, EOS]] = torch.tensor([0.9, 0.1]).log()
    table[SUFFIX, [EOS, A]] = torch.tensor([0.9, 0.1]).log()
    table[B, EOS] = 0.0
    [[best, *_]] = find([table], [6], [[[[A]]]])
    assert best.ids == [A]
    [[best, *_]] = find([table], [6], [[[[A, SUFFIX]]]])
    assert best.ids == [A, SUFFIX]


def test_at_the_limit_the_most_advanced_hypotheses_are_left() -> None:
    [found] = find([EITHER], [2], [[[[B, B, B]]]])
    assert found
    # b b has a probability of 0.
    [found] = find([EITHER], [4], [[[[B, B]], [[A]]]])
    assert all(A in h.ids for h in found)


def test_a_sentence_without_terms_is_searched_as_alone() -> None:
    tables = random_tables(6, 8, seed=5)
    limits = [7, 3, 9, 5, 8, 6]
    terms = [[], [[[6]]], [], [[[2, 5], [3]], [[4]]], [], []]
    mixed = find(tables, limits, terms)
    for number in (0, 2, 4, 5):
        alone = search([tables[number]], [limits[number]], beam_size=4)
        assert mixed[number] == alone[0]


def test_a_batch_finds_what_its_sentences_find_alone() -> None:
    tables = random_tables(5, 9, seed=8)
    limits = [9, 4, 8, 6, 9]
    terms = [[[[6]]], [[[2], [3, 5, 7]], [[4, 6]]], [], [[[3, 3]]], [[[2]], [[3]], [[4]]]]
    batch = find(tables, limits, terms)
    for number, found in enumerate(batch):
        if terms[number]:
            alone = find([tables[number]], [limits[number]], [terms[number]])
            assert [h.ids for h in found] == [h.ids for h in alone[0]]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("term", [[[[3]]], [[[2, 4]], [[3]]], [[[3, 3], [4]], [[2]]]])
def test_a_wide_beam_finds_the_best_of_all_sequences(term: list, alpha: float) -> None:
    [table] = random_tables(1, 5, seed=2)
    complete = [
        h for h in enumerate_all(table, 1, 6, alpha) if all(contains(h.ids, each) for each in term)
    ]
    options = {"beam_size": 729, "length_penalty": alpha, "stop": NoneCanWin(1)}
    [[best, *_]] = find([table], [6], [term], **options)
    assert best.ids == complete[0].ids
    assert best.score == pytest.approx(complete[0].score, abs=1e-4)


words = st.integers(2, 4)
forms = st.tuples(words, st.lists(st.integers(5, 7), max_size=2)).map(lambda f: [f[0], *f[1]])
phrases = st.lists(forms, min_size=1, max_size=2).map(lambda parts: [*itertools.chain(*parts)])
term_lists = st.lists(st.lists(phrases, min_size=1, max_size=2), max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(term_lists, min_size=1, max_size=3).filter(any), st.integers(2, 5), st.data())
def test_all_terms_are_there(terms: list, beam_size: int, data: st.DataObject) -> None:
    tables = random_tables(len(terms), 8, seed=data.draw(st.integers(0, 1000)))
    found = find(tables, [40] * len(terms), terms, beam_size=beam_size)
    for row, hypotheses in zip(terms, found, strict=True):
        assert hypotheses
        for each in hypotheses:
            assert all(contains(each.ids, term) for term in row), (each.ids, row)


@pytest.mark.parametrize("seed", range(8))
def test_a_term_that_begins_another(seed: int) -> None:
    """To complete the longer one undoes the shorter one, which the search must foresee."""
    terms = [[[2, 5]], [[2, 5, 5]]]
    [found] = find(random_tables(1, 8, seed=seed), [12], [terms])
    assert found
    assert all(contains(each.ids, term) for each in found for term in terms)


def test_terms_and_a_prefix() -> None:
    rule = required([[[[B]]], [[[A]]]], [6, 6], 4)
    found = search(
        [EITHER, EITHER],
        [6, 6],
        beam_size=3,
        constraints=[Forbidden([BOS]), rule],
        selection=rule,
        prefixes=Prefixes([[A, A], [A]], EOS),
    )
    assert found[0][0].ids == [A, A, B]
    assert found[1][0].ids == [A]  # the prefix has the term


def test_banks_take_turns() -> None:
    scores = torch.tensor([[-1.0, -2.0, -3.0, -9.0, -8.0, -math.inf]])
    needs = torch.tensor([[2, 2, 2, 0, 1, 1 << 20]])
    assert in_turns(scores, needs).tolist() == [[3, 4, 0, 1, 2, 5]]
