"""Filters of synthetic pairs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from nmt.console import Console
from nmt.data.synthetic import SyntheticOptions, SyntheticPair, SyntheticReport
from nmt.errors import ConfigError, DataError

GOOD = [SyntheticPair(f"the cat {n} sat", f"Katze {n} saß da", -0.1 * n) for n in range(10)]


def kept(
    folder: Path, pairs: list[SyntheticPair], documents: bool = False, **settings: float
) -> tuple[list[SyntheticPair], SyntheticReport]:
    source, output = folder / "all.jsonl", folder / "kept.jsonl"
    source.write_text("".join(f"{pair.to_json()}\n" for pair in pairs), "utf-8")
    report = SyntheticOptions(**settings).filter(source, output, "news", documents=documents)
    lines = output.read_text("utf-8").split("\n")[:-1]
    return [SyntheticPair.from_json(line) for line in lines], report


def counts(report: SyntheticReport) -> dict[str, int]:
    return {name: tally.count for name, tally in report.tallies.items()}


def test_good_pairs_are_kept_in_order(tmp_path: Path) -> None:
    pairs, report = kept(tmp_path, GOOD)
    assert pairs == GOOD
    assert (report.read, report.kept, report.tallies) == (10, 10, {})


def test_blank_pairs_end_documents(tmp_path: Path) -> None:
    blank = SyntheticPair("", "", 0.0)
    pairs = [GOOD[0], blank, SyntheticPair("", "Katze", -1.0), GOOD[1]]
    found, report = kept(tmp_path, pairs, documents=True)
    assert found == [GOOD[0], blank, GOOD[1]]
    assert (report.read, report.kept, counts(report)) == (4, 2, {"empty side": 2})


def test_each_filter_counts_its_pairs(tmp_path: Path) -> None:
    bad = [
        SyntheticPair("", "", 0.0),
        SyntheticPair("  ", "Katze", -1.0),
        SyntheticPair("Die katze", "die Katze ", -0.2),
        GOOD[3],
        SyntheticPair("cat " * 20, "Katze", -0.2),
        SyntheticPair("cat", "Katze " * 20, -0.2),
    ]
    pairs, report = kept(tmp_path, [*GOOD, *bad], max_length_ratio=3.0)
    assert pairs == GOOD
    assert counts(report) == {"empty side": 2, "copy": 1, "duplicate": 1, "length ratio": 2}
    assert report.tallies["copy"].first_line == 13
    shown = io.StringIO()
    Console(file=shown, width=200).print(report.table())
    assert "1 (first: line 13)" in shown.getvalue()
    assert str(report) == "16 read, 2 empty side, 1 copy, 1 duplicate, 2 length ratio"


def test_the_ratio_is_relative_to_that_of_all_pairs(tmp_path: Path) -> None:
    """Chinese, for example, takes far fewer characters than English."""
    pairs = [SyntheticPair(src="x" * n, tgt="y" * 5 * n, score=-1.0) for n in range(2, 12)]
    assert kept(tmp_path, pairs, max_length_ratio=1.5)[0] == pairs
    even = SyntheticPair("x" * 40, "y" * 40, -1.0)
    assert kept(tmp_path, [*pairs, even], max_length_ratio=3.0)[0] == pairs


def test_a_threshold_of_the_score(tmp_path: Path) -> None:
    pairs, report = kept(tmp_path, GOOD, min_score=-0.35)
    assert pairs == GOOD[:4]
    assert counts(report) == {"low score": 6}


def test_the_worst_part_of_the_others_is_dropped(tmp_path: Path) -> None:
    empty = SyntheticPair("", "x", 0.0)
    pairs, report = kept(tmp_path, [empty, *GOOD[::-1], empty], drop_worst=0.25)
    assert pairs == GOOD[7::-1]
    assert counts(report) == {"empty side": 2, "low score": 2}
    equal = [pair._replace(score=-1.0) for pair in GOOD]
    assert kept(tmp_path, equal, drop_worst=0.3)[0] == equal[3:]


def test_no_pair_left_is_an_error_with_the_counts(tmp_path: Path) -> None:
    empty = [SyntheticPair("", "x", 0.0)] * 2
    with pytest.raises(
        DataError, match=r"news: no synthetic pair is left .*: 2 read, 2 empty side"
    ):
        kept(tmp_path, empty)
    with pytest.raises(DataError, match="10 read, 10 low score"):
        kept(tmp_path, GOOD, min_score=0.5)
    assert not (tmp_path / "kept.jsonl").exists()


@pytest.mark.parametrize("settings", [{"max_length_ratio": 1.0}, {"drop_worst": 1.0}, {"ratio": 0}])
def test_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        SyntheticOptions(**settings)
