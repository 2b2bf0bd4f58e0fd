"""Help, completion, and the ways to call nmt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nmt
from nmt.cli import _COMMANDS, app
from nmt.config.search import SearchOptions

COMMANDS = [
    command.__name__.replace("_", "-") for commands in _COMMANDS.values() for command in commands
]


def python_m_nmt(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "80", **variables}
    command = [sys.executable, "-m", "nmt", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_80_columns_and_has_an_example(command: str) -> None:
    done = python_m_nmt(*command.split(), "--help")
    assert done.returncode == 0
    assert max(map(len, done.stdout.split("\n"))) <= 80
    if command:
        assert f"Example: nmt {command} " in done.stdout


def test_every_command_is_in_the_help() -> None:
    done = python_m_nmt("--help")
    assert all(f" {command} " in done.stdout for command in COMMANDS)
    assert "--install-completion" in done.stdout
    assert len(app.registered_commands) == len(COMMANDS)


def test_search_options_have_the_documentation_and_bounds_of_the_schema() -> None:
    shown = " ".join(python_m_nmt("translate", "--help", COLUMNS="400").stdout.split())
    for name in ("beam_size", "length_penalty", "top_p", "split_sentences"):
        description = SearchOptions.model_fields[name].description
        assert description
        assert f"--{name.replace('_', '-')} " in shown
        assert " ".join(description.split()) in shown
    assert "1<=x<=1000" in shown  # the beam


def test_the_version() -> None:
    assert python_m_nmt("--version").stdout == f"nmt {nmt.__version__}\n"


def test_device_and_threads_come_from_the_environment(trained_run: Path) -> None:
    done = python_m_nmt("translate", str(trained_run), "/dev/null", NMT_DEVICE="gpu")
    assert done.returncode == 2
    assert "'gpu'" in done.stderr
    done = python_m_nmt("translate", str(trained_run), "/dev/null", NMT_THREADS="0")
    assert done.returncode == 2
    assert "NMT_THREADS" in done.stderr or "threads" in done.stderr
