"""Duplicates and near-duplicates."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nmt.clean.duplicates import Exact, Near, Seen
from nmt.clean.sides import Language, Side
from nmt.config.cleaning import DuplicatesRule, NearDuplicatesRule

Sides = tuple[Side, Side]


def sides(src: str, tgt: str) -> Sides:
    return Side(src, Language.of("en")), Side(tgt, Language.of("de"))


@pytest.mark.parametrize("columns", [1, 3])
def test_repeats_are_those_of_a_set_whatever_the_batches(columns: int) -> None:
    draw = random.Random(1)
    rows = [[draw.randrange(3000) for _ in range(columns)] for _ in range(2000)]
    known: set[int] = set()
    expected = []
    for row in rows:
        expected.append(not known.isdisjoint(row))
        if not expected[-1]:
            known.update(row)
    for size in (1, 7, 500, 2000):
        seen = Seen()
        found = [
            seen.repeats(np.array(rows[start : start + size], np.uint64))
            for start in range(0, len(rows), size)
        ]
        assert np.concatenate(found).tolist() == expected


def test_memory_is_8_bytes_a_hash() -> None:
    seen = Seen()
    for start in range(0, 10_000, 100):
        seen.repeats(np.arange(start, start + 100, dtype=np.uint64)[:, None])
    assert sum(array.nbytes for array in seen._arrays) == 80_000
    assert len(seen._arrays) <= 8


@pytest.mark.parametrize(
    ("compare", "expected"),
    [
        ("pair", [False, False, False, True]),
        ("src", [False, True, False, True]),
        ("tgt", [False, False, True, True]),
        ("either", [False, True, True, True]),
    ],
)
def test_what_is_compared(compare: str, expected: list[bool]) -> None:
    pairs = [sides(*pair) for pair in [("a", "b"), ("a", "c"), ("d", "b"), ("a", "b")]]
    hashes = Exact(DuplicatesRule.model_validate({"compare": compare})).hashes(pairs)
    assert Seen().repeats(hashes).tolist() == expected


def test_near_duplicates() -> None:
    pytest.importorskip("datasketch")
    src = "The committee has discussed the new rules for the transport of goods at length."
    tgt = "Der Ausschuss hat die neuen Regeln für den Transport von Gütern lange besprochen."
    pairs = [
        (src, tgt),
        (src.lower().rstrip("."), tgt.upper()),
        (src.replace(",", ""), f"„{tgt}“"),
        (src.replace("transport", "sale").replace("rules", "tax"), tgt.replace("Regeln", "Steuer")),
        (tgt, src),
        ("Good.", "Gut."),
        ("Well.", "Gut."),
    ]
    near = Near(NearDuplicatesRule())
    hashes_NB = near.hashes([sides(*pair) for pair in pairs])
    assert hashes_NB.shape == (len(pairs), near.bands)
    repeats = Seen().repeats(hashes_NB).tolist()
    assert repeats == [False, True, True, False, False, False, False]
