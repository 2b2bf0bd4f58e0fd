"""Forced scores compared with search scores, other batches, and a computation by hand."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator

import pytest
import torch

from nmt.config.search import SearchOptions
from nmt.data.tokenizer import Tokenizer
from nmt.errors import DataError, FileError
from nmt.runs.model import TrainedModel
from nmt.translate.score import PairScore, Totals, render, score_pairs
from nmt.translate.torch_engine import Networks
from nmt.translate.translator import Translator


def test_the_search_score_is_the_forced_score(any_model: TrainedModel, lines: list[str]) -> None:
    tokenizer = any_model.tokenizers.tgt
    translator = Translator(Networks([any_model]), SearchOptions(nbest=4))
    checked = 0
    for line, translation in zip(lines, translator.translate(lines), strict=True):
        texts = [h.text for h in translation.hypotheses]
        forced = score_pairs(Networks([any_model]), [line] * len(texts), texts, 1000)
        for hypothesis, score in zip(translation.hypotheses, forced, strict=True):
            # Skip hypotheses without EOS, and texts whose segmentation differs from the search.
            if len(score.token_log_probs) == len(hypothesis.token_log_probs):
                assert score.token_log_probs == pytest.approx(hypothesis.token_log_probs, abs=1e-4)
                assert score.pieces == [*tokenizer.pieces(tokenizer.encode([hypothesis.text])[0]),
                                        "</s>"]  # fmt: skip
                checked += 1
    assert checked > 50


def test_batched_scores_equal_single_scores_in_order(
    model: TrainedModel, lines: list[str], other_lines: list[str]
) -> None:
    together = list(score_pairs(Networks([model]), lines, other_lines, 300))
    assert len(together) == len(lines)
    for src, tgt, score in zip(lines, other_lines, together, strict=True):
        [alone] = score_pairs(Networks([model]), [src], [tgt], 300)
        assert score.pieces == alone.pieces
        assert score.token_log_probs == pytest.approx(alone.token_log_probs, abs=1e-4)
        assert score.log_prob == pytest.approx(sum(score.token_log_probs))


def test_score_equals_a_computation_by_hand(model: TrainedModel) -> None:
    tokenizer = model.tokenizers.tgt
    [src], [tgt] = tokenizer.encode(["the cat."]), tokenizer.encode(["a dog!"])
    eos = tokenizer.eos_id
    expected = []
    for place, token in enumerate([*tgt, eos]):
        prefix = torch.tensor([[tokenizer.bos_id, *tgt[:place]]])
        logits_V = model.network(torch.tensor([[*src, eos]]), prefix)[0, -1].detach()
        expected.append(math.log(logits_V.softmax(0)[token]))
    [score] = score_pairs(Networks([model]), ["the cat."], ["a dog!"], 100)
    assert score.token_log_probs == pytest.approx(expected, abs=1e-4)


def test_blank_lines_are_scored(model: TrainedModel) -> None:
    scores = list(score_pairs(Networks([model]), ["", "the cat.", ""], ["", "", "a dog."], 100))
    assert [len(score.pieces) for score in scores[:2]] == [1, 1]
    assert all(score.log_prob < 0 for score in scores)


def test_sides_must_have_equal_numbers_of_lines(model: TrainedModel) -> None:
    with pytest.raises(DataError, match="target side ends after line 1"):
        list(score_pairs(Networks([model]), ["a", "a"], ["a"], 100))
    with pytest.raises(DataError, match="source side ends after line 0"):
        list(score_pairs(Networks([model]), [], ["a"], 100))


def test_pairs_with_more_tokens_than_positions_are_refused(
    tokenizer: Tokenizer, make_model: Callable[..., TrainedModel]
) -> None:
    model = make_model(tokenizer, seed=1, positions={"kind": "learned", "max_length": 44})
    with pytest.raises(DataError, match="line 2: 45 tokens"):
        list(score_pairs(Networks([model]), ["the cat", "the"], ["the cat", "the " * 44], 100))


def test_pairs_are_read_lazily(model: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.translate.score._WINDOW_PAIRS", 5)
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "the cat."

    scores = score_pairs(Networks([model]), endless(), endless(), 100)
    assert len(list(itertools.islice(scores, 12))) == 12
    assert read <= 2 * 15


def test_totals() -> None:
    # Two tokens with probabilities 1/2 and 1/8: the geometric mean is 1/4.
    totals = Totals()
    for probability in (1 / 2, 1 / 8):
        totals.add(PairScore(math.log(probability), [math.log(probability)], ["a"]))
    assert totals.perplexity == pytest.approx(4.0)
    assert str(totals) == "perplexity 4.0000 (2 pairs, 2 tokens)"
    assert math.isnan(Totals().perplexity)


def test_json_perplexity_is_null_without_pairs() -> None:
    [line] = render([], Totals(), as_json=True)
    assert line == '{"pairs": 0, "tokens": 0, "log_prob": 0.0, "perplexity": null}'


def test_nan_weights_are_refused(model: TrainedModel) -> None:
    broken = copy.deepcopy(model.network)
    with torch.no_grad():
        broken.projection.weight[7] = math.nan
    broken_model = TrainedModel(model.config, model.tokenizers, broken, model.weights)
    with pytest.raises(FileError, match=r"model-1: .*not finite"):
        list(score_pairs(Networks([broken_model]), ["the cat."], ["the cat."], 100))
