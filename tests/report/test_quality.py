"""Quality figures equal those of sacreBLEU and of the scorer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nmt.api import Model
from nmt.errors import DataError
from nmt.evaluation.metrics import EvaluateOptions, evaluate
from nmt.evaluation.testsets import EvaluationData
from nmt.progress import Advance
from nmt.report.quality import SAMPLES, bleu_by_length, hardest, measure
from nmt.runs.model import TrainedModel, load_model
from nmt.translate.score import PairScore, score_pairs
from nmt.translate.torch_engine import Networks
from nmt.translate.translator import Translator


@contextmanager
def silent(task: str, total: int) -> Iterator[Advance]:
    yield lambda lines: None


@pytest.fixture(scope="module")
def trained(trained_run: Path) -> TrainedModel:
    return load_model(trained_run)


@pytest.fixture(scope="module")
def model(trained: TrainedModel) -> Model:
    return Model(Networks([trained]), [trained])


@pytest.fixture(scope="module")
def data(trained_run: Path) -> EvaluationData:
    src, tgt = ((trained_run.parent / f"test.{side}").read_text("utf-8") for side in ("src", "tgt"))
    return EvaluationData(src.split("\n")[:-1], [tgt.split("\n")[:-1]], "de")


def test_quality_of_a_whole_text(model: Model, trained: TrainedModel, data: EvaluationData) -> None:
    warnings: list[str] = []
    quality = measure(model, data, "the test", silent, warnings.append)
    hypotheses = [
        translation.text for translation in Translator(Networks([trained])).translate(data.src)
    ]
    options = EvaluateOptions(("bleu", "chrf"), tgt_lang="de", confidence=True)
    assert quality.scores == evaluate(hypotheses, data.refs, options)
    scores = list(score_pairs(Networks([trained]), data.src, data.refs[0], 4096))
    tokens = sum(len(score.token_log_probs) for score in scores)
    assert quality.ppl == pytest.approx(math.exp(-sum(s.log_prob for s in scores) / tokens))
    assert quality.sentences == len(data.src) == sum(group.sentences for group in quality.by_length)
    assert len(quality.samples) == SAMPLES
    first = quality.samples[0]
    assert first.loss == max(-s.log_prob / len(s.token_log_probs) for s in scores)
    assert first.src == data.src[first.line - 1]
    assert first.reference == data.refs[0][first.line - 1]
    assert first.translation == hypotheses[first.line - 1]
    assert sum(first.losses) / len(first.losses) == pytest.approx(first.loss)
    assert first.pieces[-1] == "</s>"
    assert warnings == []


def test_fingerprint_depends_on_the_text(model: Model, data: EvaluationData) -> None:
    few = EvaluationData(data.src[:2], [data.refs[0][:2]], "de")
    other = EvaluationData(data.src[:2], [data.refs[0][1:3]], "de")
    hashes = [measure(model, d, "", silent, print).fingerprint for d in (few, few, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_no_sentences(model: TrainedModel) -> None:
    with pytest.raises(DataError, match="contains no sentences"):
        measure(model, EvaluationData([], [[]], "de"), "empty.txt", silent, print)


def test_each_bucket_is_scored_as_a_corpus() -> None:
    # 2 sentences of 5 words, 1 of 6, 1 of 101; a blank line falls into the first bucket.
    src = ["a b c d e", "f g h i j", "a b c d e f", "", "w " * 101]
    refs = ["the cat sat on a mat", "a dog ran home today ok", "one two three four", "", "x " * 20]
    hypotheses = ["the cat sat on a rug", "a dog ran home today ok", "one two three four", "", "y"]
    groups = bleu_by_length(EvaluationData(src, [refs], ""), hypotheses, "words")
    assert [(g.shortest, g.longest, g.sentences) for g in groups] == [
        (0, 5, 3),
        (6, 10, 1),
        (101, None, 1),
    ]
    indices = [0, 1, 3]
    [expected] = evaluate([hypotheses[p] for p in indices], [[refs[p] for p in indices]])
    assert groups[0].bleu.score == expected.score
    assert groups[1].bleu.score == pytest.approx(100.0)
    assert groups[2].bleu.score == 0.0


def test_length_in_characters() -> None:
    data = EvaluationData(["今天天气 很好吗"], [["how is the weather"]], "en")
    [group] = bleu_by_length(data, ["how is the weather"], "characters")
    assert (group.shortest, group.longest) == (6, 10)  # 7 characters


def test_hardest_sentences_by_loss_per_token() -> None:
    # 6 nats over 3 tokens are 2 per token; 3 nats over 1 token are more.
    scores = [
        PairScore(-6.0, [-1.0, -2.0, -3.0], ["a", "b", "</s>"]),
        PairScore(-3.0, [-3.0], ["</s>"]),
        PairScore(-0.5, [-0.5], ["</s>"]),
    ]
    data = EvaluationData(["x", "y", "z"], [["a b", "", "c"]], "de")
    samples = hardest(data, ["h1", "h2", "h3"], scores)
    assert [(s.line, s.loss, s.translation) for s in samples] == [
        (2, 3.0, "h2"),
        (1, 2.0, "h1"),
        (3, 0.5, "h3"),
    ]
    assert samples[1].losses == [1.0, 2.0, 3.0]
