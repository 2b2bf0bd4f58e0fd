"""Reading documents."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nmt.documents import formats
from nmt.documents.formats import format_of, read_document
from nmt.errors import ConfigError, FileError


def test_endings() -> None:
    assert format_of(Path("a/b.HTM")) == "html"
    assert format_of(Path("b.docx")) == "docx"
    assert [format_of(path) for path in (None, Path("a.txt"), Path("a.html.gz"), Path("-"))] == (
        [None] * 4
    )


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"a\.txt: not a format of documents that nmt knows: html"
    ):
        read_document(tmp_path / "a.txt", "en")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "nmt.documents.xliff", raising=False)
    monkeypatch.delitem(sys.modules, "nmt.documents.xml_document", raising=False)
    monkeypatch.setitem(sys.modules, "lxml", None)
    with pytest.raises(
        ConfigError, match=r"the format xliff needs lxml.*: run `pip install '\.\[formats"
    ):
        read_document(tmp_path / "a.xlf", "en")


def test_the_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_BYTES", 100)
    (tmp_path / "a.html").write_bytes(b"a" * 101)
    with pytest.raises(FileError, match="larger than 100 bytes"):
        read_document(tmp_path / "a.html", "en")
