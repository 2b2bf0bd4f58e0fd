"""The summary of suspiciously short translations."""

from __future__ import annotations

from nmt.translate.flaws import ShortLines


def test_no_summary_without_short_translations() -> None:
    lines = ShortLines()
    assert lines.summary() == ""
    lines.add(1, False)
    assert lines.summary() == ""


def test_summary_lists_the_first_lines_and_warnings_name_each() -> None:
    warnings: list[str] = []
    lines = ShortLines(warnings.append)
    for number in range(1, 2001):
        lines.add(number, number % 3 == 0 and number <= 21)
        if number == 3:
            assert lines.summary().endswith(
                "1 of 3 translations is suspiciously short for its source: line 3"
            )
    assert lines.summary() == (
        "warning: 7 of 2,000 translations are suspiciously short for their source: "
        "lines 3, 6, 9, 12, 15, …"
    )
    assert [line.partition(":")[0] for line in warnings] == [f"line {3 * n}" for n in range(1, 8)]
