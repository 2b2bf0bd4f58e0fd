"""What all commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import run_nmt
from nmt import torchrun
from nmt.cli.app import log


def test_running_out_of_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("nmt.api.load", load)
    result = run_nmt("translate", "model", "--threads", 1)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "nmt: out of memory: give it less text at a time\n"


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path, trained_run: Path) -> None:
    long = tmp_path / ("a" * 300)
    (tmp_path / "in.txt").write_text("the cat\n")
    for arguments in (
        ("translate", long),
        ("translate", trained_run, tmp_path / "in.txt", "--threads", 1, "-o", long),
        ("import", long, "-o", tmp_path / "out"),
        ("export", trained_run, "--to", "ctranslate2", "-o", long),
    ):
        result = run_nmt(*arguments)
        assert result.exit_code == 4, arguments
        assert result.stderr.split("\n")[-2].startswith(f"nmt: {long}"), arguments


@pytest.mark.parametrize("size", ["", "1", "2", "many"])
def test_a_process_without_a_rank_is_alone(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    """Other programs than torchrun use the name of its variable, too."""
    monkeypatch.setenv("WORLD_SIZE", size)
    monkeypatch.delenv("RANK", raising=False)
    assert (torchrun.world_size(), torchrun.rank()) == (1, 0)


def test_the_second_process_of_torchrun_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        log(f"from {rank}")
    assert capsys.readouterr().err == "from 0\n"
