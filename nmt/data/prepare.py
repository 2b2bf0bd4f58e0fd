"""Tokenized corpora in a memory-mapped Arrow file, cached by content.

The file is an Arrow stream, the format of `datasets`: `datasets.Dataset.from_file` opens it.
Training reads its buffers as numpy arrays without copying. That is faster than the rows of a
`Dataset`, and text that training does not need stays on disk.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nmt.config.corpora import AnyCorpus
from nmt.config.schema import Config, DataConfig
from nmt.data import cache
from nmt.data.corpus import INVALID_UTF8, Pair, content_key, corpus_name, origin, read_pairs
from nmt.data.filters import CorpusReport, FilterReport, Filters
from nmt.data.prefetch import prefetch
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import Progress
from nmt.errors import DataError, FileError

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

_CACHE_VERSION = 3
_PAIRS_PER_CHUNK = 4096
_CHARACTERS_PER_CHUNK = 1 << 21
_CHUNKS_AHEAD = 2
_PAIRS_FILE, _REPORT_FILE = "pairs.arrow", "report.json"
_IDS = pa.list_(pa.field("item", pa.int32(), nullable=False))
_SCHEMA = pa.schema(
    [
        ("src_ids", _IDS),
        ("tgt_ids", _IDS),
        ("src", pa.string()),
        ("tgt", pa.string()),
        ("line", pa.int64()),
        ("corpus", pa.int32()),
    ]
)


class Prepared:
    """Token ids and texts of a list of corpora, memory-mapped; one row per pair.

    The rows of a corpus are adjacent, in the order of `corpora`.

    Args:
        directory: a directory that `prepare` wrote.
        corpora: the corpora it was made from; only their weights and names are used.

    Raises:
        FileError: if the content of the directory is damaged.
    """

    key: str
    """Identifies the text, the filters and the vocabulary."""
    corpora: list[AnyCorpus]
    report: FilterReport
    src_lengths: Int64s
    """Source tokens of each row, EOS included, (rows,)."""
    tgt_lengths: Int64s
    """Target tokens of each row, EOS included, (rows,)."""
    corpus_sizes: list[int]
    """Number of rows of each corpus."""
    weights: list[float]
    """Weight of each corpus."""

    def __init__(self, directory: Path, corpora: Sequence[AnyCorpus]) -> None:
        try:
            self.report = FilterReport.from_json((directory / _REPORT_FILE).read_text("utf-8"))
            with pa.memory_map(str(directory / _PAIRS_FILE)) as source:
                table = pa.ipc.open_stream(source).read_all()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError(f"{directory}: damaged; delete it to prepare the data again") from error
        self.key = directory.name
        self.corpora = list(corpora)
        for report, corpus in zip(self.report.corpora, corpora, strict=True):
            report.name = corpus_name(corpus)
        self._table = table
        self._src, self._tgt = _Lists(table["src_ids"]), _Lists(table["tgt_ids"])
        self.src_lengths = self._src.lengths() + 1
        self.tgt_lengths = self._tgt.lengths() + 1
        self.corpus_sizes = [report.kept for report in self.report.corpora]
        self.weights = [corpus.weight for corpus in corpora]

    def __len__(self) -> int:
        return len(self.src_lengths)

    def rows(self, indices: Iterable[int]) -> tuple[list[Int32s], list[Int32s]]:
        """Return the source and target ids of the given rows, without BOS and EOS.

        Returns:
            Two lists of views into the mapped file (int32), one array per row.
        """
        rows = np.fromiter(indices, np.int64)
        return self._src.take(rows), self._tgt.take(rows)

    def texts(self, indices: Iterable[int]) -> tuple[list[str], list[str]]:
        """Return the source and target texts of the given rows."""
        rows = pa.array(np.fromiter(indices, np.int64))
        texts = self._table.select(["src", "tgt"]).take(rows)
        return texts["src"].to_pylist(), texts["tgt"].to_pylist()

    def origin(self, row: int, side: int = 0) -> str:
        """Return where one side of a row comes from, 0 being the source side, as `file:line`."""
        corpus = self.corpora[self._table["corpus"][int(row)].as_py()]
        return origin(corpus, self._table["line"][int(row)].as_py(), side)


class _Lists:
    """A chunked column of int32 lists, read without copying."""

    def __init__(self, column: Any) -> None:
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self._offsets = [chunk.offsets.to_numpy() for chunk in chunks]
        self._values = [chunk.values.to_numpy() for chunk in chunks]
        self._starts = np.cumsum([0, *map(len, chunks)])

    def lengths(self) -> Int64s:
        if not self._offsets:
            return np.empty(0, np.int64)
        return np.concatenate([np.diff(offsets) for offsets in self._offsets]).astype(np.int64)

    def take(self, rows: Int64s) -> list[Int32s]:
        chunks = np.searchsorted(self._starts, rows, side="right") - 1
        rows_in_chunk = (rows - self._starts[chunks]).tolist()
        lists = []
        for chunk, row in zip(chunks.tolist(), rows_in_chunk, strict=True):
            offsets = self._offsets[chunk]
            lists.append(self._values[chunk][offsets[row] : offsets[row + 1]])
        return lists


def prepare(
    config: Config,
    tokenizers: Tokenizers,
    corpora: Sequence[AnyCorpus],
    *,
    filtered: bool,
    progress: Progress | None = None,
    warn: Callable[[str], object] | None = None,
) -> Prepared:
    """Tokenize corpora into the cache, unless they are in it already, and map the result.

    Args:
        config: `data` holds the filters and the location of the cache.
        tokenizers: the tokenizers of both sides.
        corpora: the corpora to read.
        filtered: apply the filters (for training). Otherwise every pair is kept, even one with an
            empty side (for validation and test).
        progress: called after every chunk with the name of the corpus and the number of its pairs
            read so far. An exception that it raises ends the preparation and leaves no files.
        warn: called with a message when the cached data are damaged and prepared again.

    Raises:
        DataError: if the text cannot be used, or no pairs are left.
        FileError: if a corpus cannot be read or the cache cannot be written.
    """
    contents = [content_key(corpus) for corpus in corpora]
    name = f"pairs-{_cache_key(config, tokenizers, contents, filtered)}"
    report = FilterReport(
        [
            CorpusReport(corpus_name(corpus), content["fingerprint"])
            for corpus, content in zip(corpora, contents, strict=True)
        ]
    )
    build = functools.partial(_build, config.data, tokenizers, corpora, filtered, report, progress)
    return Prepared(cache.entry(config.data, name, build, warn), corpora)


# ---------------------------------------------------------------- writing the file


def _cache_key(
    config: Config, tokenizers: Tokenizers, contents: list[dict[str, Any]], filtered: bool
) -> str:
    settings = ["src_lang", "tgt_lang", "invalid_utf8"]
    if filtered:
        settings += ["max_length", "max_length_ratio", "drop_duplicates"]
    return cache.key(
        version=_CACHE_VERSION,
        data={name: getattr(config.data, name) for name in settings},
        filtered=filtered,
        corpora=contents,
        tokenizers=[hashlib.sha256(side.serialized()).hexdigest() for side in tokenizers],
    )


def _build(
    data: DataConfig,
    tokenizers: Tokenizers,
    corpora: Sequence[AnyCorpus],
    filtered: bool,
    report: FilterReport,
    progress: Progress | None,
    directory: Path,
) -> None:
    encoder = _ChunkEncoder(data, tokenizers, filtered)
    path = str(directory / _PAIRS_FILE)
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
        for number, corpus in enumerate(corpora):
            counts = report.corpora[number]
            chunks = _chunks(read_pairs(corpus, data, counts.tallies))
            for chunk in prefetch(chunks, _CHUNKS_AHEAD):
                writer.write_batch(encoder.encode(chunk, number, counts))
                if progress:
                    progress(counts.name, counts.read)
            counts.read += counts.tallies[INVALID_UTF8].count
    if not any(counts.kept for counts in report.corpora):
        raise _no_pairs_left(report)
    (directory / _REPORT_FILE).write_text(report.to_json(), "utf-8")


def _no_pairs_left(report: FilterReport) -> DataError:
    lines = [
        f"{corpus.name}: {corpus.read} read, "
        + ", ".join(f"{tally.count} {name}" for name, tally in corpus.dropped.items())
        for corpus in report.corpora
    ]
    return DataError(
        "no pairs are left after filtering; check data.max_length and the other filters", *lines
    )


def _chunks(pairs: Iterator[Pair]) -> Iterator[list[Pair]]:
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


class _ChunkEncoder:
    """Filters and tokenizes chunks of pairs."""

    def __init__(self, data: DataConfig, tokenizers: Tokenizers, filtered: bool) -> None:
        self._tokenizers = tokenizers
        self._filters = Filters(data) if filtered else None
        self._threads = os.cpu_count() or 1

    def encode(self, pairs: list[Pair], corpus: int, report: CorpusReport) -> Any:
        """Return a record batch of the pairs that pass the filters, and count them."""
        report.read += len(pairs)
        if self._filters:
            pairs = [pair for pair in pairs if self._filters.accepts_text(pair, report)]
        src_ids = self._tokenizers.src.encode([pair.src for pair in pairs], self._threads)
        tgt_ids = self._tokenizers.tgt.encode([pair.tgt for pair in pairs], self._threads)
        if self._filters:
            lengths = _lengths(src_ids), _lengths(tgt_ids)
            keep = self._filters.accepted_lengths(pairs, *lengths, report)
            if not keep.all():
                pairs = list(itertools.compress(pairs, keep))
                src_ids = list(itertools.compress(src_ids, keep))
                tgt_ids = list(itertools.compress(tgt_ids, keep))
        src, tgt = _id_array(src_ids), _id_array(tgt_ids)
        report.kept += len(pairs)
        report.src_tokens += len(src.values)
        report.tgt_tokens += len(tgt.values)
        report.src_unknown += _count(src.values, self._tokenizers.src.unk_id)
        report.tgt_unknown += _count(tgt.values, self._tokenizers.tgt.unk_id)
        arrays = [
            src,
            tgt,
            pa.array([pair.src for pair in pairs], pa.string()),
            pa.array([pair.tgt for pair in pairs], pa.string()),
            pa.array([pair.line for pair in pairs], pa.int64()),
            pa.array(np.full(len(pairs), corpus, np.int32)),
        ]
        return pa.record_batch(arrays, schema=_SCHEMA)


def _lengths(rows: list[list[int]]) -> Int64s:
    return np.fromiter(map(len, rows), np.int64, len(rows))


def _id_array(rows: list[list[int]]) -> Any:
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    values = np.fromiter(itertools.chain.from_iterable(rows), np.int32, int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=_IDS)


def _count(values: Any, token: int) -> int:
    return int(np.count_nonzero(values.to_numpy() == token))
