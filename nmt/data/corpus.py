"""Parallel text, read as a stream of pairs from every kind of corpus.

A line ends at a line feed and nowhere else: U+2028, vertical tabs, form feeds and lone
carriage returns are content, so that line n of one file stays the translation of line n
of the other. What is dropped or changed on the way is counted, never silent.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import itertools
import json
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, cast

from nmt.config.corpora import (
    AnyCorpus,
    DatasetCorpus,
    DemoCorpus,
    FilesCorpus,
    JsonlCorpus,
    ParquetCorpus,
    TsvCorpus,
)
from nmt.config.schema import DataConfig
from nmt.errors import ConfigError, DataError, FileError

if TYPE_CHECKING:
    import datasets

INVALID_UTF8 = "invalid UTF-8"
CONTROL_CHARACTERS = "control characters"

BOM = "\ufeff"
_GZIP_MAGIC = b"\x1f\x8b"
_CONTROLS = re.compile("[\x00-\x1f\x7f]")
_RECORDS_AT_ONCE = 1000
_MAX_LINE_BYTES = 10_000_000
_LIMIT_NAME = "NMT_MAX_LINE_BYTES"


class Pair(NamedTuple):
    """A sentence and its translation."""

    src: str
    tgt: str
    line: int
    """Line or record number in the corpus, from 1."""


@dataclass
class Tally:
    """How often something happened, and in which line first."""

    count: int = 0
    first_line: int | None = None

    def add(self, line: int, count: int = 1) -> None:
        """Count it `count` more times, in line `line`."""
        self.count += count
        if self.first_line is None:
            self.first_line = line


class Tallies(dict[str, Tally]):
    """Tallies by name, each starting from nothing."""

    def __missing__(self, name: str) -> Tally:
        return self.setdefault(name, Tally())


def read_pairs(
    corpus: AnyCorpus, data: DataConfig, tallies: Tallies | None = None
) -> Iterator[Pair]:
    """Read a corpus of any kind, one pair at a time.

    Control characters (C0 and DEL) become spaces: none is text, NUL ends strings inside
    SentencePiece, and a line feed from a JSON string would add a line to an output.

    Args:
        corpus: where the pairs are.
        data: the languages, whose codes are the default keys, and the policy for invalid UTF-8.
        tallies: counts what was skipped or replaced, under `INVALID_UTF8` (pairs) and
            `CONTROL_CHARACTERS` (characters; tabs are not counted).

    Raises:
        DataError: lines that do not match up, invalid UTF-8 (unless it is to be skipped), a
            missing column or key, a damaged file, no pair at all.
        FileError: a file or dataset that cannot be opened.
    """
    tallies = Tallies() if tallies is None else tallies
    last = 0
    for src, tgt, last in _raw_pairs(corpus, data):
        if isinstance(src, _Invalid) or isinstance(tgt, _Invalid):
            if data.invalid_utf8 == "error":
                line = src if isinstance(src, _Invalid) else cast(_Invalid, tgt)
                raise _invalid_error(line, "or set data.invalid_utf8=skip to drop such pairs")
            tallies[INVALID_UTF8].add(last)
            continue
        if _CONTROLS.search(src) or _CONTROLS.search(tgt):
            src, src_count = replace_controls(src)
            tgt, tgt_count = replace_controls(tgt)
            if src_count + tgt_count:
                tallies[CONTROL_CHARACTERS].add(last, src_count + tgt_count)
        yield Pair(src, tgt, last)
    if not last:
        raise DataError(f"{_location(corpus)}: there is no pair in it")


def read_lines(
    path: str | Path | None,
    invalid: Literal["error", "replace"] = "error",
    *,
    keep_bom: bool = False,
) -> Iterator[str]:
    """Read the lines of a UTF-8 text file, plain or gzip, without their ends.

    A line ends at a line feed. One carriage return before it and a byte-order mark at the
    start of the file are dropped; everything else is content.

    Args:
        path: the file; None or `-` is the standard input.
        invalid: whether bytes that are not UTF-8 are an error or become U+FFFD.
        keep_bom: a byte-order mark is content, too.

    Raises:
        ConfigError: the limit in the environment is not a number.
        DataError: invalid UTF-8, damaged gzip, or a line longer than `max_line_bytes`.
        FileError: the file cannot be read.
    """
    for line in _decoded_lines(path, keep_bom=keep_bom):
        if not isinstance(line, _Invalid):
            yield line
        elif invalid == "error":
            raise _invalid_error(line, "as with iconv or recode")
        else:
            yield line.raw.decode("utf-8", errors="replace").removeprefix(BOM)


def count_lines(path: str | Path | None) -> int | None:
    """Count the lines that `read_lines` would give, without reading a stream that cannot seek.

    Returns:
        None for the standard input, a pipe or a device, and for a file that cannot be read.
    """
    if path is None or not Path(path).is_file():
        return None
    lines, last = 0, b"\n"
    try:
        with _opened(path) as file:
            while block := file.read(1 << 20):
                lines += block.count(b"\n")
                last = block[-1:]
    except (OSError, EOFError, zlib.error):
        return None
    return lines + (last != b"\n")


def replace_controls(text: str) -> tuple[str, int]:
    """Replace each control character by a space.

    Returns:
        The text, and the number of characters replaced that were not tabs.
    """
    tabs = text.count("\t")
    text, count = _CONTROLS.subn(" ", text)
    return text, count - tabs


def corpus_name(corpus: AnyCorpus) -> str:
    """Name a corpus for tables and messages, such as `train.en.gz + train.de.gz`."""
    match corpus:
        case FilesCorpus():
            return f"{Path(corpus.src).name} + {Path(corpus.tgt).name}"
        case DatasetCorpus():
            return _location(corpus)
        case DemoCorpus():
            return f"demo {corpus.demo}"
        case _:
            return Path(_location(corpus)).name


def origin(corpus: AnyCorpus, line: int) -> str:
    """Say where a pair stands, as `file:line` (of the source side when there are two files)."""
    return f"{corpus.src if isinstance(corpus, FilesCorpus) else _location(corpus)}:{line}"


def fingerprint(corpus: AnyCorpus) -> str:
    """Hash the content of a corpus: equal content under another path has the same fingerprint.

    Returns:
        A SHA-256 in hexadecimal over the bytes of the files; of a dataset on the Hub, over the
        fingerprint that `datasets` gives it.

    Raises:
        FileError: a file or dataset that cannot be read.
    """
    digest = hashlib.sha256()
    paths = files_of(corpus)
    match corpus:
        case DatasetCorpus() if Path(corpus.dataset).is_dir():
            names = [str(path.relative_to(corpus.dataset)) for path in paths]
            digest.update("\n".join(names).encode())
        case DatasetCorpus():
            return hashlib.sha256(_load_dataset(corpus)._fingerprint.encode()).hexdigest()
        case DemoCorpus():
            for pair in read_pairs(
                corpus, DataConfig(src_lang="en", tgt_lang="de", train=[corpus])
            ):
                digest.update(f"{pair.src}\n{pair.tgt}\n".encode())
    for path in paths:
        digest.update(_file_digest(path))
    return digest.hexdigest()


def files_of(corpus: AnyCorpus) -> list[Path]:
    """List the local files that a corpus is read from."""
    match corpus:
        case FilesCorpus():
            return [Path(corpus.src), Path(corpus.tgt)]
        case DatasetCorpus():
            return sorted(path for path in Path(corpus.dataset).rglob("*") if path.is_file())
        case DemoCorpus():
            return []
        case _:
            return [Path(_location(corpus))]


def content_key(corpus: AnyCorpus) -> dict[str, Any]:
    """Describe what text a corpus gives, whatever its path and weight, as JSON values."""
    places = {"src", "tgt", "tsv", "jsonl", "parquet", "dataset", "weight"}
    return {
        "fingerprint": fingerprint(corpus),
        "kind": type(corpus).__name__,
        **corpus.model_dump(exclude=places),
    }


# ---------------------------------------------------------------- lines of a file


class _Invalid(NamedTuple):
    """A line that is not UTF-8."""

    where: str
    """`file:line:byte`, both from 1."""
    raw: bytes


def _invalid_error(line: _Invalid, advice: str) -> DataError:
    return DataError(f"{line.where}: not valid UTF-8; convert the file, {advice}")


def max_line_bytes() -> int:
    """Return the bytes that a line may have, so that no file can fill the memory with one line.

    Raises:
        ConfigError: the environment variable `NMT_MAX_LINE_BYTES` is not a positive number.
    """
    text = os.environ.get(_LIMIT_NAME, "")
    if not text:
        return _MAX_LINE_BYTES
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 1 << 62):
        raise ConfigError(
            f"the environment variable {_LIMIT_NAME}={text:.30}: not a number of bytes above 0"
        )
    return int(text)


def _decoded_lines(path: str | Path | None, *, keep_bom: bool = False) -> Iterator[str | _Invalid]:
    name = "standard input" if path is None or str(path) == "-" else str(path)
    for number, raw in enumerate(_byte_lines(path, name), 1):
        end = -2 if raw.endswith(b"\r\n") else -1 if raw.endswith(b"\n") else None
        try:
            line = raw[:end].decode("utf-8")
        except UnicodeDecodeError as error:
            yield _Invalid(f"{name}:{number}:{error.start + 1}", raw[:end])
            continue
        yield line.removeprefix(BOM) if number == 1 and not keep_bom else line


def _byte_lines(path: str | Path | None, name: str) -> Iterator[bytes]:
    """Yield the lines of a file with their line feeds."""
    limit = max_line_bytes()
    try:
        with _opened(path) as file:
            # Of a line that is too long, no more is read than shows that it is.
            for number, line in enumerate(iter(partial(file.readline, limit + 1), b""), 1):
                if len(line) > limit and not line.endswith(b"\n"):
                    raise DataError(
                        f"{name}:{number}: a line of more than {limit:,} bytes; if it is meant to "
                        f"be there, set the environment variable {_LIMIT_NAME} to a larger number"
                    )
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: damaged gzip, cut short perhaps: {error}") from error
    except OSError as error:
        raise FileError(f"{name}: cannot read it: {error.strerror or error}") from error


@contextlib.contextmanager
def _opened(path: str | Path | None) -> Iterator[BinaryIO]:
    with contextlib.ExitStack() as stack:
        if path is None or str(path) == "-":
            file = cast(io.BufferedReader, sys.stdin.buffer)
        else:
            file = stack.enter_context(open(path, "rb"))
        named_gzip = path is not None and str(path).endswith(".gz")
        # A file of no bytes is read as empty, whatever its name.
        if file.peek(2)[:2] == _GZIP_MAGIC or (named_gzip and file.peek(1)):
            unzipped = stack.enter_context(gzip.GzipFile(fileobj=file))
            # GzipFile finds line ends in Python, a BufferedReader around it in C.
            file = io.BufferedReader(cast(io.RawIOBase, unzipped), 1 << 16)
        yield file


def _file_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():  # a pipe, a device
            raise DataError(f"{path}: not a file: a corpus is read more than once")
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise FileError(f"{path}: cannot read it: {error.strerror or error}") from error
    return digest.digest()


# ---------------------------------------------------------------- pairs of a corpus

_RawPair = tuple[str | _Invalid, str | _Invalid, int]


def _raw_pairs(corpus: AnyCorpus, data: DataConfig) -> Iterator[_RawPair]:
    match corpus:
        case FilesCorpus():
            return _file_pairs(corpus)
        case TsvCorpus():
            return _tsv_pairs(corpus)
        case DemoCorpus():
            from nmt.data import phrasebook

            numbered = enumerate(phrasebook.pairs(corpus.demo), 1)
            return ((pair.src, pair.tgt, number) for number, pair in numbered)
    keys = corpus.src_key or data.src_lang, corpus.tgt_key or data.tgt_lang
    match corpus:
        case JsonlCorpus():
            return _record_pairs(_jsonl_records(corpus.jsonl), corpus.jsonl, *keys)
        case ParquetCorpus():
            return _record_pairs(_parquet_records(corpus.parquet, keys), corpus.parquet, *keys)
        case DatasetCorpus():
            return _record_pairs(_dataset_records(corpus, keys), _location(corpus), *keys)


def _location(corpus: AnyCorpus) -> str:
    match corpus:
        case FilesCorpus():
            return f"{corpus.src} + {corpus.tgt}"
        case TsvCorpus():
            return corpus.tsv
        case JsonlCorpus():
            return corpus.jsonl
        case ParquetCorpus():
            return corpus.parquet
        case DatasetCorpus():
            return " ".join(filter(None, (corpus.dataset, corpus.name, corpus.split)))
        case DemoCorpus():
            return f"demo {corpus.demo}"


def _file_pairs(corpus: FilesCorpus) -> Iterator[_RawPair]:
    sides = _decoded_lines(corpus.src), _decoded_lines(corpus.tgt)
    for number, (src, tgt) in enumerate(itertools.zip_longest(*sides), 1):
        if src is None or tgt is None:
            # zip_longest has taken line `number` from the side that goes on.
            src_count, tgt_count = (
                number - 1 if line is None else number + sum(1 for _ in rest)
                for line, rest in zip((src, tgt), sides, strict=True)
            )
            raise DataError(
                f"{corpus.src} has {src_count} lines, but {corpus.tgt} has {tgt_count}: "
                "line n of one must be the translation of line n of the other"
            )
        yield src, tgt, number


def _tsv_pairs(corpus: TsvCorpus) -> Iterator[_RawPair]:
    columns: tuple[int | str, ...] = corpus.src_column, corpus.tgt_column
    for number, line in enumerate(_decoded_lines(corpus.tsv), 1):
        if isinstance(line, _Invalid):
            yield line, line, number
            continue
        fields = line.split("\t")
        if any(isinstance(column, str) for column in columns):
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


# ---------------------------------------------------------------- records with keys


def _record_pairs(
    records: Iterable[Any], location: str, src_key: str, tgt_key: str
) -> Iterator[_RawPair]:
    for number, record in enumerate(records, 1):
        if isinstance(record, _Invalid):
            yield record, record, number
            continue
        where = f"{location}:{number}"
        yield _text(record, src_key, where), _text(record, tgt_key, where), number


def _text(record: Any, key: str, where: str) -> str | _Invalid:
    try:
        text = _lookup(record, key)
    except KeyError as error:
        raise DataError(f"{where}: no key {key!r}{_known(record)}") from error
    if not isinstance(text, str):
        raise DataError(f"{where}: {key!r} must be a string, but it is {text!r:.80}")
    try:
        text.encode("utf-8")  # JSON can spell halves of surrogate pairs, which are no text
    except UnicodeEncodeError as error:
        return _Invalid(f"{where}:{error.start + 1}", text.encode("utf-8", "replace"))
    return text


def _lookup(record: Any, key: str) -> Any:
    """Find `a.b` as the key `a.b`, or else as the key `b` of what `a` holds."""
    if not isinstance(record, dict):
        raise KeyError(key)
    if key in record:
        return record[key]
    head, dot, rest = key.partition(".")
    if not dot or head not in record:
        raise KeyError(key)
    return _lookup(record[head], rest)


def _known(record: Any) -> str:
    if not isinstance(record, dict):
        return f" in {record!r:.80}"
    return f"; known are {', '.join(map(str, record))}" if record else ""


def _jsonl_records(path: str) -> Iterator[Any]:
    for number, line in enumerate(_decoded_lines(path), 1):
        if isinstance(line, _Invalid):
            yield line
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not valid JSON: {error}") from error


def _parquet_records(path: str, keys: tuple[str, str]) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            columns = _columns(path, file.schema_arrow.names, keys)
            for batch in file.iter_batches(_RECORDS_AT_ONCE, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a sound Parquet file: {error}") from error
    except OSError as error:
        raise FileError(f"{path}: cannot read it: {error.strerror or error}") from error


def _columns(location: str, names: list[str], keys: tuple[str, str]) -> list[str]:
    """Name the columns that hold the keys, so that no others (pictures, audio) are read."""
    columns = [key if key in names else key.partition(".")[0] for key in keys]
    for key, column in zip(keys, columns, strict=True):
        if column not in names:
            raise DataError(f"{location}: no column {key!r}; known are {', '.join(names)}")
    return list(dict.fromkeys(columns))


def _dataset_records(corpus: DatasetCorpus, keys: tuple[str, str]) -> Iterator[Any]:
    dataset = _load_dataset(corpus)
    columns = _columns(_location(corpus), dataset.column_names, keys)
    tables = dataset.select_columns(columns).with_format("arrow")
    for table in tables.iter(_RECORDS_AT_ONCE):
        yield from table.to_pylist()


def _load_dataset(corpus: DatasetCorpus) -> datasets.Dataset:
    import datasets

    directory = Path(corpus.dataset)
    try:
        if any((directory / name).is_file() for name in ("state.json", "dataset_dict.json")):
            return _saved_split(datasets.load_from_disk(corpus.dataset), corpus.split)
        return datasets.load_dataset(corpus.dataset, corpus.name, split=corpus.split)
    except Exception as error:  # a library of a hundred kinds of failure; all mean the same here
        raise FileError(
            f"{_location(corpus)}: cannot load the dataset: {error}",
            "Without a network, give local files in its place, for example "
            "data.train='{src: FILE, tgt: FILE}'",
        ) from error


def _saved_split(saved: datasets.Dataset | datasets.DatasetDict, split: str) -> datasets.Dataset:
    """Take a split, or a slice such as `train[:10%]`, of what `save_to_disk` wrote."""
    import datasets

    name = split.partition("[")[0]
    if isinstance(saved, datasets.Dataset):
        if saved.split is not None and str(saved.split) != name:
            raise ValueError(f"it holds the split {saved.split}, not {name}")
        saved = datasets.DatasetDict({name: saved})
    lengths = {name: len(part) for name, part in saved.items()}
    return datasets.concatenate_datasets(
        [
            saved[part.splitname].select(range(part.from_ or 0, part.to or lengths[part.splitname]))
            for part in datasets.ReadInstruction.from_spec(split).to_absolute(lengths)
        ]
    )
