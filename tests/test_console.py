"""Text from data and files must not control the terminal or forge a line of output."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from pathlib import Path

import pytest
import yaml
from rich.table import Table

from command import run_nmt
from nmt.console import Console, plain
from nmt.errors import ConfigError, escape

EVIL = "a\x1b[31m\nnmt: all is well\u202e[red]:warning:"
SHOWN = "a\\x1b[31m\\nnmt: all is well\\u202e[red]:warning:"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, 你好 שלום c:\\n", "Grüße, 你好 שלום c:\\n"),
        (EVIL, SHOWN),
        ("\r\t\x7f\x9b\u2028\ufeff", "\\r\\t\\x7f\\x9b\\u2028\\ufeff"),
        ("10\xa0% of", "10\\xa0% of"),
        ("file\udcff \U000e0041", "file\\udcff \\U000e0041"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    assert escape(text) == shown
    assert escape(shown) == shown


def test_an_error_escapes_line_feeds_in_its_parts() -> None:
    error = ConfigError(f"{EVIL}: two problems", EVIL, "b")
    assert str(error) == f"{SHOWN}: two problems\n  {SHOWN}\n  b"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def printed(*renderables: object) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(*renderables)
    return console.file.getvalue()


def test_a_console_shows_text_literally() -> None:
    table = Table("corpus", title="Pairs")
    table.add_row(EVIL)
    table.add_row(plain(EVIL, style="bold"))
    assert printed(EVIL) == f"{SHOWN}\n"
    assert printed(table).count(SHOWN) == 2
    assert "\x1b" not in printed(table)


def messages(*arguments: str) -> str:
    result = run_nmt(*arguments)
    assert result.exit_code in (2, 3, 4), result.output
    return result.stderr


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({EVIL: 1}, "unknown key"),
        ({"data": {"src_lang": "en", "tgt_lang": "de", "train": {"tsv": EVIL}}}, "cannot be read"),
        ({"extends": EVIL}, "be read"),
        ({"train": {"metric": EVIL}, "model": {"norm": EVIL}}, "norm"),
    ],
)
def test_configuration_errors_escape_names(
    tmp_path: Path, config: dict[str, object], message: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(config), "utf-8")
    text = messages("train", str(path), "--run-dir", str(tmp_path / "run"))
    assert message in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\nnmt: all" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", EVIL),
        ("translate", EVIL),
        ("info", EVIL),
        ("translate", "model", "text", EVIL),  # the command line's own errors
        ("translate", "model", "--output", EVIL),  # a directory
        (EVIL,),
    ],
)
def test_file_errors_escape_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / EVIL).mkdir()
    text = messages(*arguments)
    assert "a\\x1b[31m" in text
    assert not {"\x1b", "\u202e"} & set(text)
    assert "\nnmt: all" not in text


def test_names_in_a_manifest_are_escaped(trained_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    manifest = run / "tokenizer" / "manifest.json"
    value = json.loads(manifest.read_text("utf-8"))
    value["files"][EVIL] = {"size": 1, "sha256": ""}
    manifest.write_text(json.dumps(value), "utf-8")
    assert SHOWN in messages("translate", str(run))
    shown = run_nmt("info", run).stdout
    assert "\x1b" not in shown
    assert "\nnmt: all" not in shown
    assert "\\x1b[31m\\nnmt:" in shown
