"""The command line of the server."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from command import run_nmt


def test_a_new_key(tmp_path: Path) -> None:
    from nmt.serve.keys import Keys

    done = run_nmt("serve", "--new-key", "--rate-limit", 7)
    assert done.exit_code == 0
    key, line, _ = done.stdout.split("\n")
    (tmp_path / "keys").write_text(line + "\n", "utf-8")
    found = Keys(tmp_path / "keys").find(key)
    assert found
    assert found.per_minute == 7
    assert "--api-keys" in done.stderr


@pytest.mark.parametrize("name", ["fastapi", "py3langid"])
def test_a_missing_extra_is_named(name: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules['{name}'] = None; from nmt.__main__ import main; main()"
    arguments = [sys.executable, "-c", code, "serve", "run"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        f"nmt: the server needs {name}, which is not installed: run `pip install '.[serve]'` "
        "in the source directory of nmt\n"
    )


def test_wrong_arguments(tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    assert "name a model" in run_nmt("serve").stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_nmt("serve", tmp_path, "--port", port)
    assert done.exit_code == 2
    assert f"--port {port}: cannot listen there: Address already in use" in done.stderr
    assert run_nmt("serve", tmp_path, "--port", 0, "--pivot", "en").exit_code == 4
