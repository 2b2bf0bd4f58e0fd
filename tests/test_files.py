"""Reading what somebody else may have made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nmt.errors import FileError
from nmt.files import open_lock, read_bounded


def test_a_file_is_read_whole_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"four")
    assert read_bounded(path, 4) == b"four"
    with pytest.raises(FileError, match="file: cannot be read: it has more than 3 bytes"):
        read_bounded(path, 3)


def test_what_is_no_plain_file_is_refused_or_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    for path, kind in {
        tmp_path / "link": "a symbolic link",
        tmp_path / "pipe": "a named pipe",
        tmp_path: "a directory",
        Path("/dev/zero"): "a device",
    }.items():
        with pytest.raises(FileError, match=f"{path}: {kind}, not a plain file"):
            read_bounded(path, 9)
    assert read_bounded(tmp_path / "link", 9, plain=False) == b"x"
    with pytest.raises(FileError, match="more than 9 bytes"):
        read_bounded(Path("/dev/zero"), 9, plain=False)


def test_a_lock_follows_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("made")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises((FileError, OSError)):
            open_lock(tmp_path / name)
    assert not (tmp_path / "made").exists()
