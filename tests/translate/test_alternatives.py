"""The likeliest next words of a translation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import nmt
from nmt.errors import ConfigError, DataError
from nmt.translate.alternatives import Alternative
from nmt.translate.source import Source
from nmt.translate.words import split_words, word_at

SPACE = "\u2581"
SRC = "the cat sat on a mat."


@pytest.fixture(scope="module", params=["nmt", "ctranslate2"])
def model(request: pytest.FixtureRequest, trained_run: Path) -> nmt.Model:
    return nmt.load(trained_run, engine=request.param, compute="float32", threads=1)


def by_word(found: list[Alternative]) -> dict[tuple[int, str], float]:
    return {(each.start, each.word): each.probability for each in found}


def test_one_of_them_goes_on_to_the_translation(model: nmt.Model) -> None:
    best = model.translate(SRC).text
    found = model.alternatives(SRC, num=10)
    assert len(found) == 10
    [same] = [each for each in found if each.word == split_words(best)[0]]
    assert same.text == best
    # Greedy search takes the likeliest token, which here is a word by itself.
    greedy = model.alternatives(SRC, beam_size=1)[0]
    assert greedy.text == model.translate(SRC, beam_size=1).text
    for each in found:
        assert each.text[each.start :].startswith(each.word)


@pytest.mark.parametrize("prefix", ["", "THE ", "THE", "THE C"])
def test_probabilities_are_sorted_and_each_word_is_there_once(
    model: nmt.Model, prefix: str
) -> None:
    found = model.alternatives(SRC, prefix, num=20)
    probabilities = [each.probability for each in found]
    assert probabilities == sorted(probabilities, reverse=True)
    assert min(probabilities) >= 0
    assert sum(probabilities) <= 1 + 1e-5
    assert len(by_word(found)) == len(found) == 20
    assert all(each.text.startswith(prefix.rstrip()) for each in found)


@pytest.mark.parametrize("prefix", ["", "THE ", "THE", "THE C"])
def test_they_are_those_of_separate_searches(model: nmt.Model, prefix: str) -> None:
    """Every token that may come next is forced alone, as a batch of one."""
    translator = model.translator({})
    tokenizer = translator.engine.models[0].tokenizers.tgt
    src_ids, prefix_ids = translator.encoded(Source(SRC, prefix.rstrip()))
    pieces = tokenizer.pieces(range(tokenizer.vocab_size))
    [space] = [token for token, piece in enumerate(pieces) if piece == SPACE]
    normal = {*range(tokenizer.vocab_size)} - {*tokenizer.special_ids, space}
    inside = {token for token in normal if not pieces[token].startswith(SPACE)}
    words: dict[tuple[int, str], float] = {}
    for more in [*([token] for token in normal), *([space, token] for token in inside)]:
        if prefix.endswith(" ") and not pieces[more[0]].startswith(SPACE):
            continue
        forced = [*prefix_ids, *more]
        [[best, *_]] = translator.engine.search(
            [src_ids], [""], translator.options, prefixes=[forced]
        )
        [scores] = translator.engine.score([src_ids], [[*best.ids, tokenizer.eos_id]])
        [text] = tokenizer.decode([best.ids])
        tokens = tokenizer.decoded_tokens(best.ids)
        start = tokens[len(prefix_ids)].start
        span = word_at(text, start + (text[start : start + 1] == " "))
        assert span
        rest = [i for i in range(len(prefix_ids), len(tokens)) if tokens[i].start < span[1]]
        word = (span[0], text[slice(*span)])
        words[word] = words.get(word, 0.0) + math.exp(sum(scores[i] for i in rest))
    found = by_word([each for each in model.alternatives(SRC, prefix, num=100) if each.word])
    assert len(found) > 20
    assert found == pytest.approx({word: words[word] for word in found}, abs=1e-4)
    likeliest = sorted(words, key=lambda word: -words[word])[:2]
    fewer = [each for each in model.alternatives(SRC, prefix, num=4) if each.word][:2]
    assert [*by_word(fewer)] == likeliest


def test_both_engines_find_the_same(trained_run: Path) -> None:
    own, fast = (
        nmt.load(trained_run, engine=engine, compute="float32", threads=1)
        for engine in ("nmt", "ctranslate2")
    )
    src_ids, prefix_ids = own.translator({}).encoded(Source(SRC, "THE CAT"))
    for ids in ([], prefix_ids):
        rows = [each.engine.next_log_probs(src_ids, ids) for each in (own, fast)]
        np.testing.assert_allclose(*(np.exp(row) for row in rows), atol=1e-5)
        assert np.exp(rows[0]).sum() == pytest.approx(1, abs=1e-4)
    for ours, theirs in zip(*(each.alternatives(SRC, "THE ") for each in (own, fast)), strict=True):
        assert (ours.word, ours.text) == (theirs.word, theirs.text)
        assert ours.probability == pytest.approx(theirs.probability, abs=1e-4)


def test_a_prefix_may_end_within_a_word(model: nmt.Model) -> None:
    words = {(each.start, each.word) for each in model.alternatives(SRC, "THE C", num=20)}
    assert any(start == 4 and len(word) > 1 for start, word in words)
    after_space = model.alternatives(SRC, "THE C ", num=20)
    assert min(each.start for each in after_space if each.word) == 6


def test_the_end_is_an_empty_word(model: nmt.Model) -> None:
    whole = model.translate(SRC).text
    first = model.alternatives(SRC, whole)[0]
    assert (first.word, first.text, first.start) == ("", whole, len(whole))
    scores = model.score(SRC, whole)
    assert first.probability == pytest.approx(math.exp(scores.token_log_probs[-1]), abs=1e-4)
    assert all(each.word for each in model.alternatives(SRC, whole, min_length=50))


def test_options_hold(model: nmt.Model) -> None:
    words = [each.word for each in model.alternatives(SRC, "THE ")]
    # CTranslate2 alone cannot ban words.
    if "CTranslate2" not in str(model.engine):
        banned = model.alternatives(SRC, "THE ", banned=[words[0]])
        assert words[0] not in [each.word for each in banned]
    assert model.alternatives("", "THE") == model.alternatives(" \t") == []
    assert len(model.alternatives(SRC, num=1)) == 1


def test_errors(model: nmt.Model) -> None:
    with pytest.raises(ConfigError, match="`num` is 0: it must be from 1 to 100"):
        model.alternatives(SRC, num=0)
    with pytest.raises(ConfigError, match=r"sampl|CTranslate2 lacks"):
        model.alternatives(SRC, top_k=3)
    with pytest.raises(ConfigError, match="unknown option `beam`"):
        model.alternatives(SRC, beam=3)
    with pytest.raises(DataError, match="the prefix 'A☃' contains characters"):
        model.alternatives(SRC, "A☃")
    with pytest.raises(DataError, match="tokens are more than the 60 that the model takes"):
        model.alternatives("the cat " * 60)
