"""Documents that installed packages ship, copied."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from nmt.documents.formats import FORMATS, read_document

from .copies import copied

_MAX_BYTES = 60_000
_MAX_FILES = 40
_FOLDERS = [Path(sysconfig.get_path("purelib")), Path(__file__).parents[2]]


def found(name: str) -> list[Path]:
    """Return some files of a format."""
    paths = (
        path
        for folder in _FOLDERS
        for ending in FORMATS[name].endings
        for path in sorted(folder.rglob(f"*{ending}"))
    )
    return [path for path in paths if path.stat().st_size <= _MAX_BYTES][:_MAX_FILES]


@pytest.mark.parametrize("name", ["html", "markdown", "srt", "vtt"])
def test_a_copy_has_the_same_bytes(name: str) -> None:
    if not (paths := found(name)):
        pytest.skip(f"no installed package has a file of the format {name}")
    for path in paths:
        content = path.read_bytes()
        assert copied(read_document(path, "en", name)) == content, path


@pytest.mark.parametrize("name", ["po", "xliff", "docx", "odt"])
def test_a_copy_of_a_copy_is_the_same(name: str, tmp_path: Path) -> None:
    if not (paths := found(name)):
        pytest.skip(f"no installed package has a file of the format {name}")
    for path in paths:
        copy = copied(read_document(path, "en", name))
        (tmp_path / path.name).write_bytes(copy)
        assert copied(read_document(tmp_path / path.name, "en", name)) == copy, path
