"""Rows 28 and 29: translation between pipes."""

from __future__ import annotations

import random
import subprocess
import threading
from pathlib import Path

import pytest

from .conftest import TIMEOUT_SECONDS, Folder

WORDS = ["the", "cat", "dog", "sat", "on", "a", "mat", "ran", "home"]


def translate_in_chunks(folder: Folder, run: Path, lines: list[bytes], size: int) -> list[bytes]:
    """Send so many lines at a time, and wait for their translations before the next."""
    process = folder.start("translate", str(run), "--threads", "1", "--beam-size", "1")
    assert process.stdin
    assert process.stdout
    watchdog = threading.Timer(TIMEOUT_SECONDS, process.kill)  # a deadlock fails the test
    watchdog.start()
    found = []
    for start in range(0, len(lines), size):
        chunk = lines[start : start + size]
        process.stdin.write(b"".join(chunk))
        process.stdin.flush()
        found += [process.stdout.readline() for _ in chunk]
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait() == 0
    watchdog.cancel()
    return found


@pytest.mark.slow
def test_fault_28_chunks_of_any_size(folder: Folder, trained_run: Path) -> None:
    """1,000 lines by the one, seven and thousand."""
    draw = random.Random(0)
    lines = [
        (" ".join(draw.choices(WORDS, k=draw.randint(0, 3))) + "\n").encode() for _ in range(1000)
    ]
    together = translate_in_chunks(folder, trained_run, lines, 1000)
    assert len(together) == 1000
    assert len(set(together)) > 10
    assert {found for found, line in zip(together, lines, strict=True) if line == b"\n"} == {b"\n"}
    for size in (1, 7):
        assert translate_in_chunks(folder, trained_run, lines, size) == together


def test_fault_29_the_reader_goes_away(folder: Folder, trained_run: Path) -> None:
    """As in `nmt translate … | head -1`, with input that does not end."""
    process = folder.start("translate", str(trained_run), "--threads", "1")
    assert process.stdin
    assert process.stdout
    assert process.stderr
    try:
        with subprocess.Popen(["head", "-1"], stdin=process.stdout, stdout=subprocess.PIPE) as head:
            process.stdout.close()
            process.stdin.write(b"the cat.\n")
            process.stdin.flush()
            shown, _ = head.communicate(timeout=TIMEOUT_SECONDS)
        process.stdin.write(b"the dog.\n" * 2)
        process.stdin.flush()
        assert process.wait(TIMEOUT_SECONDS) == 141  # as a shell shows SIGPIPE
        assert process.stderr.read() == b""
    finally:
        process.kill()
    alone = folder.nmt("translate", str(trained_run), "--threads", "1", text="the cat.\n")
    assert [shown.decode("utf-8").removesuffix("\n")] == alone.lines()
