"""`nmt translate --interactive`, on a pseudo-terminal."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import nmt
from command import NMT, run_nmt
from nmt.cli.interactive import Session
from nmt.translate.words import split_words

pytest.importorskip("pty")

_SECONDS = 60


class Terminal:
    """A conversation with a command."""

    def __init__(self, *arguments: object) -> None:
        self._controller, inner = os.openpty()
        environment = {"TERM": "dumb", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*NMT, *map(str, arguments)],
            **dict.fromkeys(("stdin", "stdout", "stderr"), inner),
            env=os.environ | environment,
            start_new_session=True,
        )
        os.close(inner)

    def shown(self, patience: float = _SECONDS) -> str:
        """Return what appears until the next prompt, or the end, or so many seconds."""
        text, end = b"", time.monotonic() + patience
        while not text.endswith(b"> ") and time.monotonic() < end:
            if select.select([self._controller], [], [], 1)[0]:
                try:
                    text += os.read(self._controller, 1 << 16)
                except OSError:  # the command has ended
                    break
        return text.decode().replace("\r\n", "\n")

    def say(self, line: str) -> str:
        """Type a line, and return the answer."""
        self.type(line + "\n")
        return self.shown()

    def type(self, text: str) -> None:
        os.write(self._controller, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._controller)


@pytest.fixture
def terminal(trained_run: Path) -> Iterator[Terminal]:
    terminal = Terminal("translate", trained_run, "--interactive", "--threads", "1")
    try:
        assert "Type a line to translate, or :help." in terminal.shown()
        yield terminal
    finally:
        terminal.close()


def test_a_conversation(terminal: Terminal, trained_run: Path) -> None:
    model = nmt.load(trained_run, threads=1)
    best = model.translate("the cat sat.").text
    assert "there is no line yet" in terminal.say(":alt 1")
    assert best in terminal.say("the cat sat.").split("\n")
    assert terminal.say(":alt").split("\n")[1].startswith(f"1 {split_words(best)[0]}  2 ")
    first = terminal.say(":alt 1")
    for each in model.alternatives("the cat sat."):
        assert re.search(rf"{re.escape(each.word or '(end)')} +{re.escape(each.text)}", first)
    assert re.search(r"\(end\) +" + re.escape(best), terminal.say(f":alt {best}"))
    assert len(re.findall(r"^-?\d+\.\d{4} ", terminal.say(":n 6"), re.MULTILINE)) == 6
    assert "there is no word 99" in terminal.say(":alt 99")
    assert ":n needs a number" in terminal.say(":n many")
    terminal.say(":set beam_size 1")
    assert re.search(r"beam_size +1\b", terminal.say(":set"))
    terminal.say(":set beam_size")
    assert re.search(rf"beam_size +{model.config.decode.beam_size}\b", terminal.say(":set"))
    assert "`beam_size`: must be" in terminal.say(":set beam_size=x")
    assert "unknown option 'nbest'" in terminal.say(":set nbest 3")
    assert "unknown command :what" in terminal.say(":what")
    assert ":set beam_size 8" in terminal.say(":help")
    terminal.type("\x04")
    assert "Traceback" not in terminal.shown()
    assert terminal.process.wait(_SECONDS) == 0


def test_an_interrupt_at_the_prompt_discards_the_line(terminal: Terminal) -> None:
    terminal.type("the c")
    answer = ""
    while "> " not in answer:  # a signal that comes just before input() waits is not noticed
        terminal.process.send_signal(signal.SIGINT)
        answer += terminal.shown(patience=1)
    assert "Traceback" not in answer
    terminal.type(":quit\n")
    assert "Traceback" not in terminal.shown()
    assert terminal.process.wait(_SECONDS) == 0


def test_an_interrupt_stops_a_search(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = nmt.load(trained_run, threads=1)
    session = Session(model, {})

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", lambda prompt: "the cat sat.")
    with monkeypatch.context() as patch:
        patch.setattr(model.engine, "search", interrupt)
        assert session.goes_on()
    assert capsys.readouterr() == ("", "interrupted\n")
    assert session.goes_on()
    assert capsys.readouterr().out == model.translate("the cat sat.").text + "\n"


def test_n_best_lists_of_any_length_from_a_beam_in_groups(
    trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(nmt.load(trained_run, threads=1), {"beam_size": 4, "beam_groups": 2})
    session.answer("the cat sat.")
    session.answer(":n 5")
    assert 1 < len(re.findall(r"^-?\d+\.\d{4} ", capsys.readouterr().out, re.MULTILINE)) <= 5


def test_it_needs_a_terminal_and_no_files(trained_run: Path, tmp_path: Path) -> None:
    result = run_nmt("translate", trained_run, "--interactive")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--interactive needs a terminal" in result.stderr
    refused = [["in.txt"], ["--output", tmp_path / "out"], ["--scores"], ["--nbest", 2]]
    for arguments in [*refused, ["--warn-short"], ["--require-terms"]]:
        result = run_nmt("translate", trained_run, "--interactive", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--interactive takes a model" in result.stderr
