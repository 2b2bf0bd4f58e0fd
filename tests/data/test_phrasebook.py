"""The demo corpus that nmt ships."""

from __future__ import annotations

import pytest

from nmt.data.phrasebook import FILE, SPLITS, Pair, pairs


def test_the_splits_have_their_sizes_and_share_no_line() -> None:
    drawn = {split: pairs(split) for split in SPLITS}
    assert {split: len(rows) for split, rows in drawn.items()} == SPLITS
    everything = [pair for rows in drawn.values() for pair in rows]
    assert len({pair.src for pair in everything}) == len(everything)
    assert len({pair.tgt for pair in everything}) == len(everything)
    assert FILE.stat().st_size < 1_000_000


def test_pairs_of_the_test_split_have_alignments() -> None:
    assert pairs("test")[0] == Pair(
        "Their aunt always eats the pear.",
        "Ihre Tante isst die Birne immer.",
        ((0, 0), (1, 1), (2, 5), (3, 2), (4, 3), (5, 4)),
    )
    assert all(pair.alignment for pair in pairs("test"))
    assert not any(pair.alignment for pair in pairs("train"))


def test_an_unknown_split_is_an_error_that_lists_the_splits() -> None:
    with pytest.raises(ValueError, match=r"'dev'.*train, valid, test"):
        pairs("dev")


def test_callers_cannot_change_the_corpus() -> None:
    pairs("valid").clear()
    assert len(pairs("valid")) == SPLITS["valid"]
