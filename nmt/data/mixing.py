"""A mixture of the training corpora, as a stream that repeats itself exactly."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from nmt.config.corpora import AnyCorpus
from nmt.config.schema import Config
from nmt.data.corpus import Pair, files_of, read_pairs
from nmt.data.shards import shards

CHUNK_PAIRS = 1024
_OPEN_SHARDS = 16

Chunk = tuple[AnyCorpus, list[Pair]]
"""Consecutive pairs of a shard, at most `CHUNK_PAIRS`."""


def mixed_chunks(config: Config, epoch: int) -> Iterator[Chunk]:
    """Yield the training pairs of an epoch in chunks, to which several shards contribute.

    The shards come in random order. Each chunk is taken from one of those that are open, at random
    and in proportion to their sizes, so that they end at about the same time. A corpus of weight 2
    is read twice in a row; one of weight 0.5 contributes a random half of its pairs.
    """
    rng = random.Random(f"{config.train.seed} {epoch}")
    parts = [shard for corpus in config.data.train for shard in shards(corpus)]
    rng.shuffle(parts)
    sizes = [_size(shard) for shard in parts]
    usual = max(sum(sizes) / max(1, sum(size > 0 for size in sizes)), 1)
    waiting = iter(
        [
            (_visits(config, shard, rng.random()), (size or usual) * shard.weight)
            for shard, size in zip(parts, sizes, strict=True)
        ]
    )
    opened = list(itertools.islice(waiting, _OPEN_SHARDS))
    while opened:
        [place] = rng.choices(range(len(opened)), [size for _, size in opened])
        if chunk := next(opened[place][0], None):
            yield chunk
        else:
            opened[place : place + 1] = itertools.islice(waiting, 1)


def _size(shard: AnyCorpus) -> int:
    """Return the bytes of a shard's files; 0 if there are none on this machine."""
    return sum(path.stat().st_size for path in files_of(shard) if path.exists())


def _visits(config: Config, shard: AnyCorpus, seed: float) -> Iterator[Chunk]:
    """Yield the pairs of a shard as often as its weight says, in chunks."""
    rng = random.Random(seed)
    for _ in range(int(shard.weight)):
        yield from _chunks(shard, read_pairs(shard, config.data))
    part = shard.weight % 1
    if part:
        pairs = read_pairs(shard, config.data)
        yield from _chunks(shard, (pair for pair in pairs if rng.random() < part))


def _chunks(shard: AnyCorpus, pairs: Iterator[Pair]) -> Iterator[Chunk]:
    while chunk := list(itertools.islice(pairs, CHUNK_PAIRS)):
        yield shard, chunk
