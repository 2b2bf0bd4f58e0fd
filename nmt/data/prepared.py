"""Prepared corpora: token ids and texts, memory-mapped.

The files are Arrow streams, the format of `datasets`: `datasets.Dataset.from_file` opens them.
Training reads their buffers as numpy arrays without copying. That is faster than the rows of a
`Dataset`, and text that training does not need stays on disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nmt.config.corpora import AnyCorpus
from nmt.config.data import DataConfig
from nmt.config.languages import LanguagePair
from nmt.data import cache
from nmt.data.corpus import corpus_name, origin
from nmt.data.filters import DUPLICATE, CorpusReport, FilterReport
from nmt.errors import DataError, FileError

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

PAIRS_FILE, REPORT_FILE = "pairs.arrow", "report.json"
_IDS = pa.list_(pa.field("item", pa.int32(), nullable=False))
SCHEMA = pa.schema(
    [
        ("src_ids", _IDS),
        ("tgt_ids", _IDS),
        ("src", pa.string()),
        ("tgt", pa.string()),
        ("line", pa.int64()),
        ("digest", pa.int64()),
    ]
)
"""One row per pair. `digest` is a hash of the text if duplicates are dropped, otherwise null."""
_CONTEXT = pa.field("context", pa.int32())


def schema_of(data: DataConfig) -> pa.Schema:
    """Return the schema of prepared data, which has the length of each context if there are any."""
    return SCHEMA.append(_CONTEXT) if data.context else SCHEMA


class Prepared:
    """Token ids and texts of a list of corpora, memory-mapped; one row per pair.

    The rows of a corpus are adjacent, in the order of `corpora`. A shard counts as a corpus.

    Args:
        tables: the rows of each corpus.
        report: what was read, dropped and kept; rows dropped here are added.
        corpora: the corpora; only their weights and names are used.
        key: identifies the text, the filters and the vocabulary.
        drop_duplicates: drop rows that repeat one of an earlier corpus.

    Raises:
        DataError: if no pairs are left.
    """

    key: str
    corpora: list[AnyCorpus]
    report: FilterReport
    src_lengths: Int64s
    """Source tokens of each row, EOS included, without context, (rows,)."""
    input_lengths: Int64s
    """Source tokens of each row, EOS and context included, (rows,)."""
    tgt_lengths: Int64s
    """Target tokens of each row, EOS included, (rows,)."""
    corpus_sizes: list[int]
    """Number of rows of each corpus."""
    weights: list[float]
    """Weight of each corpus."""

    def __init__(
        self,
        tables: Sequence[pa.Table],
        report: FilterReport,
        corpora: Sequence[AnyCorpus],
        key: str,
        *,
        drop_duplicates: bool = False,
    ) -> None:
        self.key, self.report, self.corpora = key, report, list(corpora)
        for counts, corpus in zip(report.corpora, corpora, strict=True):
            counts.name = corpus_name(corpus)
        self._table = pa.concat_tables(tables)
        self._ends = np.cumsum([len(table) for table in tables])
        self._src, self._tgt = Lists(self._table["src_ids"]), Lists(self._table["tgt_ids"])
        self.input_lengths = self._src.lengths() + 1
        self.src_lengths = self.input_lengths - self._context_lengths()
        self.tgt_lengths = self._tgt.lengths() + 1
        self._places: Int64s | None = None
        """Place of each row in the table, if not all places are rows."""
        if drop_duplicates and len(tables) > 1:
            self._drop_repeated()
        if not any(counts.kept for counts in report.corpora):
            raise _no_pairs_left(report)
        self.corpus_sizes = [counts.kept for counts in report.corpora]
        self.weights = [corpus.weight for corpus in corpora]

    @classmethod
    def load(
        cls,
        directories: Sequence[Path],
        corpora: Sequence[AnyCorpus],
        *,
        drop_duplicates: bool = False,
    ) -> Prepared:
        """Load what `prepare` wrote, one directory per corpus.

        Raises:
            DataError: if no pairs are left.
            FileError: if the content of a directory is damaged.
        """
        tables, reports = zip(*map(_load, directories), strict=True)
        names = [directory.name for directory in directories]
        key = names[0] if len(names) == 1 else f"pairs-{cache.key(corpora=names)}"
        report = FilterReport(list(reports))
        return cls(tables, report, corpora, key, drop_duplicates=drop_duplicates)

    def __len__(self) -> int:
        return len(self.src_lengths)

    def rows(self, indices: Iterable[int]) -> tuple[list[Int32s], list[Int32s]]:
        """Return the source ids, with all context, and target ids of the given rows.

        BOS and EOS are not among them.

        Returns:
            Two lists of views into the mapped files (int32), one array per row.
        """
        places = self._places_of(indices)
        return self._src.take(places), self._tgt.take(places)

    def texts(self, indices: Iterable[int]) -> tuple[list[str], list[str]]:
        """Return the source and target texts of the given rows."""
        texts = self._table.select(["src", "tgt"]).take(pa.array(self._places_of(indices)))
        return texts["src"].to_pylist(), texts["tgt"].to_pylist()

    def following(self, rows: Int64s) -> list[tuple[str, str] | None]:
        """Return the texts of the next row of the same corpus; None after the last one."""
        is_last = np.isin(rows + 1, np.cumsum(self.corpus_sizes))
        pairs = zip(*self.texts(np.where(is_last, rows, rows + 1)), strict=True)
        return [None if last else pair for pair, last in zip(pairs, is_last, strict=True)]

    def languages_of(self, rows: Int64s, data: DataConfig) -> list[LanguagePair]:
        """Return the languages of the given rows; see `languages`."""
        pairs = [*map(data.pair_of, self.corpora)]
        return [
            pairs[number]
            for number in np.searchsorted(np.cumsum(self.corpus_sizes), rows, side="right")
        ]

    def origin(self, row: int, side: int = 0) -> str:
        """Return where one side of a row comes from, 0 being the source side, as `file:line`."""
        [place] = self._places_of([row]).tolist()
        corpus = self.corpora[int(np.searchsorted(self._ends, place, side="right"))]
        return origin(corpus, self._table["line"][place].as_py(), side)

    def languages(self, data: DataConfig) -> list[LanguagePair]:
        """Return the languages of each row.

        Args:
            data: the languages of corpora that name none.
        """
        pairs = map(data.pair_of, self.corpora)
        rows = ([pair] * size for pair, size in zip(pairs, self.corpus_sizes, strict=True))
        return list(itertools.chain.from_iterable(rows))

    def lines(self) -> Iterator[tuple[AnyCorpus, CorpusReport, range, Int64s]]:
        """Yield each corpus with its counts, its rows, and the line of each row in it, from 1."""
        end = 0
        for corpus, counts, size in zip(
            self.corpora, self.report.corpora, self.corpus_sizes, strict=True
        ):
            rows = range(end, end + size)
            lines = self._table["line"].take(pa.array(self._places_of(rows)))
            yield corpus, counts, rows, lines.to_numpy()
            end += size

    def _context_lengths(self) -> Int64s:
        """Return the tokens of the context of each place in the table."""
        if _CONTEXT.name not in self._table.column_names:
            return np.zeros(len(self._table), np.int64)
        return np.asarray(self._table[_CONTEXT.name].to_numpy(), np.int64)

    def _places_of(self, indices: Iterable[int]) -> Int64s:
        rows = np.fromiter(indices, np.int64)
        return rows if self._places is None else self._places[rows]

    def _drop_repeated(self) -> None:
        """Drop the rows that repeat one of an earlier corpus, and count them."""
        _, firsts = np.unique(self._table["digest"].to_numpy(), return_index=True)
        repeated = np.ones(len(self), np.bool_)
        repeated[firsts] = False
        starts = [0, *self._ends[:-1].tolist()]
        for counts, start, end in zip(self.report.corpora, starts, self._ends, strict=True):
            places = start + np.flatnonzero(repeated[start:end])
            if len(places):
                self._count_as_duplicates(places, counts)
        self._places = np.sort(firsts)
        self.src_lengths = self.src_lengths[self._places]
        self.input_lengths = self.input_lengths[self._places]
        self.tgt_lengths = self.tgt_lengths[self._places]

    def _count_as_duplicates(self, places: Int64s, counts: CorpusReport) -> None:
        """Move rows of a corpus from those kept to the duplicates."""
        first_line = self._table["line"][int(places[0])].as_py()
        counts.tallies[DUPLICATE].add(first_line, len(places))
        counts.kept -= len(places)
        counts.src_tokens -= int((self.src_lengths[places] - 1).sum())
        counts.tgt_tokens -= int((self.tgt_lengths[places] - 1).sum())


def _load(directory: Path) -> tuple[pa.Table, CorpusReport]:
    try:
        report = CorpusReport.from_json((directory / REPORT_FILE).read_text("utf-8"))
        with pa.memory_map(str(directory / PAIRS_FILE)) as source:
            return pa.ipc.open_stream(source).read_all(), report
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"{directory}: damaged; delete it to prepare the data again") from error


class Lists:
    """A chunked column of int32 lists, read without copying."""

    def __init__(self, column: Any) -> None:
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self._offsets = [chunk.offsets.to_numpy() for chunk in chunks]
        self._values = [chunk.values.to_numpy() for chunk in chunks]
        self._starts = np.cumsum([0, *map(len, chunks)])

    def lengths(self) -> Int64s:
        """Return the length of each list, int64 [rows]."""
        if not self._offsets:
            return np.empty(0, np.int64)
        return np.concatenate([np.diff(offsets) for offsets in self._offsets]).astype(np.int64)

    def take(self, rows: Int64s) -> list[Int32s]:
        """Return the lists of the given rows."""
        chunks = np.searchsorted(self._starts, rows, side="right") - 1
        rows_in_chunk = (rows - self._starts[chunks]).tolist()
        lists = []
        for chunk, row in zip(chunks.tolist(), rows_in_chunk, strict=True):
            offsets = self._offsets[chunk]
            lists.append(self._values[chunk][offsets[row] : offsets[row + 1]])
        return lists


def _no_pairs_left(report: FilterReport) -> DataError:
    lines = [
        f"{corpus.name}: {corpus.read} read, "
        + ", ".join(f"{tally.count} {name}" for name, tally in corpus.dropped.items())
        for corpus in report.corpora
    ]
    return DataError(
        "no pairs are left after filtering; check data.max_length and the other filters", *lines
    )
