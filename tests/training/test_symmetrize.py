"""Symmetrisation of word alignments."""

from __future__ import annotations

import random

from nmt.training.symmetrize import grow_diag_final_and


def test_agreement_is_kept_and_grows_along_diagonals() -> None:
    forward = [(0, 0), (1, 1), (2, 2), (4, 3)]
    backward = [(0, 0), (1, 2), (2, 2), (0, 1)]
    # (1, 1) is next to (0, 0), and (1, 2) next to (2, 2); with (1, 1) kept, both words of (1, 2)
    # have links, and so have those of (0, 1). (4, 3) is next to nothing, but its words are free.
    assert grow_diag_final_and(forward, backward) == [(0, 0), (0, 1), (1, 1), (2, 2), (4, 3)]


def test_a_link_far_away_needs_both_words_free() -> None:
    assert grow_diag_final_and([(0, 0), (0, 5)], [(0, 0)]) == [(0, 0)]
    assert grow_diag_final_and([(0, 0), (5, 5)], [(0, 0), (5, 7)]) == [(0, 0), (5, 5)]


def test_no_links() -> None:
    assert grow_diag_final_and([], []) == []
    assert grow_diag_final_and([], [(1, 0)]) == [(1, 0)]


def test_the_result_lies_between_intersection_and_union() -> None:
    draw = random.Random(0)
    for _ in range(200):
        one, other = (
            {(draw.randrange(5), draw.randrange(5)) for _ in range(draw.randrange(8))}
            for _ in range(2)
        )
        found = set(grow_diag_final_and(one, other))
        assert one & other <= found <= one | other
        # Whatever has a link somewhere, one of its words has one in the end.
        for i, j in one | other:
            assert any(i == source or j == target for source, target in found)
