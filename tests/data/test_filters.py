"""Filters: which pairs are dropped, and how they are counted and reported."""

from __future__ import annotations

import os

import pytest

from nmt.data.corpus import CONTROL_CHARACTERS, INVALID_UTF8
from nmt.data.filters import (
    DUPLICATE,
    EMPTY_SIDE,
    LENGTH_RATIO,
    TOO_LONG,
    CorpusReport,
    FilterReport,
)
from nmt.data.prepared import Prepared
from nmt.errors import DataError

from .conftest import SRC, TGT, MakeData, prepared


def counts(rows: Prepared, corpus: int = 0) -> dict[str, tuple[int, int | None]]:
    tallies = rows.report.corpora[corpus].dropped
    return {name: (tally.count, tally.first_line) for name, tally in tallies.items()}


def test_dropped_pairs_are_counted_by_reason(make_data: MakeData) -> None:
    src = ["red house", "", "red", "red house", "\u200b", "red " * 30, "blue", "red\x01x", "green"]
    tgt = ["rot", "rot", " ", "rot", "rot", "rot", "blau " * 5, "rot", "grün"]
    data = make_data((src, tgt), drop_duplicates=True, max_length=29, max_length_ratio=4.0)
    rows = prepared(data)
    assert counts(rows) == {
        EMPTY_SIDE: (3, 2),
        DUPLICATE: (1, 4),
        TOO_LONG: (1, 6),
        LENGTH_RATIO: (1, 7),
    }
    report = rows.report.corpora[0]
    assert (report.read, report.kept) == (9, 3)
    assert report.tallies[CONTROL_CHARACTERS].count == 1
    assert [rows.origin(row).rpartition(":")[2] for row in range(3)] == ["1", "8", "9"]
    assert report.src_tokens == rows.src_lengths.sum() - 3
    assert report.tgt_tokens == rows.tgt_lengths.sum() - 3


def test_max_length_includes_eos(make_data: MakeData) -> None:
    data = make_data((SRC, TGT))
    longest = int(max(prepared(data).src_lengths.max(), prepared(data).tgt_lengths.max()))
    src, tgt = [*SRC, "red"], [*TGT, "rot"]
    assert counts(prepared(make_data((src, tgt), max_length=longest))) == {}
    assert TOO_LONG in counts(prepared(make_data((src, tgt), max_length=longest - 1)))


def test_duplicates_are_found_across_corpora_and_compared_by_side(make_data: MakeData) -> None:
    data = make_data(
        (["red", "red house"], ["rot", "rot"]), (["red"], ["rot"]), drop_duplicates=True
    )
    rows = prepared(data)
    assert (counts(rows), counts(rows, 1)) == ({}, {DUPLICATE: (1, 1)})
    data = make_data((["red b", "red"], ["lau", "blau"]), drop_duplicates=True)
    assert len(prepared(data)) == 2


def test_invalid_utf8_is_skipped_and_counted(make_data: MakeData) -> None:
    data = make_data((b"red\n\xff\nblue\n", b"rot\nrot\nblau\n"), invalid_utf8="skip")
    rows = prepared(data)
    assert counts(rows) == {INVALID_UTF8: (1, 2)}
    assert (rows.report.corpora[0].read, len(rows)) == (3, 2)


def test_unknown_pieces_are_counted(make_data: MakeData) -> None:
    report = prepared(make_data((["red 猫", "猫"], ["rot", "rot"]))).report.corpora[0]
    assert (report.src_unknown, report.tgt_unknown) == (2, 0)


def test_without_filters_every_pair_is_kept(make_data: MakeData) -> None:
    src, tgt = ["", "red " * 300, "red", "red"], ["rot", "rot", "", ""]
    rows = prepared(make_data((src, tgt), drop_duplicates=True), filtered=False)
    assert rows.texts(range(4)) == (src, tgt)
    assert rows.src_lengths[0] == 1
    with pytest.raises(DataError, match=r"has 4 lines, but .* has 3"):
        prepared(make_data((src, tgt[:3])), filtered=False)


def test_no_pairs_left_is_an_error(make_data: MakeData) -> None:
    with pytest.raises(DataError, match=r"no pairs are left[^:]*\n  0.en \+ 0.de: 2 read, 2 empty"):
        prepared(make_data((["", "red"], ["rot", ""])))


def test_the_report_as_json_and_as_a_table(make_data: MakeData) -> None:
    from nmt.console import Console

    report = prepared(make_data((["red", "", "x"], ["rot", "rot", "y"]))).report
    [counted] = report.corpora
    assert CorpusReport.from_json(counted.to_json()) == counted
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(report.table())
    text = console.export_text()
    assert "0.en + 0.de" in text
    assert "1 (first: line 2)" in text


def test_the_table_of_many_corpora_is_short() -> None:
    from nmt.console import Console

    reports = [CorpusReport(f"part-{number}", "", read=10, kept=9) for number in range(100)]
    for report in reports:
        report.tallies["duplicate"].add(3)
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(FilterReport(reports).table())
    lines = console.export_text().splitlines()
    rows = [line for line in lines if "part-" in line or "others" in line]
    assert len(rows) == 20
    assert "1 (first: line 3)" in rows[18]
    assert "81 others" in rows[19]
    assert "810" in rows[19]
    assert "first" not in rows[19]
