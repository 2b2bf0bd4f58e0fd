"""Pairs read from corpora, and the error for each kind of bad input."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from nmt.config.corpora import AnyCorpus
from nmt.config.data import DataConfig
from nmt.data.corpus import (
    CONTROL_CHARACTERS,
    INVALID_UTF8,
    Tallies,
    corpus_name,
    fingerprint,
    origin,
    read_pairs,
)
from nmt.data.lines import replace_controls
from nmt.errors import FileError

from .conftest import PAIRS, corpus_of, error_of, pairs_of, write


@pytest.fixture
def files(tmp_path: Path) -> Any:
    def make(src: bytes | str, tgt: bytes | str) -> AnyCorpus:
        return corpus_of(
            src=write(tmp_path / "train.en", src), tgt=write(tmp_path / "train.de", tgt)
        )

    return make


@pytest.mark.parametrize(
    "src",
    [b"a\nb\n", b"a\nb", b"a\r\nb\r\n", b"\xef\xbb\xbfa\nb\n", gzip.compress(b"a\nb\n")],
    ids=["plain", "no final line feed", "CRLF", "BOM", "gzip without the suffix"],
)
def test_every_form_of_a_text_file_gives_the_same_pairs(files: Any, src: bytes) -> None:
    assert pairs_of(files(src, "x\ny\n")) == PAIRS


def test_gzip_files_with_several_members(tmp_path: Path) -> None:
    twice = gzip.compress(b"a\n") + gzip.compress(b"b\n")
    corpus = corpus_of(
        src=write(tmp_path / "s.gz", twice), tgt=write(tmp_path / "t.gz", gzip.compress(b"x\ny"))
    )
    assert pairs_of(corpus) == PAIRS


def test_only_a_line_feed_ends_a_line(files: Any) -> None:
    strange = "a\u2028b\u2029c\u0085d"
    assert pairs_of(files(f"{strange}\n2\n", "1\n2\n")) == [(strange, "1"), ("2", "2")]
    controls = "a\x0bb\x0cc\x1cd\re"
    assert pairs_of(files(f"{controls}\n2\n", "1\n2\n")) == [("a b c d e", "1"), ("2", "2")]


def test_control_characters_become_spaces_and_are_counted(files: Any) -> None:
    tallies = Tallies()
    corpus = files("a\tb\nc\x00d\x01\n", "x\ny\x7f\n")
    config = DataConfig(src_lang="en", tgt_lang="de", train=[corpus])
    pairs = list(read_pairs(corpus, config, tallies))
    assert [pair[:3] for pair in pairs] == [("a b", "x", 1), ("c d ", "y ", 2)]
    assert (tallies[CONTROL_CHARACTERS].count, tallies[CONTROL_CHARACTERS].first_line) == (3, 2)
    assert replace_controls("a\tb\nc") == ("a b c", 1)


@pytest.mark.parametrize(
    ("src", "tgt", "counts"),
    [("1\n2\n3\n", "1\n", (3, 1)), ("1\n", "1\n2\n3\n4", (1, 4)), ("", "1\n2\n", (0, 2))],
)
def test_files_with_different_numbers_of_lines(files: Any, src: str, tgt: str, counts: Any) -> None:
    corpus = files(src, tgt)
    message = error_of(corpus)
    assert f"{corpus.src} has {counts[0]} lines, but {corpus.tgt} has {counts[1]}" in message


def test_empty_files(files: Any) -> None:
    corpus = files("", "")
    assert error_of(corpus) == f"{corpus.src} + {corpus.tgt}: contains no pairs"


def test_an_empty_file_named_gz(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.gz", b"")
    assert "contains no pairs" in error_of(corpus_of(src=path, tgt=path))


def test_the_error_for_invalid_utf8_names_file_line_and_byte(files: Any) -> None:
    corpus = files("a\nb\n", b"x\nya\xff\n")
    assert error_of(corpus).startswith(f"{corpus.tgt}:2:3: not valid UTF-8")
    corpus = files(b"\xef\xbb\xbf\xff\n", "x\n")
    assert error_of(corpus).startswith(f"{corpus.src}:1:4: ")


def test_invalid_utf8_can_be_skipped_and_is_counted(files: Any) -> None:
    tallies = Tallies()
    corpus = files(b"a\n\xff\nc\n\xff\n", "1\n2\n3\n4\n")
    config = DataConfig(src_lang="en", tgt_lang="de", train=[corpus], invalid_utf8="skip")
    assert [pair.line for pair in read_pairs(corpus, config, tallies)] == [1, 3]
    assert (tallies[INVALID_UTF8].count, tallies[INVALID_UTF8].first_line) == (2, 2)


@pytest.mark.parametrize("damage", ["cut", "flipped", "not gzip"])
def test_damaged_gzip(tmp_path: Path, damage: str) -> None:
    whole = gzip.compress("\n".join(map(str, range(5000))).encode())
    content = {
        "cut": whole[:-20],
        "flipped": whole[:500] + bytes(50) + whole[550:],
        "not gzip": b"text",
    }[damage]
    path = write(tmp_path / "bad.gz", content)
    assert error_of(corpus_of(src=path, tgt=path)).startswith(f"{path}: damaged or truncated gzip")


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (str(tmp_path / "missing"), str(tmp_path)):
        assert error_of(corpus_of(src=path, tgt=path), FileError).startswith(
            f"{path}: cannot be read"
        )
        with pytest.raises(FileError, match="cannot be read"):
            fingerprint(corpus_of(src=path, tgt=path))


def test_tsv_columns_by_number_and_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "f.tsv", "1\ta\tx\n2\tb\ty\n")
    assert pairs_of(corpus_of(tsv=path, src_column=1, tgt_column=2)) == PAIRS
    path = write(tmp_path / "g.tsv", "id\tde\ten\n1\tx\ta\n2\ty\tb\n")
    assert pairs_of(corpus_of(tsv=path, src_column="en", tgt_column="de")) == PAIRS
    assert pairs_of(corpus_of(tsv=path, src_column="en", tgt_column=1)) == PAIRS


def test_tsv_without_the_column(tmp_path: Path) -> None:
    path = write(tmp_path / "f.tsv", "a\tx\nb\n")
    assert error_of(corpus_of(tsv=path)).startswith(f"{path}:2: no column 1")
    message = error_of(corpus_of(tsv=path, src_column="en"))
    assert message == f"{path}:1: no column 'en'; the first line has a, x"
    bad = write(tmp_path / "g.tsv", b"a\tx\nb\xff\ty\n")
    assert error_of(corpus_of(tsv=bad)).startswith(f"{bad}:2:2: not valid UTF-8")


def test_a_fingerprint_depends_on_content_only(tmp_path: Path) -> None:
    first = corpus_of(src=write(tmp_path / "a", "1"), tgt=write(tmp_path / "b", "2"))
    same = corpus_of(src=write(tmp_path / "c", "1"), tgt=write(tmp_path / "d", "2"), weight=2)
    other = corpus_of(src=write(tmp_path / "e", "12"), tgt=write(tmp_path / "f", ""))
    assert fingerprint(first) == fingerprint(same)
    assert len({fingerprint(first), fingerprint(other)}) == 2
    swapped = corpus_of(src=str(tmp_path / "b"), tgt=str(tmp_path / "a"))
    assert fingerprint(swapped) != fingerprint(first)


def test_the_fingerprint_of_a_dataset_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    corpus = corpus_of(dataset=str(tmp_path / "data"))
    seen = set()
    for content in ("1", "2"):
        write(tmp_path / "data" / "train.txt", content)
        seen.add(fingerprint(corpus))
    (tmp_path / "data" / "train.txt").rename(tmp_path / "data" / "test.txt")
    assert len(seen | {fingerprint(corpus)}) == 3


def test_names_and_origins() -> None:
    corpus = corpus_of(src="a/t.en.gz", tgt="a/t.de.gz")
    assert corpus_name(corpus) == "t.en.gz + t.de.gz"
    assert origin(corpus, 7) == "a/t.en.gz:7"
    assert corpus_name(corpus_of(tsv="a/b.tsv")) == "b.tsv"
    assert origin(corpus_of(jsonl="a/b.jsonl"), 3) == "a/b.jsonl:3"
    assert corpus_name(corpus_of(dataset="u/d", name="de-en")) == "u/d de-en train"
    assert corpus_name(corpus_of(demo="valid")) == "demo valid"
