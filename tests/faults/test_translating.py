"""Rows 28, 29 and 35: translation through pipes and into files."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from .conftest import TIMEOUT_SECONDS, Folder, Translate, before_call, send

KILL_WHILE_TRANSLATING = Path(__file__).with_name("kill_while_translating.py")
WORDS = ["the", "cat", "dog", "sat", "on", "a", "mat", "ran", "home"]


def translate_in_chunks(folder: Folder, run: Path, lines: list[bytes], size: int) -> list[bytes]:
    """Send `size` lines at a time, and wait for their translations before sending more."""
    process = folder.start("translate", str(run), "--threads", "1", "--beam-size", "1")
    assert process.stdin
    assert process.stdout
    watchdog = threading.Timer(TIMEOUT_SECONDS, process.kill)  # a deadlock fails the test
    watchdog.start()
    translations = []
    for start in range(0, len(lines), size):
        chunk = lines[start : start + size]
        process.stdin.write(b"".join(chunk))
        process.stdin.flush()
        translations += [process.stdout.readline() for _ in chunk]
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait() == 0
    watchdog.cancel()
    return translations


@pytest.mark.slow
def test_fault_28_chunks_of_any_size(folder: Folder, trained_run: Path) -> None:
    """Send 1,000 lines in chunks of 1, 7 and 1,000."""
    draw = random.Random(0)
    lines = [
        (" ".join(draw.choices(WORDS, k=draw.randint(0, 3))) + "\n").encode() for _ in range(1000)
    ]
    together = translate_in_chunks(folder, trained_run, lines, 1000)
    assert len(together) == 1000
    assert len(set(together)) > 10
    assert {out for out, line in zip(together, lines, strict=True) if line == b"\n"} == {b"\n"}
    for size in (1, 7):
        assert translate_in_chunks(folder, trained_run, lines, size) == together


def test_fault_29_the_reader_of_the_output_exits(folder: Folder, trained_run: Path) -> None:
    """As in `nmt translate … | head -1`, with endless input."""
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
        assert process.stderr.read() == b"engine: CTranslate2 float32 on cpu\n"
    finally:
        process.kill()
    alone = folder.nmt("translate", str(trained_run), "--threads", "1", text="the cat.\n")
    assert [shown.decode("utf-8").removesuffix("\n")] == alone.lines()


# Windows of about ten lines in batches of several; other batches would round differently.
SMALL_WINDOWS = "import nmt.translate.translator\nnmt.translate.translator._BATCHES_AHEAD = 1\n"
# Within a window, write the journal after the first batch only.
SAVED_ONCE = "import nmt.translate.partial_output as p\np._SAVE_INTERVAL_SECONDS = 1e9\n"
BULK = ("in", "--batch-tokens", "60", "--beam-size", "2", "--format", "jsonl", "--scores")


def write_text_to_translate(folder: Folder) -> int:
    """Write 400 objects, some blank or repeated, to the file `in`; return their number."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(0, 4))) for _ in range(400)]
    folder.write("in", "".join(f'{{"id": {n}, "src": "{text}"}}\n' for n, text in enumerate(texts)))
    return len(texts)


def test_fault_35_bulk_translation_is_killed(folder: Folder, translate: Translate) -> None:
    """Kill the process between windows, between output and journal, and at a random moment."""
    number = write_text_to_translate(folder)
    translate(*BULK, "--output", "whole", fault=SMALL_WINDOWS).succeeded()
    job = (*BULK, "--output", "out", "--resume")
    kill = send(signal.SIGKILL)
    moment = random.SystemRandom().uniform(0, 0.2)
    timer = f"import threading; threading.Timer({moment}, os.kill, (os.getpid(), 9)).start()"
    sizes = []
    for fault in (
        before_call(4, "nmt.translate.partial_output:PartialOutput.append", kill),
        SAVED_ONCE + before_call(3, "nmt.files:write_text", kill),
        before_call(1, "nmt.translate.partial_output:PartialOutput.append", timer)
        + before_call(3, "nmt.translate.partial_output:PartialOutput.append", "time.sleep(60)"),
    ):
        assert translate(*job, fault=SMALL_WINDOWS + fault).code == -signal.SIGKILL, moment
        assert not (folder.path / "out").exists()
        sizes.append((folder.path / "out.partial").stat().st_size)
    assert 0 < sizes[0] < sizes[1]
    done = translate(*job, fault=SMALL_WINDOWS).succeeded()
    assert "resuming after line" in done.err
    output = (folder.path / "out").read_bytes()
    assert output == (folder.path / "whole").read_bytes()
    assert output.count(b"\n") == number
    assert list(folder.path.glob("out.*")) == []
    # Running the command again does no harm.
    assert "already there" in translate(*job).succeeded().err


def test_fault_35_several_processes_exit(folder: Folder, translate: Translate) -> None:
    """`translate` returns only when the last process that holds its output has exited."""
    number = write_text_to_translate(folder)
    processes = ("--threads", "2")
    translate(*BULK, *processes, "--output", "whole", fault=SMALL_WINDOWS).succeeded()
    job = (*BULK, *processes, "--output", "out", "--resume")
    sizes = [0]
    ends = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
    for signum, code in ends:
        fault = before_call(3, "nmt.translate.partial_output:PartialOutput.append", send(signum))
        cut = translate(*job, fault=SMALL_WINDOWS + fault)
        assert cut.code == code, cut.err
        assert "Traceback" not in cut.err
        sizes.append((folder.path / "out.partial").stat().st_size)
    assert sizes == sorted(set(sizes))
    translate(*job, fault=SMALL_WINDOWS).succeeded()
    output = (folder.path / "out").read_bytes()
    assert output == (folder.path / "whole").read_bytes()
    assert output.count(b"\n") == number


@pytest.mark.slow
def test_fault_35_killed_at_each_operation(folder: Folder, trained_run: Path) -> None:
    """After each kill, resuming gives the same output and leaves no other files."""
    done = subprocess.run(
        [sys.executable, str(KILL_WHILE_TRANSLATING), str(trained_run)],
        cwd=folder.path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    deaths = done.stdout.split("\n")[:-1]
    assert len(deaths) > 40
    for kind in ("fsync", "replace", "write_text", "unlink"):
        assert any(kind in death for death in deaths), deaths
