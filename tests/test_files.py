"""Bounded reading, atomic writing, links, locks, and outputs that are also inputs."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmt import files
from nmt.errors import ConfigError, FileError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.yaml"
    files.write_text(path, "old\n")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"config\.yaml: cannot be written: No space"):
        files.write_text(path, "new\n")
    assert path.read_text("utf-8") == "old\n"
    assert names(tmp_path) == ["config.yaml"]


def test_a_file_named_by_nmt_replaces_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out").symlink_to(victim)
    files.write_text(tmp_path / "out", "new")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "out").is_symlink()


def test_a_link_named_by_the_user_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("old")
    for target in ("there/file", "there/new"):
        link = tmp_path / "link"
        link.symlink_to(target)
        files.write_lines(["a"], link)
        assert link.is_symlink()
        assert (tmp_path / target).read_text() == "a\n"
        link.unlink()
    assert names(tmp_path / "there") == ["file", "new"]


def test_an_output_named_gz_is_compressed(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        files.write_lines(["a", "ü"], tmp_path / name)
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()).decode() == "a\nü\n"
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def interrupted() -> Iterator[str]:
    yield "half"
    raise KeyboardInterrupt


def test_an_interrupted_output_keeps_the_old_file(tmp_path: Path) -> None:
    for name in ("out", "out.gz"):
        (tmp_path / name).write_text("old")
        with pytest.raises(KeyboardInterrupt):
            files.write_lines(interrupted(), tmp_path / name)
        assert (tmp_path / name).read_text() == "old"
    assert names(tmp_path) == ["out", "out.gz"]


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_an_output_pipe_is_written_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        files.write_lines(["a", "b"], pipe)
        assert reader.communicate(timeout=60)[0] == b"a\nb\n"
    assert pipe.is_fifo()


def test_only_leftover_temporary_files_are_deleted(tmp_path: Path) -> None:
    for name in ("out.tmp", ".out.tmp", ".out.1234.tmp"):
        (tmp_path / name).write_text("the user's")
    (tmp_path / ".out.0123abcd.tmp").write_text("left by a process that died")
    files.write_text(tmp_path / "out", "new")
    files.clear_temporaries(tmp_path / "out")
    assert names(tmp_path) == [".out.1234.tmp", ".out.tmp", "out", "out.tmp"]


def test_a_name_of_maximum_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    files.write_text(path, "new")
    assert path.read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="no links and pipes")
@pytest.mark.parametrize("kind", ["link", "dangling", "hard", "pipe", "folder"])
def test_open_own_refuses_links_and_special_files(tmp_path: Path, kind: str) -> None:
    path, victim = tmp_path / "out.partial", tmp_path / "victim"
    if kind != "dangling":
        victim.write_text("precious")
    match kind:
        case "link" | "dangling":
            path.symlink_to(victim)
        case "hard":
            path.hardlink_to(victim)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    with pytest.raises((FileError, OSError)):
        files.open_own(path)
    assert victim.exists() == (kind != "dangling")
    assert kind == "dangling" or victim.read_text() == "precious"


def test_an_output_must_not_be_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read = tmp_path / "read"
    read.write_text("x")
    (tmp_path / "link").symlink_to("read")
    (tmp_path / "other").write_text("x")
    files.refuse_inputs([Path("other"), Path("new")], [read, Path("missing")])
    files.refuse_inputs([Path("/dev/null")], [Path("/dev/null")])
    for output in ("read", "./link", read):
        with pytest.raises(ConfigError, match=r"the same file as .*read, which is an input"):
            files.refuse_inputs([Path("other"), Path(output)], [Path("other2"), read])


def test_an_output_must_not_be_inside_an_input(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "averaged").mkdir(parents=True)
    (tmp_path / "link").symlink_to(model)
    files.refuse_inside(tmp_path / "model2", model)
    files.refuse_inside(tmp_path / "new" / "model", model)
    for output in ("model", "model/new/er", "link", "link/x", "model/averaged", "x/../model/a"):
        with pytest.raises(ConfigError, match="inside "):
            files.refuse_inside(tmp_path / output, model)


def test_a_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"four")
    assert files.read_bounded(path, 4) == b"four"
    with pytest.raises(FileError, match="file: cannot be read: larger than 3 bytes"):
        files.read_bounded(path, 3)


def test_special_files_are_refused_or_bounded(tmp_path: Path) -> None:
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
            files.read_bounded(path, 9)
    assert files.read_bounded(tmp_path / "link", 9, plain=False) == b"x"
    with pytest.raises(FileError, match="larger than 9 bytes"):
        files.read_bounded(Path("/dev/zero"), 9, plain=False)


def test_open_lock_follows_no_links_and_does_not_wait_for_pipes(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("made")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises((FileError, OSError)):
            files.open_lock(tmp_path / name)
    assert not (tmp_path / "made").exists()
