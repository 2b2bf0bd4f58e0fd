"""`nmt compare`: sources of text, outputs and errors."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu.dataset
from typer.testing import Result

from command import run_nmt

FILES = {
    "a": "the cat sat\na dog ran home.\n",
    "b": "the cat sat on a mat.\na dog ran\n",
    "ref": "the cat sat on a mat.\na dog ran home.\n",
    "src": "die Katze\nein Hund\n",
    "train": "cat mat dog\n",
    "short": "one line\n",
    "empty": "",
}
QUICK = ["--samples", 20, "--trials", 20]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_text(content, "utf-8")
    Path("b.gz").write_bytes(gzip.compress(FILES["b"].encode()))


def compared(*arguments: object) -> Result:
    result = run_nmt("compare", *arguments, *QUICK)
    assert result.exit_code == 0, result.stderr
    return result


def test_text() -> None:
    shown = compared("a", "b", "--ref", "ref", "--src", "src").stdout
    assert "Largest wins of system 2" in shown
    assert "source     die Katze" in shown
    # A line that may be long is not broken.
    assert "\nBLEU|nrefs:1|bs:20|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version" in shown


def test_json_from_plain_and_compressed_files() -> None:
    found = json.loads(compared("a", "b", "a", "--ref", "ref", "--json").stdout)
    assert found["systems"] == ["a", "b", "a"]
    assert [pair["system"] for pair in found["pairs"]] == [1, 2]
    assert (found["samples"], found["trials"]) == (20, 20)
    again = json.loads(compared("a", "b.gz", "a", "--ref", "ref", "--json").stdout)
    assert again.pop("systems") == ["a", "b.gz", "a"]
    assert again == {key: value for key, value in found.items() if key != "systems"}


def test_options_of_the_scores_and_several_references() -> None:
    options = ["--ref", "ref", "--ref", "a", "--lowercase", "--tokenize", "char", "--top", 1]
    found = json.loads(compared("a", "b", *options, "--json").stdout)
    assert found["signatures"]["BLEU"].startswith("nrefs:2|bs:20|seed:12345|case:lc")
    assert "tok:char" in found["signatures"]["BLEU"]
    assert len(found["pairs"][0]["ngrams_won"]) == 1


def test_word_counts_of_the_training_text() -> None:
    arguments = ["a", "b", "--ref", "ref", "--train", "train", "--json"]
    grouping = json.loads(compared(*arguments).stdout)["groupings"][1]
    assert grouping["name"] == "frequency of the rarest word in the training text"
    assert [group["name"] for group in grouping["groups"]] == ["0"]


def test_page() -> None:
    result = compared("a", "b", "--ref", "ref", "--html", "page.html", "--json")
    assert json.loads(result.stdout)["sentences"] == 2
    assert "page.html: written" in result.stderr
    page = Path("page.html").read_bytes()
    assert page.startswith(b"<!doctype html>")
    assert compared("a", "b", "--ref", "ref", "--html", "-").stdout_bytes == page


def test_a_test_set_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = sacrebleu.dataset.DATASETS["wmt14/full"]
    monkeypatch.setattr(dataset, "_outdir", str(tmp_path))
    for field in dataset.fieldnames("en-de"):
        Path(dataset._get_txt_file_path("en-de", field)).write_text(FILES["ref"], "utf-8")
    options = ["--test-set", "wmt14/full", "--langs", "en-de"]
    found = json.loads(compared("a", "b", *options, "--json").stdout)
    [pair] = found["pairs"]
    assert pair["wins"][0]["src"] == "the cat sat on a mat."
    result = run_nmt("compare", "a", "short", *options)
    assert result.exit_code == 3
    assert "wmt14/full has 2 lines, but short has 1" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["a", "--ref", "ref"], 2, "a: only one system"),
        (["a", "b"], 2, "--ref"),
        (["a", "b", "--ref", "ref", "--test-set", "wmt14"], 2, "leave out"),
        (["a", "b", "--ref", "ref", "--tokenize", "moses"], 2, "13a"),
        (["a", "b", "--ref", "ref", "--html", "b"], 2, "b: the same file as b"),
        (["a", "b", "--ref", "ref", "--html", "-", "--json"], 2, "name a file"),
        (["a", "b", "--ref", "ref", "--samples", "0"], 2, "--samples"),
        (["a", "short", "--ref", "ref"], 3, "ref has 2 lines, but short has 1"),
        (["a", "b", "--ref", "short"], 3, "short has 1 lines, but a has 2"),
        (["a", "b", "--ref", "ref", "--src", "short"], 3, "short has 1 lines, but ref has 2"),
        (["empty", "a", "--ref", "ref"], 3, "empty: empty"),
        (["a", "b", "--ref", "empty"], 3, "empty: empty"),
        (["a", "gone", "--ref", "ref"], 4, "gone: cannot be read"),
        (["a", "b", "--ref", "ref", "--train", "gone"], 4, "gone: cannot be read"),
        (["a", "b", "--ref", "ref", "--html", "gone/page.html"], 4, "no directory gone"),
    ],
)
def test_refusals(arguments: list[str], code: int, message: str) -> None:
    result = run_nmt("compare", *arguments)
    assert result.exit_code == code, result.stderr
    assert message in result.stderr
    assert result.stdout == ""


def test_a_byte_order_mark_is_reported() -> None:
    Path("a").write_text("\ufeff" + FILES["a"], "utf-8")
    assert "byte-order mark" in compared("a", "b", "--ref", "ref").stderr


def test_torch_is_not_imported() -> None:
    code = (
        "import sys; from nmt.cli import make_app\n"
        "try: make_app()(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'sentencepiece', 'pyarrow', 'datasets'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    arguments = ["compare", "a", "b", "--ref", "ref", "--html", "page", *map(str, QUICK)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
