"""Combine the word alignments of both directions (Koehn et al. 2003)."""

from __future__ import annotations

from collections.abc import Collection

Link = tuple[int, int]

_NEIGHBOURS = [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]


def grow_diag_final_and(forward: Collection[Link], backward: Collection[Link]) -> list[Link]:
    """Return the links of both alignments that `grow-diag-final-and` keeps.

    It starts with the links that both have. Then it adds, again and again, those that one of them
    has next to a link already kept, diagonally too, if their source or target word has none yet.
    In the end it adds those of either one where neither word has a link, first of `forward`.

    Args:
        forward, backward: links of source and target word, in this order in both.

    Returns:
        The links, sorted.
    """
    union = {*forward, *backward}
    kept = {*forward} & {*backward}
    sources, targets = {i for i, _ in kept}, {j for _, j in kept}

    def keep(link: Link) -> None:
        kept.add(link)
        sources.add(link[0])
        targets.add(link[1])

    waiting = sorted(kept)
    while waiting:
        grown = []
        for i, j in waiting:
            for di, dj in _NEIGHBOURS:
                link = (i + di, j + dj)
                is_new = link in union and link not in kept
                if is_new and (link[0] not in sources or link[1] not in targets):
                    keep(link)
                    grown.append(link)
        waiting = grown
    for alignment in (forward, backward):
        for link in sorted(alignment):
            if link[0] not in sources and link[1] not in targets:
                keep(link)
    return sorted(kept)
