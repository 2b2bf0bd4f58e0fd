"""The stream of pairs, in one process and in several."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from nmt.clean import pipeline
from nmt.clean.pipeline import clean
from nmt.clean.rules import Rules
from nmt.config.cleaning import CleanConfig
from nmt.data import chunks, phrasebook
from nmt.data.corpus import Pair
from nmt.errors import DataError

RULES = Rules(
    CleanConfig.model_validate({"language": False, "near_duplicates": False}), ("en", "de")
)


def pairs(count: int) -> Iterator[Pair]:
    """Yield good pairs, of which every seventh repeats the first and every fifth is bad."""
    for line, pair in enumerate(itertools.islice(phrasebook.pairs("train"), count), 1):
        tgt = "<br>" if line % 5 == 0 else pair.tgt
        yield Pair("Once more.", "Noch mal.", line) if line % 7 == 0 else Pair(pair.src, tgt, line)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_PAIRS_PER_CHUNK", 10)


def test_the_result_does_not_depend_on_processes_or_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = [*clean(pairs(200), RULES, 1)]
    assert [pair for pair, _ in alone] == [*pairs(200)]
    dropped = {pair.line: rule for pair, rule in alone if rule}
    assert dropped[14] == "duplicates"
    assert 7 not in dropped
    assert dropped[5] is not None
    assert [*clean(pairs(200), RULES, 3)] == alone
    monkeypatch.setattr(chunks, "_PAIRS_PER_CHUNK", 1000)
    assert [*clean(pairs(200), RULES, 1)] == alone


def test_input_is_not_read_far_ahead() -> None:
    read = 0

    def counted() -> Iterator[Pair]:
        nonlocal read
        for pair in pairs(500):
            read += 1
            yield pair

    stream = clean(counted(), RULES, 2)
    next(stream)
    assert read <= 10 * (pipeline._BATCHES_PER_PROCESS * 2 + 1)
    stream.close()


def test_a_killed_process_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_check", _die)
    with pytest.raises(DataError, match="one of 2 processes was killed"):
        list(clean(pairs(50), RULES, 2))


def _die(texts: list[tuple[str, str]]) -> None:
    import os

    os._exit(9)
