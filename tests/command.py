"""nmt as users run it, in this process or in another."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from typer.testing import CliRunner, Result

from nmt.cli import make_app

NMT = [sys.executable, "-m", "nmt"]


def run_nmt(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(make_app(), [str(argument) for argument in arguments])


def start_nmt(*arguments: object, **options: Any) -> subprocess.Popen[Any]:
    """Start a command in another process, with pipes.

    Args:
        arguments: arguments of `nmt`.
        options: options of `subprocess.Popen`; `env` is added to the environment.
    """
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    options["env"] = os.environ | {"OMP_NUM_THREADS": "1"} | options.get("env", {})
    return subprocess.Popen([*NMT, *map(str, arguments)], **(pipes | options))
