"""Requests that schemathesis derives from the server's own description."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from .harness import serving

_CONFIG = """
[[operations]]
include-path = "/translate_file"
# The description cannot say that a file is text.
checks.positive_data_acceptance.enabled = false
"""


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    program = shutil.which("schemathesis", path=Path(sys.executable).parent)
    if not program:
        pytest.skip("schemathesis is not installed")
    (tmp_path / "schemathesis.toml").write_text(_CONFIG, "utf-8")
    with serving("en-de") as running:
        done = subprocess.run(
            [
                program,
                "run",
                f"{running.client.url}/spec",
                "--max-examples=20",
                "--seed=1",
                "--no-color",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
