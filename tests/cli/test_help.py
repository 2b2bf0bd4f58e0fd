"""Help, version, and settings from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

import nmt
from command import start_nmt
from nmt.cli import _COMMANDS, make_app
from nmt.config.search import SearchOptions

COMMANDS = [*_COMMANDS]


def run(*arguments: object, **variables: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of a command."""
    process = start_nmt(*arguments, env={"COLUMNS": "80", **variables}, text=True)
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_80_columns_and_has_an_example(command: str) -> None:
    code, out, _ = run(*command.split(), "--help")
    assert code == 0
    assert max(map(len, out.split("\n"))) <= 80
    if command:
        assert f"Example: nmt {command} " in out


def test_every_command_is_in_the_help() -> None:
    _, out, _ = run("--help")
    assert all(f" {command} " in out for command in COMMANDS)
    assert "--install-completion" in out
    assert len(make_app().registered_commands) == len(COMMANDS)


def test_help_shows_descriptions_and_bounds_of_search_options() -> None:
    shown = " ".join(run("translate", "--help", COLUMNS="400")[1].split())
    for name in ("beam_size", "length_penalty", "top_p", "split_sentences"):
        description = SearchOptions.documentation()[name]
        assert f"--{name.replace('_', '-')} " in shown
        assert " ".join(description.split()) in shown
    assert "1<=x<=1000" in shown  # of the beam


def test_only_the_command_that_is_called_is_built() -> None:
    assert len(make_app(["translate", "--help"]).registered_commands) == 1
    assert len(make_app(["translat"]).registered_commands) == len(COMMANDS)
    code, _, err = run("translat")
    assert code == 2
    assert "Did you mean 'translate', " in " ".join(err.split())


def test_version() -> None:
    assert run("--version") == (0, f"nmt {nmt.__version__}\n", "")


def test_device_and_threads_come_from_the_environment(trained_run: Path) -> None:
    code, _, err = run("translate", trained_run, "/dev/null", NMT_DEVICE="gpu")
    assert code == 2
    assert "'gpu'" in err
    code, _, err = run("translate", trained_run, "/dev/null", NMT_THREADS="0")
    assert code == 2
    assert "NMT_THREADS" in err or "threads" in err
