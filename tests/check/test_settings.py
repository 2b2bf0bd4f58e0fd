"""Settings that do not suit the data are reported, and following the advice helps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from nmt.check.checks import findings
from nmt.check.finding import Finding
from nmt.check.subject import Subject

Make = Callable[..., Subject]


def only(subject: Subject, kind: str) -> Finding:
    [finding] = findings(subject)
    assert (finding.severity, finding.kind) == ("warning", kind)
    return finding


def overrides(finding: Finding) -> list[str]:
    """Return the overrides in the advice of a message."""
    words = [word.strip(",;") for word in finding.message.split(" ")]
    return [word for word in words if "=" in word]


def test_suitable_settings_have_no_findings(subject: Make) -> None:
    assert findings(subject()) == []


def test_too_many_epochs(subject: Make) -> None:
    finding = only(subject("train.max_steps=20000"), "epochs")
    assert finding.about == "train.max_steps"
    assert "20,000 steps are" in finding.message
    [steps, patience] = overrides(finding)
    assert patience == "train.patience=5"
    assert subject(steps).plan.epochs == pytest.approx(100, rel=0.01)
    assert findings(subject(steps)) == []
    # Validation stops it early.
    assert findings(subject("train.max_steps=20000", patience)) == []


def test_what_another_run_has_decided_is_not_criticized(subject: Make) -> None:
    large = subject("model={d_model: 512}")
    assert findings(large)
    train = large.config.train.model_copy(update={"init_from": "runs/other"})
    config = large.config.model_copy(update={"train": train})
    assert findings(replace(large, config=config)) == []


def test_epochs_without_validation(subject: Make) -> None:
    finding = only(subject("train.max_steps=20000", "data.valid=[]"), "epochs")
    assert "with data.valid, train.patience stops early" in finding.message


def test_warm_up_longer_than_training(subject: Make) -> None:
    finding = only(subject("train.warmup_steps=400"), "warm-up")
    assert finding.about == "train.warmup_steps"
    assert "rises to 25 % of its peak" in finding.message
    assert overrides(finding) == ["train.warmup_steps=10"]
    assert findings(subject(*overrides(finding))) == []
    assert findings(subject("train.warmup_steps=99")) == []


def test_warm_up_longer_than_a_stage(subject: Make) -> None:
    stages = "train.stages=[{steps: 60}, {learning_rate: 0.001, warmup_steps: 80}]"
    finding = only(subject(stages), "warm-up")
    assert finding.about == "train.stages.1.warmup_steps"
    assert "but the stage ends after 40: the learning rate rises to 50 %" in finding.message
    assert findings(subject(stages, *overrides(finding))) == []


@pytest.mark.parametrize(
    "model",
    ["{d_model: 512}", "{kind: rnn}", "{kind: conv, positions: {max_length: 256}}"],
    ids=["transformer", "rnn", "conv"],
)
def test_model_too_large_for_the_data(subject: Make, model: str) -> None:
    finding = only(subject(f"model={model}"), "parameters")
    assert "million parameters for" in finding.message
    if "kind" in model:
        assert "lower model.d_model and model.d_hidden" in finding.message
    else:
        assert "model.d_model=64" in overrides(finding)
        assert "model.dropout=0.3" in overrides(finding)
        assert findings(subject(f"model={model}", *overrides(finding))) == []


def test_vocabulary_smaller_than_configured(subject: Make) -> None:
    large = ["tokenizer.type=bpe", "tokenizer.vocab_size=5000"]
    checked = subject(*large)
    finding = only(checked, "unreached-vocabulary")
    size = checked.tokenizers.src.vocab_size
    assert f"only {size:,} pieces instead of 5,000" in finding.message
    assert findings(subject(large[0], *overrides(finding))) == []


def test_one_of_two_separate_vocabularies_may_be_small(subject: Make) -> None:
    separate = ["tokenizer.joint=false", "model.tie_embeddings=none", "tokenizer.type=bpe"]
    checked = subject(*separate, "tokenizer.vocab_size=600")
    assert checked.tokenizers.src.vocab_size >= 570
    assert findings(checked) == []
    [finding] = findings(subject(*separate, "tokenizer.vocab_size=5000"))
    assert finding.kind == "unreached-vocabulary"


def test_vocabulary_with_many_unused_pieces(subject: Make, write: Callable[..., None]) -> None:
    # Every word becomes a single piece, so the pieces it was merged from are unused.
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghijkl", k=8)) for _ in range(300)]
    lines = [" ".join(draw.choices(words, k=8)) for _ in range(900)]
    write("train", list(zip(lines, lines, strict=True)))
    settings = ["tokenizer.type=bpe", "data.test=[]", "data.valid=[]"]
    finding = only(subject(*settings, "tokenizer.vocab_size=1500"), "vocabulary")
    assert finding.about == "tokenizer.vocab_size"
    assert "data.train uses only" in finding.message
    assert findings(subject(*settings, *overrides(finding))) == []


def test_the_same_language_on_both_sides(subject: Make) -> None:
    finding = only(subject("data.tgt_lang=EN"), "same-language")
    assert finding.about == "data.tgt_lang"
    assert "correct for paraphrases" in finding.message


def test_several_target_languages_without_tags(subject: Make) -> None:
    other = "data.train.1={src: train.en, tgt: train.xx, tgt_lang: yy}"
    finding = only(subject(other), "untold-languages")
    assert "the corpora translate en into xx, yy: the model" in finding.message
    reverse = "data.train.1={src: train.en, tgt: train.xx, reversed: true}"
    assert findings(subject(reverse)) == []  # the text tells
    # Nor is a corpus in the other direction one whose sides are swapped.
    assert findings(subject(reverse, "data.tags=target")) == []
