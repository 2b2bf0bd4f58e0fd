"""Pairs from records with keys: JSON Lines, Parquet and `datasets`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.config.corpora import DatasetCorpus
from nmt.data.lines import InvalidLine, decoded_lines
from nmt.errors import DataError, FileError
from nmt.files import as_file_error

if TYPE_CHECKING:
    import datasets

RawPair = tuple[str | InvalidLine, str | InvalidLine, int]
"""Source, target, and the line or record number from 1."""

_RECORDS_AT_ONCE = 1000


def record_pairs(
    records: Iterable[Any], location: str, src_key: str, tgt_key: str
) -> Iterator[RawPair]:
    """Yield the pair of texts that each record holds under two keys.

    Args:
        records: dicts, which may be nested, or an InvalidLine where a record could not be decoded.
        location: name of the corpus for messages.
        src_key: key of the source text; `a.b` is the key `a.b`, or the key `b` inside `a`.
        tgt_key: the same for the target text.

    Raises:
        DataError: if a key is missing or its value is not a string.
    """
    for number, record in enumerate(records, 1):
        if isinstance(record, InvalidLine):
            yield record, record, number
            continue
        where = f"{location}:{number}"
        yield _text(record, src_key, where), _text(record, tgt_key, where), number


def jsonl_records(path: str) -> Iterator[Any]:
    """Yield the value on each line of a JSON Lines file.

    Raises:
        DataError: if a line is not valid JSON.
    """
    for number, line in enumerate(decoded_lines(path), 1):
        if isinstance(line, InvalidLine):
            yield line
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not valid JSON: {error}") from error


def parquet_records(path: str, keys: tuple[str, str]) -> Iterator[Any]:
    """Yield the rows of a Parquet file as dicts, with the columns of `keys` only.

    Raises:
        DataError: if the file is damaged or lacks a column.
        FileError: if the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with as_file_error(path, "cannot be read"), pq.ParquetFile(path, memory_map=True) as file:
            columns = _columns(path, file.schema_arrow.names, keys)
            for batch in file.iter_batches(_RECORDS_AT_ONCE, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a valid Parquet file: {error}") from error


def dataset_records(
    corpus: DatasetCorpus, keys: tuple[str, str], *, streaming: bool = False
) -> Iterator[Any]:
    """Yield the rows of a dataset as dicts, with the columns of `keys` only.

    Args:
        corpus: the dataset.
        keys: source and target.
        streaming: read it while it is downloaded, without keeping it on disk. The rows then have
            all columns.

    Raises:
        DataError: if a column is missing.
        FileError: if the dataset cannot be loaded.
    """
    if streaming:
        yield from _streamed(corpus)
        return
    dataset = load_dataset(corpus)
    columns = _columns(dataset_name(corpus), dataset.column_names, keys)
    tables = dataset.select_columns(columns).with_format("arrow")
    for table in tables.iter(_RECORDS_AT_ONCE):
        yield from table.to_pylist()


def _streamed(corpus: DatasetCorpus) -> Iterator[Any]:
    import datasets

    if _is_saved(corpus):
        yield from load_dataset(corpus)
        return
    with _loading(corpus):
        yield from datasets.load_dataset(
            corpus.dataset, corpus.name, split=corpus.split, streaming=True
        )


def load_dataset(corpus: DatasetCorpus) -> datasets.Dataset:
    """Load one split from the Hub, a directory of data files, or a `save_to_disk` directory.

    Raises:
        FileError: if it cannot be loaded.
    """
    import datasets

    with _loading(corpus):
        if _is_saved(corpus):
            return _saved_split(datasets.load_from_disk(corpus.dataset), corpus.split)
        return datasets.load_dataset(corpus.dataset, corpus.name, split=corpus.split)


def _is_saved(corpus: DatasetCorpus) -> bool:
    """Return whether `save_to_disk` wrote the dataset."""
    names = ("state.json", "dataset_dict.json")
    return any((Path(corpus.dataset) / name).is_file() for name in names)


@contextmanager
def _loading(corpus: DatasetCorpus) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the library raises many types, which all mean the same here
        raise FileError(
            f"{dataset_name(corpus)}: cannot load the dataset: {error}",
            "Without a network, use local files instead, for example "
            "data.train='{src: FILE, tgt: FILE}'",
        ) from error


def dataset_name(corpus: DatasetCorpus) -> str:
    """Return a name for messages, such as `user/dataset de-en train`."""
    return " ".join(filter(None, (corpus.dataset, corpus.name, corpus.split)))


def _saved_split(saved: datasets.Dataset | datasets.DatasetDict, split: str) -> datasets.Dataset:
    """Select a split, or a slice such as `train[:10%]`, of a dataset that `save_to_disk` wrote."""
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


def _columns(location: str, names: list[str], keys: tuple[str, str]) -> list[str]:
    """Return the columns that hold the keys, so that no others (images, audio) are read."""
    columns = [key if key in names else key.partition(".")[0] for key in keys]
    for key, column in zip(keys, columns, strict=True):
        if column not in names:
            raise DataError(f"{location}: no column {key!r}; the columns are {', '.join(names)}")
    return list(dict.fromkeys(columns))


def _text(record: Any, key: str, where: str) -> str | InvalidLine:
    try:
        text = _lookup(record, key)
    except KeyError as error:
        raise DataError(f"{where}: no key {key!r}{_known_keys(record)}") from error
    if not isinstance(text, str):
        raise DataError(f"{where}: {key!r} must be a string, but it is {text!r:.80}")
    try:
        text.encode("utf-8")  # JSON escapes can spell lone surrogates, which are not text
    except UnicodeEncodeError as error:
        return InvalidLine(f"{where}:{error.start + 1}", text.encode("utf-8", "replace"))
    return text


def _lookup(record: Any, key: str) -> Any:
    """Return the value of the key `a.b`, or else of the key `b` inside `a`."""
    if not isinstance(record, dict):
        raise KeyError(key)
    if key in record:
        return record[key]
    head, dot, rest = key.partition(".")
    if not dot or head not in record:
        raise KeyError(key)
    return _lookup(record[head], rest)


def _known_keys(record: Any) -> str:
    if not isinstance(record, dict):
        return f" in {record!r:.80}"
    return f"; the keys are {', '.join(map(str, record))}" if record else ""
