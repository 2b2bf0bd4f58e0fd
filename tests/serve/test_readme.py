"""What the README says about the server."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from nmt.cli.serving import serve
from nmt.config.search import SearchOptions
from nmt.serve.settings import Settings

from .harness import serving

TEXT = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SECTION = TEXT.partition("## Server\n")[2].partition("\n## ")[0]


def test_the_table_has_the_defaults() -> None:
    rows = re.findall(r"^\| `--([a-z-]+)` \| ([^|]*) \|", SECTION, re.MULTILINE)
    assert len(rows) == 12
    assert serve.__doc__
    defaults = vars(Settings(models=[])) | SearchOptions().model_dump()
    for option, default in rows:
        value = defaults[option.replace("-", "_")]
        if option != "workers":
            assert default == {None: "none", True: "on"}.get(value) or f"{value:,}", option


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (0, {"translatedText": "THE BOYS ARE SIX YEARS OLD."}),
        (1, {"translatedText": "ROOM 12.", "flags": ["numbers"], "confidence": 0.25}),
    ],
)
def test_a_request_with_curl(place: int, expected: dict[str, object]) -> None:
    [command, answer] = re.findall(r"^    (curl .*)\n    (.*)$", SECTION, re.MULTILINE)[place]
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    with serving("en-de") as running:
        command = command.replace("http://127.0.0.1:5000", running.client.url)
        done = subprocess.run([*shlex.split(command), "-s"], capture_output=True, check=True)
    assert json.loads(done.stdout) == expected
    assert json.loads(answer).keys() == expected.keys()


def test_the_unit_and_the_container_start_the_server() -> None:
    [unit] = re.findall(r"```ini\n(.*?)```", SECTION, re.DOTALL)
    parsed = configparser.ConfigParser()
    parsed.read_string(unit)
    assert "nmt serve" in parsed["Service"]["ExecStart"]
    assert int(parsed["Service"]["TimeoutStopSec"]) > Settings(models=[]).timeout
    [dockerfile] = re.findall(r"```dockerfile\n(.*?)```", SECTION, re.DOTALL)
    command = dockerfile.rstrip().rpartition("\n")[2]
    assert json.loads(command.removeprefix("CMD "))[:2] == ["nmt", "serve"]
