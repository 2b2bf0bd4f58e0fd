"""A signal sets a flag, and what a second one does."""

from __future__ import annotations

import os
import signal

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


def test_a_second_interrupt_ends_at_once_but_not_within_a_second(
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
    assert capfd.readouterr().err.count("Ctrl-C again to end at once") == 1


def test_a_hangup_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopFlag() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_platform_without_hangups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP")
    with StopFlag() as stop:
        assert not stop
