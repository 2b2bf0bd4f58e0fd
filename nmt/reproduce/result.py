"""The result of a recipe: its score, next to what is expected and what others report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nmt.config.recipe import ExpectedConfig, PublishedConfig, RecipeConfig
from nmt.evaluation.metrics import Score

_BASES = {
    "bootstrap": "95 % bootstrap interval of the test set, not of seeds",
    "tolerance": "a tolerance, not measured",
}


@dataclass(frozen=True)
class Result:
    """The score that a run of a recipe has reached.

    Attributes:
        recipe: the file of the recipe.
        run: the run directory.
        contract: what the recipe says.
        score: the score of the run.
        broken: settings of the recipe, and of this run, where these differ and matter.
    """

    recipe: str
    run: str
    contract: RecipeConfig
    score: Score
    broken: Mapping[str, tuple[Any, Any]]

    @property
    def verdict(self) -> str:
        """PASS, FAIL, VOID if settings differ, or UNMEASURED if the recipe expects no score."""
        expected = self.contract.expected
        if self.broken:
            return "VOID"
        if expected is None:
            return "UNMEASURED"
        # One decimal, as it is shown.
        is_inside = expected.low <= round(self.score.score, 1) <= expected.high
        return "PASS" if is_inside and self._is_comparable else "FAIL"

    @property
    def reason(self) -> str:
        """Why the run does not pass; empty if it does."""
        match self.verdict:
            case "VOID":
                return f"the recipe has other settings: {describe(self.broken)}"
            case "UNMEASURED":
                return "the recipe has not been measured, so no score is expected"
            case "FAIL" if not self._is_comparable:
                return f"its signature is not that of the recipe, {self.contract.test.signature}"
            case "FAIL":
                assert self.contract.expected is not None
                return f"{self.score.score:.1f} is not in {_interval(self.contract.expected)}"
        return ""

    @property
    def _is_comparable(self) -> bool:
        """Whether the score was computed as the recipe says, by any version of the program."""
        settings, _, _ = self.score.signature.partition("|version:")
        return settings == self.contract.test.signature

    def lines(self) -> Iterator[str]:
        """Yield the result for people; the last line is the verdict."""
        yield f"{self.contract.test.name}: {self.score}"
        if expected := self.contract.expected:
            yield f"expected: {_expectation(expected)}"
        for one in self.contract.published:
            yield f"published: {_publication(one)}"
        yield ": ".join(filter(None, (self.verdict, self.reason)))

    def to_json(self) -> str:
        """Return the result for programs."""
        contract = self.contract.model_dump(mode="json", exclude_none=True)
        score = {key: value for key, value in asdict(self.score).items() if value is not None}
        values = {
            **{"verdict": self.verdict, "reason": self.reason},
            **{"recipe": self.recipe, "run": self.run, "score": score},
            **{key: contract.get(key) for key in ("test", "expected", "published")},
            "changed": self.broken,
        }
        return json.dumps(values, ensure_ascii=False, indent=2)


def describe(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """Return changed settings in words."""
    return ", ".join(
        f"{key} {json.dumps(was)} → {json.dumps(now)}" for key, (was, now) in changed.items()
    )


def _interval(expected: ExpectedConfig) -> str:
    return f"{expected.low:.1f} to {expected.high:.1f}"


def _expectation(expected: ExpectedConfig) -> str:
    seeds = f"{expected.seeds} seed{'s' if expected.seeds > 1 else ''}"
    basis = _BASES.get(expected.basis)
    return f"{expected.score:.1f}, {_interval(expected)} ({seeds}{f'; {basis}' if basis else ''})"


def _publication(one: PublishedConfig) -> str:
    return f"{one.score:g} {one.metric} ({one.protocol}), {one.source}"
