"""Fitting the confidence in translations, and measuring how far it can be trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nmt.errors import DataError
from nmt.evaluation.metrics import EvaluateOptions, sacrebleu_metric

ACCEPTABLE = 50.0
"""Sentence-level chrF from which on a translation counts as acceptable."""
_NUM_BINS = 10
_FEWEST = 50
_STEPS = 100
_BELOW_THRESHOLD = 0.01


class Curve(NamedTuple):
    """A fitted curve; see `nmt.runs.calibration.Calibration`."""

    slope: float
    intercept: float
    threshold: float


class Bin(NamedTuple):
    """Translations of similar confidence."""

    size: int
    confidence: float
    """Their mean confidence; 0 without any."""
    acceptable: float
    """How many of them are acceptable, from 0 to 1."""


def are_acceptable(translations: Sequence[str], references: Sequence[str]) -> list[bool]:
    """Return whether each translation has a sentence-level chrF of at least `ACCEPTABLE`."""
    metric = sacrebleu_metric("chrf", EvaluateOptions())
    return [
        metric.sentence_score(translation, [reference]).score >= ACCEPTABLE
        for translation, reference in zip(translations, references, strict=True)
    ]


def fit(features: Sequence[float], acceptable: Sequence[bool]) -> Curve:
    """Fit a logistic curve by maximum likelihood.

    Newton's method, with the targets of Platt (1999), which differ from 0 and 1 a little, so that
    the curve stays finite if all translations are acceptable.

    Args:
        features: the log-probability per token of each translation.
        acceptable: whether it is acceptable.

    Raises:
        DataError: if there are too few translations.
    """
    if len(features) < _FEWEST:
        raise DataError(
            f"{len(features)} validation sentences are too few to calibrate the confidence: at "
            f"least {_FEWEST} are needed"
        )
    good = sum(acceptable)
    targets = [
        (good + 1) / (good + 2) if is_good else 1 / (len(features) - good + 2)
        for is_good in acceptable
    ]
    # Centred, the two parameters hardly depend on each other.
    mean = sum(features) / len(features)
    slope, offset = _newton([x - mean for x in features], targets)
    ranked = sorted(x for x, is_good in zip(features, acceptable, strict=True) if is_good)
    threshold = ranked[int(_BELOW_THRESHOLD * len(ranked))] if ranked else max(features)
    return Curve(slope, offset - slope * mean, threshold)


def _newton(features: Sequence[float], targets: Sequence[float]) -> tuple[float, float]:
    """Return slope and intercept of the likeliest logistic curve; damped if a step overshoots."""
    slope, intercept = 0.0, math.log(sum(targets) / (len(targets) - sum(targets)))
    loss = _loss(features, targets, slope, intercept)
    for _ in range(_STEPS):
        gradient_s = gradient_i = 0.0
        curvature_ss = curvature_ii = 1e-9
        curvature_si = 0.0
        for x, target in zip(features, targets, strict=True):
            p = _logistic(slope * x + intercept)
            gradient_s += (p - target) * x
            gradient_i += p - target
            curvature_ss += p * (1 - p) * x * x
            curvature_si += p * (1 - p) * x
            curvature_ii += p * (1 - p)
        determinant = curvature_ss * curvature_ii - curvature_si**2
        step_s = (curvature_ii * gradient_s - curvature_si * gradient_i) / determinant
        step_i = (curvature_ss * gradient_i - curvature_si * gradient_s) / determinant
        size = 1.0
        while size > 1e-6:
            tried = slope - size * step_s, intercept - size * step_i
            if (lower := _loss(features, targets, *tried)) < loss:
                break
            size /= 2
        else:
            break
        (slope, intercept), loss = tried, lower
    return slope, intercept


def _loss(
    features: Sequence[float], targets: Sequence[float], slope: float, intercept: float
) -> float:
    """Return the cross-entropy of a curve."""
    loss = 0.0
    for x, target in zip(features, targets, strict=True):
        value = slope * x + intercept
        # log(1 + exp(value)) - target * value, without overflow
        loss += max(value, 0.0) + math.log1p(math.exp(-abs(value))) - target * value
    return loss


def _logistic(value: float) -> float:
    return 0.5 * (1 + math.tanh(value / 2))


def bins(confidences: Sequence[float], acceptable: Sequence[bool]) -> list[Bin]:
    """Divide translations by confidence into ten bins of the same width."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(_NUM_BINS)]
    for confidence, is_good in zip(confidences, acceptable, strict=True):
        members[min(int(confidence * _NUM_BINS), _NUM_BINS - 1)].append((confidence, is_good))
    return [
        Bin(
            len(rows),
            sum(confidence for confidence, _ in rows) / max(1, len(rows)),
            sum(is_good for _, is_good in rows) / max(1, len(rows)),
        )
        for rows in members
    ]


def calibration_error(table: Sequence[Bin]) -> float:
    """Return the expected calibration error of Guo et al. (2017, equation 3).

    It is the difference between confidence and acceptable fraction in a bin, averaged over the
    translations.
    """
    total = sum(row.size for row in table)
    return sum(row.size * abs(row.confidence - row.acceptable) for row in table) / max(1, total)


def render(table: Sequence[Bin], as_json: bool = False) -> Iterator[str]:
    """Yield the table, and the calibration error, as lines of text or as a line of JSON."""
    error, total = calibration_error(table), sum(row.size for row in table)
    if as_json:
        rows = [row._asdict() for row in table]
        yield json.dumps({"expected_calibration_error": error, "bins": rows})
        return
    yield "confidence  sentences  mean confidence  acceptable"
    for number, row in enumerate(table):
        limits = f"{number / _NUM_BINS:.1f} - {(number + 1) / _NUM_BINS:.1f}"
        shares = f"{row.confidence:15.3f}  {row.acceptable:10.3f}" if row.size else ""
        yield f"{limits:>10}  {row.size:9,}  {shares}".rstrip()
    yield f"expected calibration error {error:.3f}, {total:,} sentences"
