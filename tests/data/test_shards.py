"""Corpora of many files."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.config.corpora import FilesCorpus
from nmt.data.corpus import files_of
from nmt.data.shards import shards
from nmt.errors import ConfigError, DataError, FileError

from .conftest import corpus_of, error_of, pairs_of, write


def make(folder: Path, *names: str) -> None:
    for name in names:
        write(folder / name, f"{name} 1\n{name} 2\n")


def test_numbered_shards_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    make(tmp_path, *(f"part-{n}.{side}" for n in (10, 2, 1) for side in ("en", "de")))
    corpus = corpus_of(src=f"{tmp_path}/part-*.en", tgt=f"{tmp_path}/part-*.de", weight=2)
    assert [(shard.src, shard.weight) for shard in shards(corpus)] == [  # type: ignore[union-attr]
        (f"{tmp_path}/part-{n}.en", 2) for n in (1, 2, 10)
    ]
    assert pairs_of(corpus) == [
        (f"part-{n}.en {line}", f"part-{n}.de {line}") for n in (1, 2, 10) for line in (1, 2)
    ]
    assert len(files_of(corpus)) == 6


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("part-?.tsv", ["1", "2"]), ("part-[!1]*.tsv", ["2"]), ("part-[13].tsv", ["1"])],
)
def test_wildcards(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    make(tmp_path, "part-1.tsv", "part-2.tsv", "part-10.tsv")
    found = shards(corpus_of(tsv=f"{tmp_path}/{pattern}"))
    assert [shard.tsv for shard in found] == [  # type: ignore[union-attr]
        f"{tmp_path}/part-{number}.tsv" for number in expected
    ]


def test_a_file_with_such_a_name_is_no_pattern(tmp_path: Path) -> None:
    make(tmp_path, "a[1].en", "a1.en", "b.de")
    corpus = corpus_of(src=f"{tmp_path}/a[1].en", tgt=f"{tmp_path}/b.de")
    assert shards(corpus) == [corpus]


def test_what_does_not_match(tmp_path: Path) -> None:
    make(tmp_path, "a.1.en", "a.2.en", "a.1.de", "b.de")
    corpus = corpus_of(src=f"{tmp_path}/a.*.en", tgt=f"{tmp_path}/a.*.de")
    assert isinstance(corpus, FilesCorpus)
    message = error_of(corpus)
    assert message == (
        f"{tmp_path}/a.2.en: has no counterpart among the files that match {corpus.tgt}"
    )
    only_src = corpus.model_copy(update={"tgt": f"{tmp_path}/b.de"})
    assert "both sides need one" in error_of(only_src, ConfigError)
    nothing = corpus_of(jsonl=f"{tmp_path}/*.jsonl")
    assert "/*.jsonl: cannot be read: there is no such file, and none matches it" in error_of(
        nothing, FileError
    )


def test_an_error_names_the_shard(tmp_path: Path) -> None:
    make(tmp_path, "a.1.en", "a.1.de", "a.2.en")
    write(tmp_path / "a.2.de", "one line\n")
    corpus = corpus_of(src=f"{tmp_path}/a.*.en", tgt=f"{tmp_path}/a.*.de")
    with pytest.raises(DataError, match=r"a\.2\.en has 2 lines, but .*a\.2\.de has 1"):
        pairs_of(corpus)
