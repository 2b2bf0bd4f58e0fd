"""The rules as functions of the figures alone."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from nmt.recipe.budget import Shape, Time, Tokens, Training, suitable, with_steps, within
from nmt.recipe.rules import (
    Choice,
    dropout,
    duplicate_choices,
    length_choices,
    model_choices,
    tokenizer_choices,
    train_choices,
    validation_choices,
    vocabulary_size,
)
from nmt.recipe.survey import Side, Text

PAIRS = [20, 300, 5000, 10_000, 29_000, 50_000, 151_000, 500_000, 2_000_000, 10**7, 10**9]
SMALL = Shape(256, 4, 512, 3)


def text(pairs: int, **changes: Any) -> Text:
    side = Side(10 * pairs, 10**6, 100, 10, "Latin", [10, 20, 30], [50, 100, 150])
    return replace(Text(pairs, 0, 0, side, side, 1.0), **changes)


def tokens(pairs: int, **changes: Any) -> Tokens:
    figures = Tokens(pairs, 6000, per_pair=32.0, longer=20.0, longest=35, ratio=1.7)
    return replace(figures, **changes)


def time(hours: float, step_seconds: float = 0.4) -> Time:
    """Return a time on a machine on which a step of the Multi30k recipe takes some seconds."""
    return Time(3600 * hours, step_seconds, Training(SMALL, 2048, 1, 0))


def values(choices: list[Choice]) -> dict[str, Any]:
    return {key: value for choice in choices for key, value in choice.values.items()}


# ---------------------------------------------------------------- vocabulary


@pytest.mark.parametrize(
    ("pairs", "size"), [(5000, 2000), (29_000, 6000), (2_000_000, 32_000), (10**9, 32_000)]
)
def test_the_vocabulary_has_known_sizes(pairs: int, size: int) -> None:
    assert vocabulary_size(text(pairs)) == size


def test_more_pairs_do_not_mean_a_smaller_vocabulary() -> None:
    sizes = [vocabulary_size(text(pairs)) for pairs in PAIRS]
    assert sizes == sorted(sizes)


def test_the_vocabulary_is_no_larger_than_the_text_supports() -> None:
    poor = text(29_000).src._replace(distinct_words=900)
    assert vocabulary_size(text(29_000, src=poor, tgt=poor)) == 900
    assert vocabulary_size(text(29_000, src=poor, shared_script=0.0)) == 450


def test_the_vocabulary_has_room_for_all_characters() -> None:
    poor = text(29_000).src._replace(distinct_words=50)
    assert vocabulary_size(text(29_000, src=poor, tgt=poor)) == 4 + 240


def test_many_characters_are_encoded_as_bytes() -> None:
    chinese = text(29_000).src._replace(characters=4000, rare_characters=1000, script="Chinese")
    section = values(tokenizer_choices(text(29_000, tgt=chinese, shared_script=0.01)))
    assert section["byte_fallback"] is True
    assert section["character_coverage"] < 1
    assert section["vocab_size"] == 4 + 256 + 3600
    assert "byte_fallback" not in values(tokenizer_choices(text(29_000)))


def test_different_scripts_have_separate_vocabularies() -> None:
    shared, separate = text(29_000), text(29_000, shared_script=0.02)
    training = suitable(tokens(29_000))
    assert "joint" not in values(tokenizer_choices(shared))
    assert values(tokenizer_choices(separate))["joint"] is False
    assert "tie_embeddings" not in values(model_choices(shared, training, training))
    assert values(model_choices(separate, training, training))["tie_embeddings"] == "decoder"


# ---------------------------------------------------------------- model and time


def test_more_pairs_do_not_mean_a_smaller_model_or_batch() -> None:
    found = [suitable(tokens(pairs)) for pairs in PAIRS]
    for less, more in itertools.pairwise(found):
        assert more.shape >= less.shape
        assert more.batch_tokens >= less.batch_tokens
        assert more.epochs <= less.epochs * 1.2  # steps are rounded down by at most 10 %


def test_more_pairs_do_not_mean_more_dropout() -> None:
    rates = [dropout(pairs, epochs=30) for pairs in PAIRS]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[-1]) == (0.3, 0.1)
    assert dropout(29_000, epochs=2) == 0.1


def test_a_larger_budget_does_not_mean_a_smaller_model_or_fewer_steps() -> None:
    for pairs in PAIRS:
        found = [within(tokens(pairs), time(hours)) for hours in (0.01, 0.1, 0.5, 1, 2, 8, 50, 999)]
        for less, more in itertools.pairwise(found):
            assert more.shape >= less.shape
            if (more.shape, more.batch_tokens) == (less.shape, less.batch_tokens):
                assert more.steps >= less.steps
                assert more.r_drop >= less.r_drop


def test_unlimited_time_gives_what_suits_the_text() -> None:
    for pairs in PAIRS:
        best = suitable(tokens(pairs))
        assert within(tokens(pairs), time(1e9))._replace(r_drop=False) == best


def test_training_fits_into_the_time() -> None:
    for pairs, hours in itertools.product(PAIRS, (0.1, 1.5, 10)):
        limit = time(hours)
        training = within(tokens(pairs), limit)
        seconds = limit.seconds_per_step(training, tokens(pairs)) * training.steps
        assert seconds * (2 if training.r_drop else 1) <= 0.9 * limit.seconds or training.steps == 1


def test_little_time_means_a_smaller_model_and_the_reason_says_so() -> None:
    figures = tokens(500_000, per_pair=66.0, longer=36.0, vocab_size=18_000)
    training = within(figures, time(1.5))
    assert training.shape < suitable(figures).shape
    [reason] = [
        choice.reason
        for choice in model_choices(text(500_000), training, suitable(figures))
        if "d_model" in choice.values
    ]
    assert "d_model 512" in reason
    assert "in the time given" in reason


def test_r_drop_needs_twice_the_time_that_helps() -> None:
    figures = tokens(5000)
    once = suitable(figures).steps * time(1).seconds_per_step(suitable(figures), figures) / 3600
    assert not within(figures, time(2.1 * once)).r_drop  # a tenth is for validation
    assert within(figures, time(2.3 * once)).r_drop
    assert not within(tokens(10**6), time(1e9)).r_drop


def test_a_step_is_at_most_one_epoch() -> None:
    training = suitable(tokens(3))
    assert training.epochs <= training.steps


def test_a_number_of_steps_is_kept() -> None:
    assert with_steps(tokens(29_000), 1234).steps == 1234


# ---------------------------------------------------------------- the other settings


def test_the_recipe_of_multi30k_is_found_again() -> None:
    training = with_steps(tokens(29_000), 10_000)
    found = values(
        [
            *tokenizer_choices(text(29_000)),
            *model_choices(text(29_000), training, training),
            *train_choices(training, ""),
        ]
    )
    known = {"vocab_size": 6000, "sampling_alpha": 0.05, "d_model": 256, "num_heads": 4}
    known |= {"d_ff": 512, "encoder_layers": 3, "decoder_layers": 3, "norm": "pre", "dropout": 0.3}
    known |= {"batch_tokens": 2048, "schedule": "cosine", "learning_rate": 0.002, "clip_norm": 1.0}
    assert found.items() >= known.items()


@pytest.mark.parametrize("steps", [1, 7, 100, 999, 1000, 12_345, 10**6])
def test_there_are_10_to_20_validations(steps: int) -> None:
    found = values(validation_choices(with_steps(tokens(29_000), steps), 29_000, 1000))
    assert found["validate_every"] % found["save_every"] == 0
    assert steps < 100 or 10 <= steps // found["validate_every"] <= 20
    assert found["metric"] == "bleu"


def test_without_validation_nothing_refers_to_it() -> None:
    found = values(validation_choices(with_steps(tokens(29_000), 1000), 29_000, 0))
    assert [*found] == ["save_every"]


def test_few_validation_pairs_do_not_decide_by_bleu() -> None:
    assert "metric" not in values(validation_choices(suitable(tokens(99)), 99, 50))


def test_the_warm_up_is_a_small_part() -> None:
    for steps in (1, 10, 1000, 10_000, 10**6):
        found = values(train_choices(with_steps(tokens(29_000), steps), ""))
        assert 1 <= found["warmup_steps"] <= max(1, min(4000, steps / 5))


def test_limits_of_length_follow_the_text() -> None:
    assert values(length_choices(tokens(9))) == {"max_length": 64, "max_length_ratio": 3.0}
    long = values(length_choices(tokens(9, longest=110, ratio=3.0)))
    assert long == {"max_length": 176, "max_length_ratio": 4.5}


def test_many_duplicates_are_dropped() -> None:
    assert values(duplicate_choices(text(1000, duplicates=11))) == {"drop_duplicates": True}
    assert duplicate_choices(text(1000, duplicates=10)) == []
