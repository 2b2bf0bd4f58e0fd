"""The model of lengths, and what it takes for too short."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nmt.data.lengths import LengthModel


def test_it_is_estimated_as_gale_and_church_do() -> None:
    src, tgt = np.array([4, 9, 16]), np.array([10, 15, 33])
    model = LengthModel.of(src, tgt)
    assert model.ratio == 2.0
    deviates = [(10 - 8) / 2, (15 - 18) / 3, (33 - 32) / 4]
    assert model.deviation == pytest.approx(math.sqrt(sum(d * d for d in deviates) / 3))


def test_one_of_three_sentences_is_short_but_a_little_brevity_is_not() -> None:
    model = LengthModel(ratio=1.05, deviation=0.52)  # as the demo has it
    assert model.is_short(24, 8)
    assert not model.is_short(24, 18)
    assert not model.is_short(3, 2)  # a word for a word
    assert not model.is_short(1, 1)
    assert not model.is_short(24, 80)


def test_a_run_without_the_deviation_has_the_total_ratio() -> None:
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
def test_figures_that_cannot_be_used(data: dict[str, Any]) -> None:
    assert LengthModel.from_description(data) is None
