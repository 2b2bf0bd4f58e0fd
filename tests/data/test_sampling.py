"""The sampler, compared with SentencePiece and with probabilities computed by hand."""

from __future__ import annotations

import io
import math
import random
from collections import Counter
from typing import Any

import pytest
import sentencepiece

from nmt.data.model_file import ModelFile, ModelType, Piece, PieceKind, parse
from nmt.data.sampling import Sampler, choose_of_best

_RNG = random.Random(3)
_STEMS = ["schön", "garten", "haus", "winter", "lauf", "berg", "stein", "wasser", "über"]
LINES = [
    " ".join(_RNG.choice(_STEMS) + _RNG.choice([*_STEMS, "en", "st", ""]) for _ in range(7))
    for _ in range(300)
]
ODD = ["猫猫 haus猫", "garten<x>haus <x>", "", "  a  ", "winter\u200bberg"]


def processor(**options: Any) -> Any:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=model,
        vocab_size=400,
        hard_vocab_limit=False,
        user_defined_symbols=["<x>", "ei"],
        minloglevel=2,
        **options,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def sampler_of(spm: Any, alpha: float) -> tuple[Sampler, list[str]]:
    normalized = [spm.normalize(line) for line in LINES + ODD]
    return Sampler(parse(spm.serialized_model_proto()), alpha), normalized


def hand_made(kind: ModelType, scores: dict[str, float]) -> ModelFile:
    pieces = [Piece("<unk>", 0.0, PieceKind.UNKNOWN)]
    pieces += [Piece(text, score, PieceKind.NORMAL) for text, score in scores.items()]
    return ModelFile(pieces, kind, byte_fallback=False)


def frequencies(sampler: Sampler, text: str) -> dict[str, float]:
    # Not through `sample`: its 64 draws per word are too few to estimate probabilities.
    rng = random.Random(1)
    counts = Counter("|".join(sampler._split(text, rng)) for _ in range(20_000))
    return {split: count / 20_000 for split, count in counts.items()}


@pytest.mark.parametrize("byte_fallback", [False, True])
@pytest.mark.parametrize("split_by_whitespace", [True, False])
def test_bpe_without_dropout_equals_sentencepiece(
    byte_fallback: bool, split_by_whitespace: bool
) -> None:
    spm = processor(
        model_type="bpe", byte_fallback=byte_fallback, split_by_whitespace=split_by_whitespace
    )
    sampler, normalized = sampler_of(spm, 0.0)
    assert sampler.sample(normalized, 1) == spm.encode(LINES + ODD)


@pytest.mark.parametrize("byte_fallback", [False, True])
def test_unigram_with_a_high_alpha_gives_the_best_segmentation(byte_fallback: bool) -> None:
    spm = processor(model_type="unigram", byte_fallback=byte_fallback)
    sampler, normalized = sampler_of(spm, 100.0)
    sampled, best = sampler.sample(normalized, 1), spm.encode(LINES + ODD)
    assert sum(map(list.__eq__, sampled, best)) > 0.97 * len(best)  # except for ties


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_the_number_of_pieces_matches_sentencepiece_sampling(kind: str) -> None:
    spm = processor(model_type=kind)
    sampler, normalized = sampler_of(spm, 0.2)
    ours = sum(map(len, sampler.sample(normalized, 1)))
    theirs = sum(map(len, spm.encode(LINES + ODD, enable_sampling=True, alpha=0.2, nbest_size=-1)))
    plain = sum(map(len, spm.encode(LINES + ODD)))
    assert theirs > 1.1 * plain
    assert ours == pytest.approx(theirs, rel=0.05)


def test_bpe_dropout_probabilities() -> None:
    scores = {"a": -9.0, "b": -9.0, "c": -9.0, "ab": -1.0, "bc": -2.0, "abc": -3.0}
    model = hand_made(ModelType.BPE, scores)
    measured = frequencies(Sampler(model, 0.25), "abc")
    # ab is kept (3/4), then abc kept or dropped; ab dropped (1/4), then bc kept or dropped,
    # and after bc the merge a + bc, which is abc again.
    expected = {
        "abc": 0.75 * 0.75 + 0.25 * 0.75 * 0.75,
        "ab|c": 0.75 * 0.25,
        "a|bc": 0.25 * 0.75 * 0.25,
        "a|b|c": 0.25 * 0.25,
    }
    assert measured == pytest.approx(expected, abs=0.012)


def test_unigram_probabilities() -> None:
    scores = {"a": math.log(0.2), "b": math.log(0.3), "ab": math.log(0.1), "bb": math.log(0.4)}
    model = hand_made(ModelType.UNIGRAM, scores)
    weights = {"a|b|b": 0.2 * 0.3 * 0.3, "ab|b": 0.1 * 0.3, "a|bb": 0.2 * 0.4}
    for alpha in (1.0, 0.5, 0.0):
        powers = {split: weight**alpha for split, weight in weights.items()}
        expected = {split: power / sum(powers.values()) for split, power in powers.items()}
        measured = frequencies(Sampler(model, alpha), "abb")
        assert measured == pytest.approx(expected, abs=0.012)


def test_choose_of_best_follows_the_probabilities() -> None:
    candidates, log_probs = [[1], [2], [3]], [math.log(0.6), math.log(0.3), math.log(0.1)]
    draws = [(place + 0.5) / 1000 for place in range(1000)]
    for alpha, share in ((1.0, 0.6), (0.0, 1 / 3)):
        first = sum(choose_of_best(candidates, log_probs, alpha, draw) == [1] for draw in draws)
        assert first / 1000 == pytest.approx(share, abs=0.002)
