"""The verdict about a score."""

from __future__ import annotations

import pytest

from nmt.config.recipe import RecipeConfig
from nmt.evaluation.metrics import Score
from nmt.reproduce.result import Result

RECIPE = RecipeConfig.model_validate(
    {
        "measured": True,
        "data": {"source": "none"},
        "test": {"name": "a test set", "metric": "bleu", "signature": "nrefs:1"},
        "expected": {"score": 40, "low": 39, "high": 41, "seeds": 1, "basis": "tolerance"},
    }
)


@pytest.mark.parametrize(
    ("score", "verdict"),
    [(38.94, "FAIL"), (38.96, "PASS"), (40, "PASS"), (41.04, "PASS"), (41.06, "FAIL")],
)
def test_a_score_has_to_be_in_the_interval(score: float, verdict: str) -> None:
    found = Score("bleu", "BLEU", score, "nrefs:1|version:2.6.0")
    assert Result("a.yaml", "runs/a", RECIPE, found, {}).verdict == verdict
