"""Chunks of pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nmt.data.corpus import Pair

_PAIRS_PER_CHUNK = 4096
_CHARACTERS_PER_CHUNK = 1 << 21


def chunked(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Yield lists of pairs of bounded size, in pairs and in characters."""
    chunk: list[Pair] = []
    characters = 0
    for pair in pairs:
        chunk.append(pair)
        characters += len(pair.src) + len(pair.tgt)
        if len(chunk) == _PAIRS_PER_CHUNK or characters > _CHARACTERS_PER_CHUNK:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
