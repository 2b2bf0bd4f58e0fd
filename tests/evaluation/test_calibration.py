"""Fitting and measuring the confidence in translations."""

from __future__ import annotations

import math
import random

import pytest

from nmt.errors import DataError
from nmt.evaluation.calibration import are_acceptable, bins, calibration_error, fit, render


def drawn(slope: float, intercept: float, size: int) -> tuple[list[float], list[bool]]:
    draw = random.Random(1)
    features = [draw.gauss(-0.7, 0.4) for _ in range(size)]
    return features, [draw.random() < 1 / (1 + math.exp(-slope * x - intercept)) for x in features]


def test_the_curve_that_drew_the_labels_is_found() -> None:
    features, labels = drawn(5.0, 3.5, 5000)
    curve = fit(features, labels)
    assert curve.slope == pytest.approx(5.0, abs=0.5)
    assert curve.intercept == pytest.approx(3.5, abs=0.4)
    confidences = [1 / (1 + math.exp(-curve.slope * x - curve.intercept)) for x in features]
    assert calibration_error(bins(confidences, labels)) < 0.03
    good = [x for x, label in zip(features, labels, strict=True) if label]
    assert sum(x < curve.threshold for x in good) == len(good) // 100


@pytest.mark.parametrize("label", [True, False])
def test_the_curve_is_finite_if_all_are_alike(label: bool) -> None:
    curve = fit([-1.0 - i / 100 for i in range(60)], [label] * 60)
    assert all(map(math.isfinite, curve))
    constant = fit([-1.0] * 60, [True] * 30 + [False] * 30)
    assert 1 / (1 + math.exp(constant.slope - constant.intercept)) == pytest.approx(0.5)


def test_separable_labels_do_not_overflow() -> None:
    curve = fit([-100.0] * 30 + [0.0] * 30, [False] * 30 + [True] * 30)
    assert all(map(math.isfinite, curve))
    assert curve.slope > 0


def test_too_few_sentences() -> None:
    with pytest.raises(DataError, match="49 validation sentences are too few"):
        fit([-1.0] * 49, [True] * 49)


def test_the_calibration_error_by_hand() -> None:
    # Guo et al. (2017): three quarters are off by 0.2, one is off by 0.5.
    table = bins([0.8, 0.8, 0.8, 0.5], [True, True, True, True])
    assert [row.size for row in table] == [0, 0, 0, 0, 0, 1, 0, 0, 3, 0]
    assert calibration_error(table) == pytest.approx(0.75 * 0.2 + 0.25 * 0.5)
    assert bins([1.0, 0.0], [True, False])[-1].size == 1
    assert list(render(table))[-1] == "expected calibration error 0.275, 4 sentences"


def test_acceptable_translations() -> None:
    assert are_acceptable(["The cat sat.", "Xyz"], ["The cat sat.", "The dog."]) == [True, False]
