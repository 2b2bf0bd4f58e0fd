"""The stop flag: first and second signals, and hangups."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from nmt import signals
from nmt.signals import StopFlag


def test_the_first_signal_sets_the_flag() -> None:
    with StopFlag() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.signum == signal.SIGTERM


def test_a_second_interrupt_raises_unless_within_a_second(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = 5.0
    monkeypatch.setattr(signals.time, "monotonic", lambda: now)
    with StopFlag() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signum == signal.SIGINT
        now = 5.9
        os.kill(os.getpid(), signal.SIGINT)
        now = 6.1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert capfd.readouterr().err.count("Ctrl-C again to stop immediately") == 1


def test_an_ignored_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopFlag() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_platform_without_sighup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP")
    with StopFlag() as stop:
        assert not stop


INTERRUPTED_IMPORT = """
import os, signal, sys
class Interrupt:
    def find_spec(name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt)
from nmt.__main__ import main
main()
"""


def test_an_interrupt_during_the_imports_shows_no_traceback() -> None:
    command = [sys.executable, "-c", INTERRUPTED_IMPORT]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == b""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_is_restored_after_the_imports() -> None:
    with signals.quiet_interrupts():
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
