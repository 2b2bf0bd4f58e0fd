"""Parallel text, read as a stream of pairs from any kind of corpus.

Everything that is dropped or changed while reading is counted.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from nmt.config.corpora import (
    AnyCorpus,
    DatasetCorpus,
    DemoCorpus,
    FilesCorpus,
    JsonlCorpus,
    ParquetCorpus,
    TextCorpus,
    TsvCorpus,
)
from nmt.config.data import DataConfig
from nmt.data.history import History
from nmt.data.lines import InvalidLine, decoded_lines, replace_controls
from nmt.data.records import (
    RawPair,
    dataset_name,
    dataset_records,
    jsonl_records,
    load_dataset,
    parquet_records,
    record_pairs,
)
from nmt.data.shards import shards
from nmt.errors import DataError
from nmt.files import as_file_error

INVALID_UTF8 = "invalid UTF-8"
CONTROL_CHARACTERS = "control characters"
_OPTIONAL = ("src_lang", "tgt_lang", "reversed", "tag")


class Pair(NamedTuple):
    """A sentence and its translation."""

    src: str
    tgt: str
    line: int
    """Line or record number in the corpus, from 1."""
    context: tuple[str, ...] = ()
    """The previous source sentences of its document, oldest first."""

    @property
    def has_text(self) -> bool:
        """Whether both sides have text."""
        return bool(self.src.strip() and self.tgt.strip())


@dataclass
class Tally:
    """The number of times something occurred, and the first line where it did."""

    count: int = 0
    first_line: int | None = None

    def add(self, line: int, count: int = 1) -> None:
        """Add `count` occurrences in line `line`."""
        self.count += count
        if self.first_line is None:
            self.first_line = line


class Tallies(dict[str, Tally]):
    """Tallies by name; a missing one is created when it is first used."""

    def __missing__(self, name: str) -> Tally:
        return self.setdefault(name, Tally())


def read_pairs(
    corpus: AnyCorpus, data: DataConfig, tallies: Tallies | None = None
) -> Iterator[Pair]:
    """Yield the pairs of a corpus of any kind, shard by shard.

    Control characters (C0 and DEL) become spaces: NUL ends strings inside SentencePiece, and a
    line feed in a JSON string would add a line to an output.

    Args:
        corpus: the corpus; the sides of one that is `reversed` are swapped.
        data: the languages, whose codes are the default keys, the size of the context, and the
            policy for invalid UTF-8.
        tallies: counts what is skipped or replaced, under `INVALID_UTF8` (pairs) and
            `CONTROL_CHARACTERS` (characters other than tabs).

    Raises:
        DataError: if the two sides have different numbers of lines, a column or key is missing, a
            file is damaged, or there are no pairs; on invalid UTF-8, unless `data` says to skip it.
        ConfigError, FileError: if a file or dataset cannot be opened; see also `shards`.
    """
    parts = shards(corpus)
    if parts != [corpus]:
        for part in parts:
            yield from read_pairs(part, data, tallies)
        return
    tallies = Tallies() if tallies is None else tallies
    history = History(data.context)
    last = 0
    for src, tgt, last in raw_pairs(corpus, data):
        if isinstance(src, InvalidLine) or isinstance(tgt, InvalidLine):
            if data.invalid_utf8 == "error":
                line = src if isinstance(src, InvalidLine) else cast(InvalidLine, tgt)
                raise line.error("or set data.invalid_utf8=skip to drop such pairs")
            tallies[INVALID_UTF8].add(last)
            continue
        src, src_count = replace_controls(src)
        tgt, tgt_count = replace_controls(tgt)
        if src_count + tgt_count:
            tallies[CONTROL_CHARACTERS].add(last, src_count + tgt_count)
        if corpus.reversed:
            src, tgt = tgt, src
        yield Pair(src, tgt, last, history.before(src))
    if not last:
        raise DataError(f"{_location(corpus)}: contains no pairs")


def corpus_name(corpus: AnyCorpus) -> str:
    """Return a short name for tables and messages, such as `train.en.gz + train.de.gz`."""
    match corpus:
        case FilesCorpus():
            return f"{Path(corpus.src).name} + {Path(corpus.tgt).name}"
        case DatasetCorpus() | DemoCorpus():
            return _location(corpus)
        case _:
            return Path(_location(corpus)).name


def origin(corpus: AnyCorpus, line: int, side: int = 0) -> str:
    """Return the location of one side of a pair, 0 being the source side, as `file:line`."""
    paths = (corpus.src, corpus.tgt) if isinstance(corpus, FilesCorpus) else [_location(corpus)] * 2
    return f"{paths[1 - side if corpus.reversed else side]}:{line}"


def files_of(corpus: AnyCorpus) -> list[Path]:
    """Return the local files that a corpus is read from.

    Raises:
        ConfigError, DataError, FileError: as in `shards`.
    """
    match corpus:
        case DatasetCorpus():
            return sorted(path for path in Path(corpus.dataset).rglob("*") if path.is_file())
        case DemoCorpus():
            return []
        case FilesCorpus():
            parts = [part for part in shards(corpus) if isinstance(part, FilesCorpus)]
            return [Path(path) for part in parts for path in (part.src, part.tgt)]
        case _:
            return [Path(_location(part)) for part in shards(corpus)]


# ---------------------------------------------------------------- identity of the content


def content_key(corpus: AnyCorpus) -> dict[str, Any]:
    """Return JSON values that identify the text of a corpus, regardless of path, weight and set."""
    return {"fingerprint": fingerprint(corpus), **_keys_of_content(corpus)}


def stream_key(corpus: AnyCorpus) -> dict[str, Any]:
    """Return JSON values that identify the names and sizes of the files, without reading them."""
    with as_file_error(_location(corpus), "cannot be read"):
        files = [(path.name, path.stat().st_size) for path in files_of(corpus)]
    name = "" if files else _location(corpus)
    return {"files": files, "name": name, **_keys_of_content(corpus)}


def _keys_of_content(corpus: AnyCorpus) -> dict[str, Any]:
    excluded = {"kind", "src", "tgt", "tsv", "jsonl", "parquet", "dataset", "text"}
    excluded |= {"weight", "set", "alignments"}
    # Corpora without these keep the entries of the cache that were made before the keys existed.
    excluded |= {name for name in _OPTIONAL if not getattr(corpus, name)}
    return {"kind": type(corpus).__name__, **corpus.model_dump(exclude=excluded)}


def fingerprint(corpus: AnyCorpus) -> str:
    """Return a hash of the content of a corpus, independent of its path.

    Returns:
        A hexadecimal SHA-256 over the bytes of the files. For a dataset on the Hub, it is over
        the fingerprint that `datasets` computes.

    Raises:
        DataError: if a file is a pipe or a device, which can be read only once.
        FileError: if a file or dataset cannot be read.
    """
    digest = hashlib.sha256()
    paths = files_of(corpus)
    match corpus:
        case DatasetCorpus() if Path(corpus.dataset).is_dir():
            names = [str(path.relative_to(corpus.dataset)) for path in paths]
            digest.update("\n".join(names).encode())
        case DatasetCorpus():
            return hashlib.sha256(load_dataset(corpus)._fingerprint.encode()).hexdigest()
        case DemoCorpus():
            for pair in read_pairs(
                corpus, DataConfig(src_lang="en", tgt_lang="de", train=[corpus])
            ):
                digest.update(f"{pair.src}\n{pair.tgt}\n".encode())
    for path in paths:
        digest.update(_file_digest(path))
    return digest.hexdigest()


def stamps(corpus: AnyCorpus) -> list[list[int]]:
    """Return size and time of change (ns) of each file of a corpus; equal ones need not be read.

    Raises:
        FileError: if a file is missing.
    """
    with as_file_error(_location(corpus), "cannot be read"):
        found = [path.stat() for path in files_of(corpus)]
    return [[status.st_size, status.st_mtime_ns] for status in found]


def _file_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    refuse_pipe(path)
    with as_file_error(path, "cannot be read"), open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


def refuse_pipe(path: Path) -> None:
    """Check that a file of a corpus can be read more than once; it may be missing.

    Raises:
        DataError: if it is a pipe or a device.
        FileError: if that cannot be told.
    """
    with as_file_error(path, "cannot be read"):
        if not (path.is_file() or path.is_dir()) and path.exists():
            raise DataError(f"{path}: not a plain file; a corpus is read more than once")


# ---------------------------------------------------------------- pairs of each kind of corpus


def raw_pairs(corpus: AnyCorpus, data: DataConfig) -> Iterator[RawPair]:
    """Yield the pairs of a single shard as they are, with control characters and invalid lines.

    Raises:
        DataError, ConfigError, FileError: as in `read_pairs`.
    """
    match corpus:
        case FilesCorpus():
            return _file_pairs(corpus)
        case TsvCorpus():
            return _tsv_pairs(corpus)
        case TextCorpus():
            numbered_lines = enumerate(decoded_lines(corpus.text), 1)
            return ((line, line, number) for number, line in numbered_lines)
        case DemoCorpus():
            from nmt.data import phrasebook

            numbered = enumerate(phrasebook.pairs(corpus.demo), 1)
            return ((pair.src, pair.tgt, number) for number, pair in numbered)
    keys = (
        corpus.src_key or corpus.src_lang or data.src_lang,
        corpus.tgt_key or corpus.tgt_lang or data.tgt_lang,
    )
    match corpus:
        case JsonlCorpus():
            return record_pairs(jsonl_records(corpus.jsonl), corpus.jsonl, *keys)
        case ParquetCorpus():
            return record_pairs(parquet_records(corpus.parquet, keys), corpus.parquet, *keys)
        case DatasetCorpus():
            records = dataset_records(corpus, keys, streaming=data.streaming)
            return record_pairs(records, dataset_name(corpus), *keys)


def _location(corpus: AnyCorpus) -> str:
    match corpus:
        case FilesCorpus():
            return f"{corpus.src} + {corpus.tgt}"
        case TsvCorpus():
            return corpus.tsv
        case TextCorpus():
            return corpus.text
        case JsonlCorpus():
            return corpus.jsonl
        case ParquetCorpus():
            return corpus.parquet
        case DatasetCorpus():
            return dataset_name(corpus)
        case DemoCorpus():
            return f"demo {corpus.demo}"


def _file_pairs(corpus: FilesCorpus) -> Iterator[RawPair]:
    sides = decoded_lines(corpus.src), decoded_lines(corpus.tgt)
    for number, (src, tgt) in enumerate(itertools.zip_longest(*sides), 1):
        if src is None or tgt is None:
            # zip_longest has already taken line `number` from the longer side.
            src_count, tgt_count = (
                number - 1 if line is None else number + sum(1 for _ in rest)
                for line, rest in zip((src, tgt), sides, strict=True)
            )
            raise DataError(
                f"{corpus.src} has {src_count} lines, but {corpus.tgt} has {tgt_count}: "
                "line n of one must be the translation of line n of the other"
            )
        yield src, tgt, number


def _tsv_pairs(corpus: TsvCorpus) -> Iterator[RawPair]:
    columns: tuple[int | str, ...] = corpus.src_column, corpus.tgt_column
    for number, line in enumerate(decoded_lines(corpus.tsv), 1):
        if isinstance(line, InvalidLine):
            yield line, line, number
            continue
        fields = line.split("\t")
        if any(isinstance(column, str) for column in columns):  # the first line is a header
            columns = tuple(_column_index(corpus.tsv, fields, column) for column in columns)
            continue
        src, tgt = (_field(corpus.tsv, number, fields, cast(int, column)) for column in columns)
        yield src, tgt, number


def _column_index(path: str, header: list[str], column: int | str) -> int:
    if isinstance(column, int):
        return column
    if column not in header:
        raise DataError(f"{path}:1: no column {column!r}; the first line has {', '.join(header)}")
    return header.index(column)


def _field(path: str, line: int, fields: list[str], column: int) -> str:
    if column >= len(fields):
        raise DataError(
            f"{path}:{line}: no column {column} (counted from 0) in a line of {len(fields)}"
        )
    return fields[column]
