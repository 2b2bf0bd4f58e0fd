"""What all commands share."""

from __future__ import annotations

import pytest

from command import run_nmt


def test_running_out_of_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("nmt.api.load", load)
    result = run_nmt("translate", "model", "--threads", 1)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "nmt: out of memory: give it less text at a time\n"
