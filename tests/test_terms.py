"""Required terms from end to end: glossaries and constraints, reports, and what rules them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nmt
from command import run_nmt
from nmt.errors import ConfigError, DataError
from nmt.translate.formats import TextLayout
from nmt.translate.glossary import Glossary
from nmt.translate.resume import _job

LINES = ["the cat sat.", "the dog ran home.", "the cat ran.", "", "a dog sat."]
LONG = "the cat sat. the dog ran home. a cat sat on a mat."


@pytest.fixture(scope="module")
def own(trained_run: Path) -> nmt.Model:
    return nmt.load(trained_run, engine="nmt", threads=1)


@pytest.fixture
def glossary(tmp_path: Path) -> Path:
    path = tmp_path / "terms.tsv"
    path.write_text("# animals\ncat\tHOME\ndog ran\tMAT\tMATS\n", "utf-8")
    return path


def texts(translations: Any) -> list[str]:
    return [one.text for one in translations]


def run(folder: Path, text: str, *arguments: object) -> Any:
    """Run a command on a file with this text."""
    (folder / "input").write_text(text, "utf-8")
    return run_nmt("translate", *arguments, folder / "input")


def test_both_engines_put_the_terms_into_the_lines_that_have_them(
    trained_run: Path, own: nmt.Model, glossary: Path
) -> None:
    found = texts(own.translate(LINES, glossary=glossary))
    plain = texts(own.translate(LINES))
    assert ["HOME" in text for text in (found[0], found[2])] == [True, True]
    assert {"MAT", "MATS"} & {*found[1].replace(".", " ").split()}
    assert found[3:] == plain[3:]
    fast = nmt.load(trained_run, threads=2)
    assert texts(fast.translate(LINES, glossary=glossary)) == found
    assert [texts(own.translate([line], glossary=glossary))[0] for line in LINES] == found
    assert texts(own.translate(LINES, glossary=glossary, batch_tokens=20)) == found


def test_a_repeated_line_has_its_own_constraints(own: nmt.Model) -> None:
    line = LINES[0]
    plain, first, second, again = own.translate(
        [line] * 4, constraints=[[], ["HOME"], [["MAT", "MATS"]], []]
    )
    assert plain.text == again.text == own.translate(line).text
    assert "HOME" in first.text
    assert "MAT" in second.text
    assert "HOME" in own.translate(line, constraints=["HOME"]).text


def test_the_sentences_of_a_line_have_their_own_terms(own: nmt.Model, glossary: Path) -> None:
    found = own.translate(LONG, glossary=glossary, split_sentences=True)
    alone = texts(own.translate(["the cat sat.", "the dog ran home."], glossary=glossary))
    assert found.text.startswith(" ".join(alone))
    assert found.missing == []
    with pytest.raises(DataError, match="its constraints do not say to which part they belong"):
        own.translate(LONG, constraints=["HOME"], max_input_length=6)


def test_terms_that_do_not_fit_are_reported(
    trained_run: Path, glossary: Path, tmp_path: Path
) -> None:
    rows = [{"src": line, "constraints": ["MAT"] * (line == LINES[0])} for line in LINES[:2]]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    arguments = [trained_run, "--format", "jsonl", "--max-extra-len", 0]
    long = tmp_path / "long.tsv"
    long.write_text(f"dog\t{'HOME ' * 20}\n", "utf-8")
    done = run(tmp_path, text, *arguments, "--glossary", long)
    assert done.exit_code == 0
    first, second = map(json.loads, done.stdout.split("\n")[:2])
    assert "missing" not in first
    assert second["missing"] == [("HOME " * 20).strip()]
    assert "line 2" in done.stderr or "lines 2" in done.stderr
    strict = run(tmp_path, text, *arguments, "--glossary", long, "--require-terms")
    assert (strict.exit_code, strict.stdout) == (3, done.stdout)
    fitting = run(tmp_path, "\n".join(LINES), trained_run, "--glossary", glossary)
    assert fitting.exit_code == 0
    assert "lack" not in fitting.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"temperature": 1.0}, "sampling"),
        ({"beam_size": 1}, "`beam_size` 1"),
        ({"beam_groups": 2}, "`beam_groups`"),
    ],
    ids=str,
)
def test_searches_that_cannot_require_terms(
    own: nmt.Model, glossary: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=f"cannot be combined with {reason}"):
        own.translate(LINES, glossary=glossary, **options)
    with pytest.raises(ConfigError, match=f"line 1: .*{reason}"):
        own.translate(LINES[:1], constraints=[["HOME"]], **options)


def test_an_interrupted_job_is_not_resumed_with_another_glossary(
    own: nmt.Model, glossary: Path
) -> None:
    jobs = [_job(own.translator({}, glossary=one), TextLayout()) for one in (None, glossary)]
    glossary.write_text("cat\tMAT\n", "utf-8")
    jobs.append(_job(own.translator({}, glossary=Glossary.read(glossary)), TextLayout()))
    assert len({json.dumps(job) for job in jobs}) == 3


def test_messages(trained_run: Path, tmp_path: Path) -> None:
    missing = run(tmp_path, "a\n", trained_run, "--glossary", tmp_path / "no.tsv")
    assert missing.exit_code == 4
    (tmp_path / "bad.tsv").write_text("cat\n", "utf-8")
    bad = run(tmp_path, "a\n", trained_run, "--glossary", tmp_path / "bad.tsv")
    assert bad.exit_code == 3
    assert "bad.tsv:1" in bad.stderr
    record = '{"src": "a", "constraints": "b"}\n'
    done = run(tmp_path, record, trained_run, "--format", "jsonl")
    assert done.exit_code == 3
    assert "line 1: 'constraints' lists the terms" in done.stderr
