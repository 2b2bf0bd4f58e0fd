"""JSON Lines, Parquet and datasets: keys, columns, and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nmt.errors import FileError

from .conftest import PAIRS, corpus_of, error_of, pairs_of, write


def test_jsonl_with_plain_nested_and_dotted_keys(tmp_path: Path) -> None:
    plain = write(tmp_path / "1", '{"en": "a", "de": "x"}\n{"de": "y", "en": "b"}')
    assert pairs_of(corpus_of(jsonl=plain)) == PAIRS
    nested = write(
        tmp_path / "2", '{"t": {"en": "a", "de": "x"}}\n{"t.en": "b", "t": {"en": "", "de": "y"}}'
    )
    assert pairs_of(corpus_of(jsonl=nested, src_key="t.en", tgt_key="t.de")) == PAIRS


def test_a_line_feed_in_a_json_string_becomes_a_space(tmp_path: Path) -> None:
    path = write(tmp_path / "f", json.dumps({"en": "a\nb\u2028", "de": "x"}))
    assert pairs_of(corpus_of(jsonl=path)) == [("a b\u2028", "x")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"en": "b"}', "no key 'de'; the keys are en"),
        ('["en", "de"]', "no key 'en' in ['en', 'de']"),
        ('{"en": "b", "de": 3}', "'de' must be a string, but it is 3"),
        ('{"en": "b", "de": null}', "'de' must be a string, but it is None"),
        ('{"en": "\\ud800", "de": "y"}', "1: not valid UTF-8"),
    ],
)
def test_bad_jsonl(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "f", '{"en": "a", "de": "x"}\n' + line)
    error = error_of(corpus_of(jsonl=path))
    assert error.startswith(f"{path}:2:")
    assert message in error


def parquet(path: Path, rows: list[dict[str, Any]]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def test_parquet(tmp_path: Path) -> None:
    rows = [{"en": "a", "de": "x", "n": 1}, {"en": "b", "de": "y", "n": 2}]
    assert pairs_of(corpus_of(parquet=parquet(tmp_path / "1", rows))) == PAIRS
    nested = parquet(tmp_path / "2", [{"translation": row} for row in rows])
    keys = {"src_key": "translation.en", "tgt_key": "translation.de"}
    assert pairs_of(corpus_of(parquet=nested, **keys)) == PAIRS
    assert "no column 'en'; the columns are translation" in error_of(corpus_of(parquet=nested))
    assert "no key 'translation.fr'" in error_of(
        corpus_of(parquet=nested, src_key="translation.fr", tgt_key="translation.de")
    )


def test_bad_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "f", [{"en": "a", "de": None}, {"en": "b", "de": "y"}])
    assert error_of(corpus_of(parquet=path)).startswith(f"{path}:1: 'de' must be a string")
    cut = write(tmp_path / "cut", Path(path).read_bytes()[:-30])
    assert error_of(corpus_of(parquet=cut)).startswith(f"{cut}: not a valid Parquet file")
    missing = str(tmp_path / "missing")
    assert "cannot be read" in error_of(corpus_of(parquet=missing), FileError)


def test_datasets_saved_to_disk(tmp_path: Path) -> None:
    import datasets

    table = datasets.Dataset.from_dict({"en": ["a", "b", "c"], "de": ["x", "y", "z"]})
    table.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"test": table}).save_to_disk(tmp_path / "many")
    whole = [*PAIRS, ("c", "z")]
    assert pairs_of(corpus_of(dataset=str(tmp_path / "one"))) == whole
    many = str(tmp_path / "many")
    assert pairs_of(corpus_of(dataset=many, split="test")) == whole
    assert pairs_of(corpus_of(dataset=many, split="test[:2]")) == PAIRS
    message = error_of(corpus_of(dataset=many), FileError)
    assert "cannot load the dataset" in message
    assert "data.train='{src: FILE, tgt: FILE}'" in message
    assert "no column 'fr'" in error_of(corpus_of(dataset=many, split="test", src_key="fr"))


def test_a_directory_of_data_files_is_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "train.jsonl", '{"en": "a", "de": "x"}\n{"en": "b", "de": "y"}\n')
    assert pairs_of(corpus_of(dataset=str(tmp_path / "data"))) == PAIRS
