"""The summary of translations that are suspiciously short."""

from __future__ import annotations

from nmt.translate.short import ShortLines


def test_nothing_is_said_of_none() -> None:
    lines = ShortLines()
    assert lines.summary() == ""
    lines.add(1, False)
    assert lines.summary() == ""


def test_the_first_few_are_named_and_on_request_each() -> None:
    said: list[str] = []
    lines = ShortLines(said.append)
    for number in range(1, 2001):
        lines.add(number, number % 3 == 0 and number <= 21)
        if number == 3:
            assert lines.summary().endswith(
                "1 of 3 translations are suspiciously short for their source: line 3"
            )
    assert lines.summary() == (
        "warning: 7 of 2,000 translations are suspiciously short for their source: "
        "lines 3, 6, 9, 12, 15, …"
    )
    assert [line.partition(":")[0] for line in said] == [f"line {3 * n}" for n in range(1, 8)]
