"""Corpora, tokenised once into memory-mapped Arrow and cached by their content.

The file is an Arrow stream, as `datasets` keeps its own: `datasets.Dataset.from_file` opens
it. Training reads its buffers as numpy arrays without copying, which is faster than going
through rows of a `Dataset` and leaves the text that training does not need on the disk.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nmt.config.corpora import AnyCorpus
from nmt.config.schema import Config, DataConfig
from nmt.data import cache
from nmt.data.corpus import (
    CONTROL_CHARACTERS,
    INVALID_UTF8,
    Pair,
    Tallies,
    Tally,
    content_key,
    corpus_name,
    origin,
    read_pairs,
)
from nmt.data.prefetch import prefetch
from nmt.data.tokenizer import Progress, Tokenizers
from nmt.errors import DataError, FileError

if TYPE_CHECKING:
    from rich.table import Table

EMPTY_SIDE = "empty side"
DUPLICATE = "duplicate"
TOO_LONG = "too long"
LENGTH_RATIO = "length ratio"
REASONS = (INVALID_UTF8, EMPTY_SIDE, DUPLICATE, TOO_LONG, LENGTH_RATIO)
"""Why a pair is dropped; the first that holds, in this order."""

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


@dataclass
class CorpusReport:
    """What became of one corpus."""

    name: str
    fingerprint: str
    """SHA-256 of its content."""
    read: int = 0
    """Pairs, invalid ones included."""
    kept: int = 0
    src_tokens: int = 0
    """Of the pairs kept, without begin and end marks; the same below."""
    tgt_tokens: int = 0
    src_unknown: int = 0
    tgt_unknown: int = 0
    tallies: Tallies = field(default_factory=Tallies)
    """Pairs dropped for each of `REASONS`, and characters replaced (`CONTROL_CHARACTERS`)."""

    @property
    def dropped(self) -> dict[str, Tally]:
        """The reasons for which pairs were dropped, in order."""
        tallies = {name: self.tallies.get(name) for name in REASONS}
        return {name: tally for name, tally in tallies.items() if tally and tally.count}


@dataclass
class FilterReport:
    """What became of each of a list of corpora."""

    corpora: list[CorpusReport] = field(default_factory=list)

    def to_json(self) -> str:
        """Write it as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> FilterReport:
        """Read what `to_json` wrote."""
        corpora = [CorpusReport(**values) for values in json.loads(text)["corpora"]]
        for corpus in corpora:
            tallies: dict[str, Any] = corpus.tallies
            corpus.tallies = Tallies({name: Tally(**each) for name, each in tallies.items()})
        return cls(corpora)


class Prepared:
    """The rows of a list of corpora: token ids and texts, memory-mapped.

    Rows of one corpus stand together, in the order of `corpora`.

    Args:
        directory: what `prepare` cached.
        corpora: what it was made from; only their weights and names are used.

    Raises:
        FileError: the directory does not hold what it should.
    """

    key: str
    """Changes when the text, the filters or the vocabulary change."""
    corpora: list[AnyCorpus]
    report: FilterReport
    src_lengths: Int64s
    """Tokens of each row's source side, the end mark included."""
    tgt_lengths: Int64s
    """Tokens of each row's target side, the end mark included."""
    corpus_sizes: list[int]
    """Rows of each corpus."""
    weights: list[float]
    """Weight of each corpus."""

    def __init__(self, directory: Path, corpora: Sequence[AnyCorpus]) -> None:
        try:
            self.report = FilterReport.from_json((directory / _REPORT_FILE).read_text("utf-8"))
            with pa.memory_map(str(directory / _PAIRS_FILE)) as source:
                table = pa.ipc.open_stream(source).read_all()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError(f"{directory}: damaged; remove it to prepare the data anew") from error
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
        """Read the source and target ids of some rows, without begin and end marks.

        Returns:
            Two lists of views into the mapped file (int32), one array a row.
        """
        places = np.fromiter(indices, np.int64)
        return self._src.take(places), self._tgt.take(places)

    def texts(self, indices: Iterable[int]) -> tuple[list[str], list[str]]:
        """Read the source and target text of some rows."""
        places = pa.array(np.fromiter(indices, np.int64))
        taken = self._table.select(["src", "tgt"]).take(places)
        return taken["src"].to_pylist(), taken["tgt"].to_pylist()

    def origin(self, row: int) -> str:
        """Say where a row comes from, as `file:line`."""
        number = self._table["corpus"][int(row)].as_py()
        return origin(self.corpora[number], self._table["line"][int(row)].as_py())


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

    def take(self, places: Int64s) -> list[Int32s]:
        chunks = np.searchsorted(self._starts, places, side="right") - 1
        found = []
        for chunk, place in zip(
            chunks.tolist(), (places - self._starts[chunks]).tolist(), strict=True
        ):
            offsets = self._offsets[chunk]
            found.append(self._values[chunk][offsets[place] : offsets[place + 1]])
        return found


def prepare(
    config: Config,
    tokenizers: Tokenizers,
    corpora: Sequence[AnyCorpus],
    *,
    filtered: bool,
    progress: Progress | None = None,
    warn: Callable[[str], object] | None = None,
) -> Prepared:
    """Tokenise corpora into the cache, unless they are there already, and map the result.

    Args:
        config: `data` holds the filters and the place of the cache.
        tokenizers: of both sides.
        corpora: what to read.
        filtered: drop pairs as `data` says (training). Otherwise every pair is kept, those with
            an empty side too (validation, test); files that do not match up are refused in
            either case.
        progress: called after every chunk with the name of the corpus and its pairs so far. What
            it raises ends the preparation, and nothing half-made stays behind.
        warn: told when what is cached is damaged, and prepared again.

    Raises:
        DataError: the text cannot be used, or no pair is left.
        FileError: a corpus cannot be read or the cache cannot be written.
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


def render(report: FilterReport) -> Table:
    """Lay out a report as a table for the terminal: a row a corpus, a column a reason."""
    from rich.table import Table

    reasons = [name for name in REASONS if any(name in c.dropped for c in report.corpora)]
    controls = any(CONTROL_CHARACTERS in corpus.tallies for corpus in report.corpora)
    table = Table(title="Pairs", title_justify="left")
    table.add_column("corpus", overflow="fold")
    for name in ("read", *reasons, "kept", "tokens", "unknown"):
        table.add_column(name, justify="right")
    if controls:
        table.add_column("control characters replaced", justify="right")
    for corpus in report.corpora:
        cells = [f"{corpus.read:,}"]
        cells += [_cell(corpus.tallies.get(name)) for name in reasons]
        cells += [
            f"{corpus.kept:,}",
            f"{corpus.src_tokens:,} + {corpus.tgt_tokens:,}",
            f"{_percent(corpus.src_unknown, corpus.src_tokens)} + "
            f"{_percent(corpus.tgt_unknown, corpus.tgt_tokens)}",
        ]
        if controls:
            cells.append(_cell(corpus.tallies.get(CONTROL_CHARACTERS)))
        table.add_row(corpus.name, *cells)
    return table


def _cell(tally: Tally | None) -> str:
    if tally is None or not tally.count:
        return "0"
    return f"{tally.count:,} (first: line {tally.first_line})"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.2f} %"


# ---------------------------------------------------------------- making the file


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
    chunker = _Chunker(data, tokenizers, filtered)
    path = str(directory / _PAIRS_FILE)
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
        for number, corpus in enumerate(corpora):
            counts = report.corpora[number]
            chunks = _chunks(read_pairs(corpus, data, counts.tallies))
            for chunk in prefetch(chunks, _CHUNKS_AHEAD):
                writer.write_batch(chunker.tokenised(chunk, number, counts))
                if progress:
                    progress(counts.name, counts.read)
            counts.read += counts.tallies[INVALID_UTF8].count
    if not any(counts.kept for counts in report.corpora):
        raise _nothing_left(report)
    (directory / _REPORT_FILE).write_text(report.to_json(), "utf-8")


def _nothing_left(report: FilterReport) -> DataError:
    lines = [
        f"{corpus.name}: {corpus.read} read, "
        + ", ".join(f"{tally.count} {name}" for name, tally in corpus.dropped.items())
        for corpus in report.corpora
    ]
    return DataError(
        "no pair is left after filtering; see data.max_length and the rest of data", *lines
    )


def _chunks(pairs: Iterator[Pair]) -> Iterator[list[Pair]]:
    """Cut a stream into chunks, bounded in pairs and in characters."""
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


class _Chunker:
    """Turns chunks of pairs into Arrow, filtered and counted."""

    def __init__(self, data: DataConfig, tokenizers: Tokenizers, filtered: bool) -> None:
        self._data = data
        self._tokenizers = tokenizers
        self._filtered = filtered
        self._seen: set[bytes] = set()
        self._threads = os.cpu_count() or 1

    def tokenised(self, pairs: list[Pair], corpus: int, report: CorpusReport) -> Any:
        report.read += len(pairs)
        if self._filtered:
            pairs = [pair for pair in pairs if self._wanted(pair, report)]
        sides = [
            tokenizer.encode(texts, self._threads)
            for tokenizer, texts in zip(
                self._tokenizers,
                ([pair.src for pair in pairs], [pair.tgt for pair in pairs]),
                strict=True,
            )
        ]
        if self._filtered:
            lengths = [np.fromiter(map(len, ids), np.int64, len(ids)) for ids in sides]
            keep = self._fits(pairs, lengths, report)
            if not keep.all():
                pairs = list(itertools.compress(pairs, keep))
                sides = [list(itertools.compress(ids, keep)) for ids in sides]
        src, tgt = (_id_array(ids) for ids in sides)
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

    def _wanted(self, pair: Pair, report: CorpusReport) -> bool:
        """Apply the filters that look at the text."""
        if not pair.src.strip() or not pair.tgt.strip():
            report.tallies[EMPTY_SIDE].add(pair.line)
            return False
        if not self._data.drop_duplicates:
            return True
        text = f"{pair.src}\n{pair.tgt}".encode()  # no side holds a line feed
        digest = hashlib.blake2b(text, digest_size=8).digest()
        if digest in self._seen:
            report.tallies[DUPLICATE].add(pair.line)
            return False
        self._seen.add(digest)
        return True

    def _fits(
        self, pairs: list[Pair], lengths: list[Int64s], report: CorpusReport
    ) -> npt.NDArray[np.bool_]:
        """Apply the filters that look at the lengths; these come without the end mark."""
        shorter, longer = np.minimum(*lengths), np.maximum(*lengths)
        # Normalisation can leave nothing of a side, such as one of zero-width spaces.
        faults = [(EMPTY_SIDE, shorter == 0), (TOO_LONG, longer + 1 > self._data.max_length)]
        if self._data.max_length_ratio is not None:
            faults.append((LENGTH_RATIO, longer > self._data.max_length_ratio * shorter))
        keep = np.ones(len(pairs), np.bool_)
        for reason, fault in faults:
            for place in np.flatnonzero(keep & fault).tolist():
                report.tallies[reason].add(pairs[place].line)
            keep &= ~fault
        return keep


def _id_array(rows: list[list[int]]) -> Any:
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    values = np.fromiter(itertools.chain.from_iterable(rows), np.int32, int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=_IDS)


def _count(values: Any, token: int) -> int:
    return int(np.count_nonzero(values.to_numpy() == token))
