"""Lines of text files: line ends, invalid bytes, and the limit on their length."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from nmt.data.corpus import fingerprint
from nmt.data.lines import count_lines, read_lines
from nmt.errors import ConfigError, DataError

from .conftest import corpus_of, error_of, write


def test_lines_are_raw_except_for_their_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"\xef\xbb\xbfa\x0b\xef\xbb\xbf\rb\r\n\nc\r")
    assert list(read_lines(path)) == ["a\x0b\ufeff\rb", "", "c\r"]


def test_invalid_utf8_can_be_replaced(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "f", b"a\xffb\n"), "replace")) == ["a\ufffdb"]


def test_standard_input_may_be_plain_or_gzip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (b"a\nb\n", gzip.compress(b"a\nb\n")):
        with open(write(tmp_path / "f", content)) as file:
            monkeypatch.setattr("sys.stdin", file)
            assert list(read_lines("-")) == ["a", "b"]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"one", b"one\n", b"one\n\ntwo", b"one\r\n\xe2\x80\xa8\n"]
)
def test_count_lines_agrees_with_read_lines(tmp_path: Path, content: bytes) -> None:
    for name, data in (("plain", content), ("packed.gz", gzip.compress(content))):
        path = tmp_path / name
        path.write_bytes(data)
        assert count_lines(path) == len(list(read_lines(path)))


def test_lines_of_streams_and_unreadable_files_are_not_counted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "damaged.gz").write_bytes(gzip.compress(b"one\n")[:-3])
    for path in (None, "-", tmp_path / "pipe", tmp_path / "damaged.gz", tmp_path / "missing"):
        assert count_lines(path) is None


def test_a_line_longer_than_the_limit_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", "8")
    path = tmp_path / "text"
    path.write_bytes(b"1234\n12345678\n12345678")
    assert list(read_lines(path)) == ["1234", "12345678", "12345678"]
    for content in (b"1234\n123456789\n", b"1234\n123456789"):
        for name, data in (("text", content), ("text.gz", gzip.compress(content))):
            (tmp_path / name).write_bytes(data)
            with pytest.raises(
                DataError, match=rf"{name}:2: a line of more than 8 bytes; .* NMT_MAX_LINE_BYTES"
            ):
                list(read_lines(tmp_path / name))
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", "9")
    assert list(read_lines(path)) == ["1234", "123456789"]


def test_the_limit_holds_for_every_kind_of_text_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", "30")
    (tmp_path / "short").write_text("a\tb\n", "utf-8")
    (tmp_path / "long").write_text('{"en": "a", "de": "b", "other": "a b c d e"}\n', "utf-8")
    short, long = str(tmp_path / "short"), str(tmp_path / "long")
    for corpus in (
        corpus_of(src=short, tgt=long),
        corpus_of(tsv=long, src_column=0, tgt_column=1),
        corpus_of(jsonl=long),
    ):
        assert "long:1: a line of more than 30 bytes" in error_of(corpus)


@pytest.mark.parametrize("text", ["x", "0", "-1", "1e6", "9" * 30, "²"])
def test_the_limit_must_be_a_positive_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", text)
    with pytest.raises(ConfigError, match="NMT_MAX_LINE_BYTES"):
        list(read_lines(tmp_path / "text"))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero")
def test_endless_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/dev/zero:1: a line of more than 10,000,000 bytes"):
        list(read_lines("/dev/zero"))
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", str(tmp_path / "pipe")):
        with pytest.raises(DataError, match="not a plain file; a corpus is read more than once"):
            fingerprint(corpus_of(src=path, tgt=path))
