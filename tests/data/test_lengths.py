"""The length model, and which translations it considers too short."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nmt.data.lengths import LengthModel


def test_the_estimate_follows_gale_and_church() -> None:
    src, tgt = np.array([4, 9, 16]), np.array([10, 15, 33])
    model = LengthModel.of(src, tgt)
    assert model.ratio == 2.0
    deviates = [(10 - 8) / 2, (15 - 18) / 3, (33 - 32) / 4]
    assert model.deviation == pytest.approx(math.sqrt(sum(d * d for d in deviates) / 3))


def test_one_of_three_sentences_is_too_short_but_slightly_short_is_not() -> None:
    model = LengthModel(ratio=1.05, deviation=0.52)  # values of the demo corpus
    assert model.is_short(24, 8)
    assert not model.is_short(24, 18)
    assert not model.is_short(3, 2)  # one word translated by one word
    assert not model.is_short(1, 1)
    assert not model.is_short(24, 80)


def test_a_run_without_a_deviation_uses_the_ratio_of_all_corpora() -> None:
    corpora = [{"src_tokens": 60, "tgt_tokens": 90}, {"src_tokens": 40, "tgt_tokens": 110}]
    model = LengthModel.from_description({"train": corpora, "valid": []})
    assert model is not None
    assert model.ratio == 2.0
    assert model.is_short(30, 20)
    assert not model.is_short(30, 50)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"train": []},
        {"train": 3},
        {"train": [{"src_tokens": 0, "tgt_tokens": 0}]},
        {"lengths": {"ratio": 1.0}},
        {"lengths": {"ratio": math.nan, "deviation": 1.0}},
        {"lengths": {"ratio": "one", "deviation": 1.0}},
        {"lengths": None},
    ],
)
def test_unusable_figures_give_no_model(data: dict[str, Any]) -> None:
    assert LengthModel.from_description(data) is None
