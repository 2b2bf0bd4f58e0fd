"""Alignments."""

from __future__ import annotations

from nmt.serve.service import composed


def test_links_over_a_third_language() -> None:
    first, second = [(0, 0), (1, 0), (1, 2), (2, 1)], [(0, 3), (2, 3), (2, 4), (5, 5)]
    assert composed(first, second) == [(0, 3), (1, 3), (1, 4)]


def test_a_long_line_does_not_take_quadratic_time() -> None:
    diagonal = [(number, number) for number in range(100_000)]
    assert composed(diagonal, diagonal) == diagonal
