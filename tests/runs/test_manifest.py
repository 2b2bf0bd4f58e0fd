"""Directories are written completely or not at all, and damage is detected."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import sentencepiece
import torch

import nmt
from nmt.errors import FileError
from nmt.runs import checkpoint, manifest

from .conftest import change_manifest, save


def test_the_manifest_lists_every_other_file(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text("utf-8"))
    there = {path.name for path in saved.iterdir()} - {"manifest.json"}
    assert manifest["files"].keys() == there == {"weights.safetensors", "state.json"}
    for name, entry in manifest["files"].items():
        assert entry["size"] == (saved / name).stat().st_size


def test_the_manifest_records_versions(saved: Path) -> None:
    written = manifest.read_manifest(saved)
    assert written["nmt"] == nmt.__version__
    assert written["torch"] == torch.__version__
    assert written["sentencepiece"] == sentencepiece.__version__
    assert written["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize("error", [RuntimeError("no memory"), KeyboardInterrupt()])
def test_any_error_while_saving_leaves_nothing_behind(saved: Path, error: BaseException) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        manifest.save_directory(saved, fill)
    manifest.verify(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["step-00000005"]


def test_an_error_after_writing_the_tensors_leaves_the_old_checkpoint_intact(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = manifest.write_json

    def full(path: Path, value: object) -> None:
        if path.name == "manifest.json":
            raise OSError(28, "No space left on device")
        write(path, value)

    monkeypatch.setattr(manifest, "write_json", full)
    with pytest.raises(FileError, match="No space left"):
        save(saved.parents[1], 5, 9.0)
    manifest.verify(saved)
    assert torch.equal(checkpoint.load_tensors(saved, "weights")["a"], torch.full((2, 3), 2.0))


def test_file_modes_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = save(tmp_path, 1)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o640}


def test_any_flipped_byte_is_detected(saved: Path) -> None:
    for name in ("weights.safetensors", "state.json"):
        whole = (saved / name).read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            damaged = bytearray(whole)
            damaged[place] ^= 1
            (saved / name).write_bytes(damaged)
            with pytest.raises(FileError, match="damaged") as caught:
                manifest.verify(saved)
            assert str(saved / name) in str(caught.value)
        (saved / name).write_bytes(whole)
    manifest.verify(saved)


def test_a_truncated_file_is_detected(saved: Path) -> None:
    path = saved / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileError, match=r"weights\.safetensors: damaged"):
        manifest.verify(saved)


def test_every_problem_is_reported(saved: Path) -> None:
    assert list(manifest.problems(saved)) == []
    (saved / "state.json").unlink()
    (saved / "weights.safetensors").write_bytes(b"")
    assert [fault.split(":")[0] for fault in manifest.problems(saved)] == [
        str(saved / "state.json"),
        str(saved / "weights.safetensors"),
    ]


def test_a_missing_file_is_detected(saved: Path) -> None:
    (saved / "state.json").unlink()
    with pytest.raises(FileError, match=r"state\.json: missing"):
        manifest.verify(saved)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/file", "..", "", "a\0b"])
def test_a_manifest_cannot_list_files_elsewhere(saved: Path, name: str) -> None:
    (saved.parent / "secret").write_text("x")
    (saved / "sub").mkdir()
    (saved / "sub" / "file").write_text("x")
    change_manifest(saved, files={name: {"size": 1, "sha256": "0"}})
    with pytest.raises(FileError, match="not a plain file of the model directory"):
        manifest.verify(saved)


def test_a_symbolic_link_is_refused_even_with_the_right_content(saved: Path) -> None:
    path = saved / "weights.safetensors"
    path.rename(saved.parent / "elsewhere")
    path.symlink_to(saved.parent / "elsewhere")
    with pytest.raises(FileError, match="not a plain file of the model directory"):
        manifest.verify(saved)


def test_a_manifest_must_list_the_weights(saved: Path) -> None:
    empty = {"format": manifest.FORMAT, "nmt": "0", "files": {}}
    (saved / "manifest.json").write_text(json.dumps(empty), "utf-8")
    with pytest.raises(FileError, match="does not list weights"):
        manifest.verify(saved)


def test_a_newer_format_is_refused(saved: Path) -> None:
    change_manifest(saved, format=manifest.FORMAT + 1, nmt="9.9")
    with pytest.raises(FileError, match=r"by nmt 9\.9, newer than this nmt .*upgrade"):
        manifest.verify(saved)


def test_an_impossibly_long_file_name_is_refused(saved: Path) -> None:
    change_manifest(saved, files={"x" * 300: {"size": 1, "sha256": "0"}})
    with pytest.raises(FileError, match="cannot be read: File name too long"):
        manifest.verify(saved)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "1", "files": {}}', "[" * 100_000])
def test_an_invalid_manifest_is_refused(saved: Path, text: str) -> None:
    (saved / "manifest.json").write_text(text, "utf-8")
    with pytest.raises(FileError, match=r"manifest\.json"):
        manifest.verify(saved)
