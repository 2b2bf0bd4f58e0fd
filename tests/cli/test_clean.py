"""`nmt clean`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from command import run_nmt
from tiny import write_phrasebook

QUICK = ["language=false", "near_duplicates=false", "--processes", "1"]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write 30 good pairs; the 11th becomes a copy, the 12th repeats the 1st, the 13th is bare."""
    monkeypatch.chdir(tmp_path)
    write_phrasebook(tmp_path / "train", "train", 30)
    src, tgt = (Path(f"train.{lang}").read_text("utf-8").split("\n") for lang in ("en", "de"))
    src[10] = tgt[10] = "This has not been translated."
    src[11], tgt[11] = src[0], tgt[0]
    tgt[12] = ""
    for lang, lines in (("en", src), ("de", tgt)):
        Path(f"train.{lang}").write_text("\n".join(lines), "utf-8")
    return tmp_path


def kept(lang: str) -> str:
    lines = Path(f"train.{lang}").read_text("utf-8").split("\n")
    return "\n".join(lines[:10] + lines[13:])


@pytest.mark.parametrize("end", ["", ".gz"])
def test_pairs_are_kept_and_rejected(corpus: Path, end: str) -> None:
    outputs = ["-o", f"clean.en{end}", f"clean.de{end}", "--rejected", "dropped.tsv"]
    done = run_nmt("clean", "train.en", "train.de", *outputs, *QUICK)
    assert done.exit_code == 0, done.stderr
    assert "duplicates" in done.stdout
    for lang in ("en", "de"):
        content = Path(f"clean.{lang}{end}").read_bytes()
        assert (gzip.decompress(content) if end else content).decode() == kept(lang)
    rows = [row.split("\t") for row in Path("dropped.tsv").read_text("utf-8").split("\n")[:-1]]
    assert [row[:2] for row in rows] == [["11", "copies"], ["12", "duplicates"], ["13", "empty"]]


def test_json_with_examples_and_rejected_lines(corpus: Path) -> None:
    outputs = ["--rejected", "dropped.jsonl.gz", "--examples", "1", "--json"]
    done = run_nmt("clean", "train.en", "train.de", *outputs, *QUICK)
    report = json.loads(done.stdout)
    assert (report["read"], report["kept"]) == (30, 27)
    text = "This has not been translated."
    assert report["dropped"]["copies"] == {
        "pairs": 1,
        "first_line": 11,
        "examples": [{"src": text, "tgt": text, "line": 11}],
    }
    with gzip.open("dropped.jsonl.gz", "rt", encoding="utf-8") as lines:
        first, *_ = map(json.loads, lines)
    assert first == {"line": 11, "rule": "copies", "src": text, "tgt": text}


def test_other_forms_of_corpora(corpus: Path) -> None:
    sides = [Path(f"train.{lang}").read_text("utf-8").split("\n")[:-1] for lang in ("en", "de")]
    pairs = [*zip(*sides, strict=True)]
    Path("train.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), "utf-8")
    lines = (json.dumps({"en": a, "de": b}) + "\n" for a, b in pairs)
    Path("train.jsonl").write_text("".join(lines), "utf-8")
    for name in ("train.tsv", "train.jsonl"):
        done = run_nmt("clean", name, "--langs", "en-de", "-o", "a", "b", *QUICK)
        assert done.exit_code == 0, done.stderr
        assert Path("b").read_text("utf-8") == kept("de")


def test_rules_come_from_a_file_and_the_command_line(corpus: Path) -> None:
    Path("rules.yaml").write_text("copies: false\nlength: {max_words: 1}\n", "utf-8")
    options = ["--rules", "rules.yaml", "length.max_words=500", "--json", *QUICK]
    dropped = json.loads(run_nmt("clean", "train.en", "train.de", *options).stdout)["dropped"]
    assert "copies" not in dropped
    assert dropped["length"]["pairs"] == 0


def test_only_some_rules(corpus: Path) -> None:
    done = run_nmt("clean", "train.en", "train.de", "--only", "duplicates", "--json")
    dropped = json.loads(done.stdout)["dropped"]
    assert [*dropped] == ["invalid_utf8", "empty", "duplicates"]


def test_invalid_utf8_is_dropped_and_counted(corpus: Path) -> None:
    lines = Path("train.de").read_bytes().split(b"\n")
    lines[1] = b"\xff"
    Path("train.de").write_bytes(b"\n".join(lines))
    done = run_nmt("clean", "train.en", "train.de", "-o", "a", "b", "--json", *QUICK)
    report = json.loads(done.stdout)
    assert report["read"] == 30
    assert report["dropped"]["invalid_utf8"] == {"pairs": 1, "first_line": 2, "examples": []}


def test_control_characters_become_spaces(corpus: Path) -> None:
    text = Path("train.en").read_text("utf-8")
    Path("train.en").write_text(text.replace(" ", "\x00", 1), "utf-8")
    done = run_nmt("clean", "train.en", "train.de", "-o", "a", "b", *QUICK)
    assert "1 control characters have become spaces" in done.stdout
    assert Path("a").read_text("utf-8") == kept("en").replace("\x00", " ")


def test_unknown_languages_are_mentioned(corpus: Path) -> None:
    Path("train.en").rename("source")
    done = run_nmt("clean", "source", "train.de", *QUICK)
    assert "need --langs" in done.stderr


def test_all_rules_are_listed() -> None:
    shown = run_nmt("clean", "--list", "length.max_words=77", "numbers=false").stdout
    assert "length.max_words=77" in shown
    assert "numbers (off)" in shown
    assert "profanity (off)" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name two text files"),
        (["train.en"], 2, "name two text files"),
        (["train.en", "no.de"], 4, "no.de: cannot be read"),
        (["train.en", "short.de"], 3, "train.en has 30 lines, but short.de has 2"),
        (["train.en", "train.de", "-o", "train.en", "x"], 2, "the same file as train.en"),
        (["train.en", "train.de", "-o", "x", "x"], 2, "must name different files"),
        (["train.en", "train.de", "-o", "-", "x"], 2, "must name different files"),
        (["train.en", "train.de", "-o", "no/x", "no/y"], 4, "there is no directory no"),
        (["train.en", "train.de", "--langs", "en"], 2, "must be two languages"),
        (["train.en", "train.de", "--only", "lenght"], 2, "no such rule"),
        (["train.en", "train.de", "--only", "profanity"], 2, "this rule is off"),
        (["train.en", "train.de", "lenght=false"], 2, "lenght: unknown key: did you mean length?"),
        (["train.en", "train.de", "length.max=3"], 2, "length.max: unknown key"),
        (["train.en", "train.de", "length=3"], 2, "length: must be a section, with keys such as"),
        (["train.en", "train.de", "length.max_words=-3"], 2, "must be greater than or equal to 0"),
        (["train.en", "train.de", "length.min_words=300"], 2, "must not be above"),
        (["train.en", "train.de", "pattern.src='('"], 2, "not a regular expression"),
        (["train.en", "train.de", "profanity.words=no.txt"], 4, "no.txt: cannot be read"),
        (["train.en", "train.de", "length.min_words=100"], 3, "no pair is left of 30"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors(corpus: Path, arguments: list[str], code: int, message: str) -> None:
    Path("short.de").write_text("a\nb\n", "utf-8")
    outputs = [] if "-o" in arguments or len(arguments) < 2 else ["-o", "out.en", "out.de"]
    done = run_nmt("clean", *arguments, *outputs, *QUICK)
    assert done.exit_code == code, done.stderr
    assert message in " ".join(done.stderr.split())
    assert done.stdout == ""
    assert not [*corpus.glob("out*"), *corpus.glob(".*")]
