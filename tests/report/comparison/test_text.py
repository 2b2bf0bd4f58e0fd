"""The text of a comparison at 80 columns."""

from __future__ import annotations

import io

from nmt.console import Console
from nmt.evaluation.compare import compare
from nmt.report.comparison.text import render

REF = ["The cat sat on the mat.", "Who ate 3 cakes?"]


def text(*systems: list[str]) -> str:
    named = [(f"system-{number}.txt", lines) for number, lines in enumerate(systems, 1)]
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    for part in render(compare(named, [REF], ["src [red]", "\x1b[31m"], samples=20, trials=20)):
        console.print(part)
    return stream.getvalue()


def test_sections() -> None:
    shown = text(["The cat sat.", "Who ate 3 cakes?"], [REF[0], "Who?"], REF)
    assert max(map(len, shown.split("\n"))) <= 80
    for expected in (
        "1  system-1.txt",
        "BLEU by length of the reference in words",
        "chrF2 by digits in the reference",
        "2 sentences. ",
        "Largest wins of system 2",
        "Largest losses of system 2",
        "Largest wins of system 3",
        "Words that system 2 gets right more often",
        "N-grams of 2 to 4 words that system 1 gets right more often",
        "source     src [red]",
        "source     \\x1b[31m",
        "reference  The cat sat on the mat.",
        "sat on the mat         0         1     +0.69",
    ):
        assert expected in shown
    assert "Largest losses of system 3" not in shown


def test_equal_systems() -> None:
    shown = text(REF, REF)
    assert "better than the baseline in 0 sentences" in " ".join(shown.split())
    assert "Largest" not in shown
    assert "gets right" not in shown
