"""Which runs differ in their seed alone."""

from __future__ import annotations

from typing import Any

import pytest

from nmt.report.seeds import seed_groups


def run(seed: int | None, width: int = 64) -> dict[str, Any]:
    config = {"model.d_model": width, "data.train": [{"src": "a", "tgt": "b"}], "train.seed": seed}
    return {key: value for key, value in config.items() if value is not None}


@pytest.mark.parametrize(
    ("configs", "groups"),
    [
        ([], []),
        ([run(1)], [[0]]),
        ([run(1), run(2), run(3)], [[0, 1, 2]]),
        ([run(1), run(1, 128), run(2), run(2, 128)], [[0, 2], [1, 3]]),
        ([run(1), run(1)], [[0], [1]]),
        ([run(1), run(1), run(2)], [[0, 2], [1]]),
        ([run(1), run(None)], [[0, 1]]),
    ],
)
def test_groups(configs: list[dict[str, Any]], groups: list[list[int]]) -> None:
    assert seed_groups(configs) == groups


def test_keys_may_be_in_any_order() -> None:
    backwards = dict(reversed(run(2).items()))
    assert seed_groups([run(1), backwards]) == [[0, 1]]
