"""Training data that is read and tokenized while training runs, for corpora too large to prepare.

An epoch is read in windows of about `data.shuffle_buffer` pairs, which are shuffled and cut into
batches one at a time. What a window holds depends only on the text, the seed, the epoch and the
number of the window. So a run resumes exactly: it reads the epoch again up to the window, without
tokenizing, and continues there.
"""

from __future__ import annotations

import collections
import itertools
import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from nmt.config.schema import Config
from nmt.data import cache, mixing
from nmt.data.batching import Batch, BatchOrder, batches
from nmt.data.corpus import stream_key
from nmt.data.encode import Encoder
from nmt.data.filters import CorpusReport, FilterReport
from nmt.data.mixing import Chunk, mixed_chunks
from nmt.data.prefetch import prefetch
from nmt.data.prepared import Prepared
from nmt.data.tokenizer import Tokenizers
from nmt.errors import DataError
from nmt.torchrun import local_world_size

_MAX_BATCHES = 1 << 24
"""More than a window has. The number of a batch is that of its window times this, plus its own."""
_BATCHES_AHEAD = 8


class StreamedEpochs:
    """The batches of every epoch of a stream.

    Args:
        tokenizers: of both sides.
        config: `data`, `train.seed`, `train.batch_tokens` and the sampling of `tokenizer` are used.

    Raises:
        ConfigError, DataError, FileError: if a corpus cannot be read.
    """

    key: str
    """Identifies the names and sizes of the files: it would take too long to read them all."""
    sample: Prepared
    """The first window of the first epoch."""

    def __init__(self, tokenizers: Tokenizers, config: Config) -> None:
        self._tokenizers, self._config = tokenizers, config
        files = [stream_key(corpus) for corpus in config.data.train]
        self.key = f"stream-{cache.key(corpora=files)}"
        sample = next(self._windows(0, 0), None)
        if sample is None:
            raise DataError(
                "no pairs are left after filtering; check data.max_length and the other filters"
            )
        _, self.sample = sample

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, made ahead of time in a background thread.

        Args:
            epoch: number of the epoch.
            start: number of the first batch, or that of the batch before it plus one.

        Raises:
            DataError, FileError: if a corpus cannot be read.
        """
        return prefetch(self._batches(epoch, start), _BATCHES_AHEAD)

    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        config = self._config
        first_window, first = divmod(start, _MAX_BATCHES)
        for number, window in prefetch(self._windows(epoch, first_window), 1):
            order = BatchOrder.of(window, config.train.batch_tokens, config.train.seed)
            [entropy] = np.random.SeedSequence([epoch, number]).generate_state(1).tolist()
            made = batches(window, self._tokenizers, order, config, entropy, first, ahead=0)
            for place, batch in enumerate(made, first):
                yield replace(batch, epoch=epoch, number=number * _MAX_BATCHES + place)
            first = 0

    def _windows(self, epoch: int, first: int) -> Iterator[tuple[int, Prepared]]:
        """Yield the windows of an epoch from a number on, each with its number."""
        size = max(1, self._config.data.shuffle_buffer // mixing.CHUNK_PAIRS)
        chunks = mixed_chunks(self._config, epoch)
        skipped = itertools.islice(chunks, first * size)
        collections.deque(skipped, maxlen=0)
        for number in itertools.count(first):
            window = list(itertools.islice(chunks, size))
            if not window:
                return
            if prepared := self._tokenized(window):
                yield number, prepared

    def _tokenized(self, chunks: list[Chunk]) -> Prepared | None:
        """Filter and tokenize a window; None if no pairs are left."""
        threads = max(1, (os.cpu_count() or 1) // local_world_size())
        encoder = Encoder(self._config.data, self._tokenizers, True, threads)
        by_shard: dict[int, list[Chunk]] = {}
        for chunk in chunks:
            by_shard.setdefault(id(chunk[0]), []).append(chunk)
        tables, reports = [], []
        for group in by_shard.values():
            reports.append(CorpusReport("", ""))
            encoded = [encoder.encode(pairs, reports[-1], shard) for shard, pairs in group]
            tables.append(pa.Table.from_batches(encoded))
        if not any(report.kept for report in reports):
            return None
        # Their weights have been applied: the window has the pairs as often as they are needed.
        corpora = [group[0][0].model_copy(update={"weight": 1.0}) for group in by_shard.values()]
        return Prepared(tables, FilterReport(reports), corpora, self.key)
