"""`nmt report`: options, outputs and refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from command import run_nmt


def nmt_report(*arguments: object) -> Result:
    return run_nmt("report", *arguments)


@pytest.fixture
def run(make_run: Callable[..., Path], tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


def test_html_page(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = nmt_report(run, "-o", page, "--threads", 1)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "run: translating, 30 sentences" in result.stderr
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>")
    assert '"name": "BLEU"' in text


def test_json(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = nmt_report(run, "--json", "--no-translate")
    assert result.exit_code == 0, result.stderr
    [report] = json.loads(result.stdout)["runs"]
    assert report["curves"]["train"]["step"] == [10, 20, 30, 40, 50, 60]
    assert report["quality"] is None
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--no-translate", "--corpus", "test"], 2, "--no-translate"),
        (["--corpus", "test", "--src", "a"], 2, "--corpus"),
        (["--src", "a"], 2, "--ref"),
        (["--device", "abacus"], 2, "abacus"),
        (["-o", "gone/report.html"], 4, "there is no directory gone"),
        (["gone"], 4, "gone: no such model directory"),
        (["-o", "run/metrics.jsonl"], 2, "metrics.jsonl: the same file as"),
        (["-o", "run/tokenizer/spm.model"], 2, "spm.model: the same file as"),
        (["--src", "a", "--ref", "b", "-o", "b"], 2, "b: the same file as b"),
    ],
)
def test_refusals(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = nmt_report(run, *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert not (tmp_path / "report.html").exists()


def test_output_to_stdout(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = nmt_report(run, "-o", "-", "--no-translate")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_curves_do_not_import_torch(run: Path) -> None:
    code = (
        "import sys; from nmt.cli import make_app\n"
        "try: make_app()(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'sacrebleu', 'sentencepiece'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    command = [sys.executable, "-c", code, "report", str(run), "--no-translate", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
