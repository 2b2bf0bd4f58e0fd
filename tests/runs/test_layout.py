"""Run directories: saving is atomic, and one process locks them at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt.errors import FileError
from nmt.files import temporary_name
from nmt.runs import checkpoint, layout

from .conftest import save


@pytest.mark.parametrize("call", range(12))
def test_a_process_killed_while_saving_leaves_an_intact_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """The process dies before the k-th fsync or rename while replacing the only checkpoint."""
    save(tmp_path, 5, 2.0)
    calls = 0

    class KilledError(BaseException):
        pass

    def interruptible(function: Callable[..., Any]) -> Callable[..., Any]:
        def call_or_die(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > call:
                raise KilledError
            return function(*args, **kwargs)

        return call_or_die

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interruptible(os.fsync))
        patch.setattr(Path, "rename", interruptible(Path.rename))
        patch.setattr(shutil, "rmtree", interruptible(shutil.rmtree))
        try:
            save(tmp_path, 5, 3.0)
        except KilledError:
            pass
        else:
            assert calls <= call
    layout.clean_up(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]
    newest = checkpoint.newest_intact(tmp_path, pytest.fail)
    assert newest is not None
    value = checkpoint.load_tensors(newest.path, "weights")["a"][0, 0]
    assert value in (2.0, 3.0)


@pytest.mark.parametrize("name", ["int8.json", "decode.json", "confidence.json", "finished"])
def test_unfinished_files_are_deleted(tmp_path: Path, name: str) -> None:
    temporary_name(tmp_path / name).touch()
    (tmp_path / ".mine.01234567.tmp").touch()
    layout.clean_up(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".mine.01234567.tmp"]


def test_a_directory_of_runs_lists_them(run: Path) -> None:
    with pytest.raises(FileError, match="a directory of models, not one") as caught:
        layout.find_run(run.parent)
    assert f"\n  {run}" in str(caught.value)


_HOLD = """
import sys, time
from pathlib import Path
from nmt.runs.layout import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_is_locked_by_one_process_and_released_when_it_dies(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(run)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FileError, match="another process is training"), layout.locked(run):
            pytest.fail("held twice")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with layout.locked(run):
        pass


def test_a_disk_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(FileError, match="cannot be locked: No locks available; choose"),
        layout.locked(tmp_path),
    ):
        pytest.fail("locked")


def test_a_run_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(FileError, match="cannot be written"),
        layout.locked(tmp_path / "file" / "run"),
    ):
        pytest.fail("made a directory in a file")
