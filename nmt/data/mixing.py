"""A mixture of the training corpora, as a stream that repeats itself exactly."""

from __future__ import annotations

import collections
import itertools
import random
from collections.abc import Iterator

from nmt.config.corpora import AnyCorpus
from nmt.config.schema import Config
from nmt.data.corpus import Pair, read_pairs
from nmt.data.shards import shards

CHUNK_PAIRS = 1024
_OPEN_SHARDS = 16

Chunk = tuple[AnyCorpus, list[Pair]]
"""Consecutive pairs of a shard, at most `CHUNK_PAIRS`."""


def mixed_chunks(config: Config, epoch: int) -> Iterator[Chunk]:
    """Yield the training pairs of an epoch in chunks, which a few shards at a time contribute.

    The shards come in random order. A corpus of weight 2 comes twice; of one with weight 0.5, a
    random half of the pairs.
    """
    rng = random.Random(f"{config.train.seed} {epoch}")
    visits = [
        (shard, part)
        for corpus in config.data.train
        for shard in shards(corpus)
        for part in _parts(shard.weight)
    ]
    rng.shuffle(visits)
    waiting = iter([_visit(config, *visit, rng.random()) for visit in visits])
    opened = collections.deque(itertools.islice(waiting, _OPEN_SHARDS))
    while opened:
        visit = opened.popleft()
        if chunk := next(visit, None):
            yield chunk
            opened.append(visit)
        else:
            opened.extend(itertools.islice(waiting, 1))


def _parts(weight: float) -> list[float]:
    """Return the fraction of a shard that each visit in an epoch takes."""
    whole = int(weight)
    return [1.0] * whole + ([weight - whole] if weight > whole else [])


def _visit(config: Config, shard: AnyCorpus, part: float, seed: float) -> Iterator[Chunk]:
    """Yield a fraction of the pairs of a shard in chunks."""
    rng = random.Random(seed)
    pairs = (pair for pair in read_pairs(shard, config.data) if part == 1 or rng.random() < part)
    while chunk := list(itertools.islice(pairs, CHUNK_PAIRS)):
        yield shard, chunk
