"""nmt reproduce."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from command import run_nmt
from nmt.reproduce.contract import Contract
from nmt.runs.int8 import Int8Scores
from nmt.runs.layout import load_run_config
from nmt.translate import ct2_engine
from tiny import config_text, write_corpus

SIGNATURE = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no"
FILES = "  valid: {src: valid.src, tgt: valid.tgt}\n  test: {src: test.src, tgt: test.tgt}\n"


def described(part: str) -> dict[str, Any]:
    """Return what a recipe says about a part of the text."""
    sides = {}
    for side in ("src", "tgt"):
        text = Path(f"{part}.{side}").read_bytes()
        sides[side] = {"file": f"{part}.{side}", "sha256": hashlib.sha256(text).hexdigest()}
    return {"lines": text.count(b"\n"), **sides}


def write_recipe(name: str = "tiny", *, low: float = 0, **changes: Any) -> None:
    """Write a recipe for the text in the current directory."""
    recipe = {
        "measured": True,
        "data": {"source": "random words"} | {p: described(p) for p in ("train", "valid", "test")},
        "test": {"name": "the test set", "metric": "chrf", "signature": SIGNATURE},
        "expected": {"score": 90, "low": low, "high": 99, "seeds": 1, "basis": "tolerance"},
        "published": [{"score": 12.5, "metric": "chrF", "protocol": "cased", "source": "a paper"}],
    }
    values = {"recipe": {k: v for k, v in (recipe | changes).items() if v is not None}}
    Path(f"{name}.yaml").write_text(config_text(FILES) + yaml.safe_dump(values), "utf-8")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, train=200, valid=20, test=20)
    write_recipe()


def metrics(run: str) -> list[tuple[int, float]]:
    lines = [
        json.loads(line) for line in Path(run, "metrics.jsonl").read_text("utf-8").split("\n")[:-1]
    ]
    return [(line["step"], line["loss"]) for line in lines if line["kind"] == "train"]


def test_a_recipe_passes_or_fails() -> None:
    result = run_nmt("reproduce", "tiny.yaml")
    assert result.exit_code == 0, result.output
    score, *lines = result.stdout.rstrip("\n").split("\n")
    assert score.startswith(f"the test set: chrF2|{SIGNATURE}|version:")
    assert lines == [
        "expected: 90.0, 0.0 to 99.0 (1 seed; a tolerance, not measured)",
        "published: 12.5 chrF (cased), a paper",
        "PASS",
    ]
    # The score is that of nmt evaluate.
    evaluated = run_nmt("evaluate", "runs/tiny", "--metrics", "chrf", "--compute", "float32")
    assert evaluated.stdout.rstrip("\n") in score

    write_recipe(low=89.5)  # now the run is continued, which is finished
    result = run_nmt("reproduce", "tiny.yaml")
    assert result.exit_code == 5
    reason = result.stdout.rstrip("\n").split("\n")[-1]
    assert reason.startswith("FAIL: ")
    assert reason.endswith(" is not in 89.5 to 99.0")
    assert f"nmt: tiny.yaml: {reason}" in result.stderr

    result = run_nmt("reproduce", "tiny.yaml", "--json")
    assert result.exit_code == 5
    told = json.loads(result.stdout)
    assert (told["verdict"], told["recipe"], told["changed"]) == ("FAIL", "tiny.yaml", {})
    assert told["expected"]["low"] == 89.5
    assert told["published"][0]["source"] == "a paper"

    write_recipe(test={"name": "t", "metric": "chrf", "signature": "nrefs:1|case:lc"})
    result = run_nmt("reproduce", "tiny.yaml")
    assert result.exit_code == 5
    assert "FAIL: its signature is not that of the recipe, nrefs:1|case:lc" in result.stdout


def test_the_score_is_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    run_nmt("train", "tiny.yaml", "train.max_steps=1")
    good = Int8Scores(weights="", sentences=20, float32=1.0, int8=1.0)
    monkeypatch.setattr("nmt.engines.read_int8_scores", lambda *arguments: good)
    loaded = []
    engine = ct2_engine.CTranslate2Engine.__init__

    def record(self: ct2_engine.CTranslate2Engine, *arguments: Any, **options: Any) -> None:
        engine(self, *arguments, **options)
        loaded.append(self.dtype)

    monkeypatch.setattr(ct2_engine.CTranslate2Engine, "__init__", record)
    Contract.open("tiny.yaml").judge(Path("runs/tiny"), print)
    assert loaded == ["ctranslate2 float32"]


def test_a_stopped_run_is_continued() -> None:
    assert run_nmt("reproduce", "tiny.yaml", "--run-dir", "whole").exit_code == 0
    assert run_nmt("train", "tiny.yaml", "train.max_steps=2", "--run-dir", "part").exit_code == 0
    result = run_nmt("reproduce", "tiny.yaml", "--run-dir", "part")
    assert result.exit_code == 0, result.output
    assert "resuming from step 2" in result.stderr
    assert metrics("part") == metrics("whole")


def test_other_settings_void_the_contract() -> None:
    result = run_nmt("reproduce", "tiny.yaml", "train.max_steps=2", "train.seed=3")
    assert result.exit_code == 5
    assert "warning: the contract of tiny.yaml is void: it has train.max_steps 4 → 2\n" in (
        result.stderr
    )
    assert result.stdout.endswith("VOID: the recipe has other settings: train.max_steps 4 → 2\n")


def test_a_run_that_is_finished_may_not_keep_the_contract() -> None:
    assert run_nmt("train", "tiny.yaml", "train.max_steps=5").exit_code == 0
    result = run_nmt("reproduce", "tiny.yaml")
    assert result.exit_code == 5
    assert result.stdout.endswith("VOID: the recipe has other settings: train.max_steps 4 → 5\n")


def test_a_run_on_other_text_is_refused() -> None:
    other = "data.train={src: test.src, tgt: test.tgt}"
    assert run_nmt("train", "tiny.yaml", other).exit_code == 0
    result = run_nmt("reproduce", "tiny.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "data.train: the text of train.src + train.tgt has changed since runs/tiny" in (
        result.stderr
    )


def test_settings_that_do_not_matter_are_allowed() -> None:
    result = run_nmt(
        "reproduce", "tiny.yaml", "train.seed=2", "train.log_every=2", "data.cache_dir=other"
    )
    assert result.exit_code == 0, result.output
    assert "void" not in result.stderr
    assert load_run_config(Path("runs/tiny")).train.seed == 2
    assert "recipe" not in Path("runs/tiny/config.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("data.train={src: train.src, tgt: train.tgt, tag: x}", 'data.train.0.tag null → "x"'),
        (
            "data.test={src: test.src, tgt: test.tgt, reversed: true}",
            'data.test.0.languages "en-xx" → "xx-en", data.test.0.reversed false → true',
        ),
    ],
)
def test_another_use_of_the_same_text_voids_the_contract(change: str, expected: str) -> None:
    result = run_nmt("reproduce", "tiny.yaml", change, "--check-only")
    assert f"warning: the contract of tiny.yaml is void: it has {expected}\n" in result.stderr


def test_text_in_another_directory() -> None:
    Path("dir").mkdir()
    for path in [*Path().glob("*.src"), *Path().glob("*.tgt")]:
        with gzip.open(f"dir/{path}.gz", "wb") as file:
            file.write(path.read_bytes())
        path.unlink()
    assert run_nmt("reproduce", "tiny.yaml").exit_code == 3
    result = run_nmt("reproduce", "tiny.yaml", "--data", "dir", "--check-only")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("data.train.src: dir/train.src.gz: 200 lines, sha256 ")
    result = run_nmt("reproduce", "tiny.yaml", "--data", "dir")
    assert result.exit_code == 0, result.output


def test_other_text_is_refused_before_training() -> None:
    Path("train.src").unlink()
    with open("test.tgt", "a", encoding="utf-8") as file:
        file.write("one more\n")
    result = run_nmt("reproduce", "tiny.yaml")
    assert result.exit_code == 3
    assert "nmt: tiny.yaml: not the text of the recipe, which is random words\n" in result.stderr
    assert "  data.train.src: train.src: cannot be read: " in result.stderr
    assert "  data.test.tgt: test.tgt: 21 lines, sha256 " in result.stderr
    assert result.stdout == ""
    assert not Path("runs").exists()


def test_a_recipe_that_was_never_trained_cannot_pass() -> None:
    write_recipe(measured=False, expected=None)
    result = run_nmt("reproduce", "tiny.yaml")
    assert result.exit_code == 5
    assert "warning: tiny.yaml has not been measured" in result.stderr
    assert result.stdout.endswith(
        "published: 12.5 chrF (cased), a paper\n"
        "UNMEASURED: the recipe has not been measured, so no score is expected\n"
    )


def test_a_student_learns_from_its_teacher() -> None:
    write_recipe("student", teacher="tiny.yaml")
    result = run_nmt("reproduce", "student.yaml")
    assert result.exit_code == 0, result.output
    assert Path("runs/student.distilled.jsonl").is_file()
    assert load_run_config(Path("runs/student")).train.init_from == "runs/tiny"


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["missing"], 2, "no recipe missing"),
        (["plain.yaml"], 2, "plain.yaml: has no section `recipe`"),
        (["tiny.yaml", "recipe.expected.low=0"], 2, "tiny.yaml: recipe: a contract cannot be"),
        (["tiny.yaml", "model.d_model=33"], 2, "is not a multiple of num_heads"),
        (["tiny.yaml", "--data", "nowhere"], 2, "--data: nowhere is not a directory"),
    ],
)
def test_errors(arguments: list[str], code: int, expected: str) -> None:
    Path("plain.yaml").write_text(config_text(), "utf-8")
    result = run_nmt("reproduce", *arguments)
    assert result.exit_code == code, result.output
    assert expected in result.stderr
    assert result.stdout == ""


def test_the_text_can_be_checked_alone() -> None:
    result = run_nmt("reproduce", "tiny.yaml", "--check-only", "--json")
    assert result.exit_code == 0, result.output
    assert [text["key"] for text in json.loads(result.stdout)] == [
        f"data.{part}.{side}" for part in ("train", "valid", "test") for side in ("src", "tgt")
    ]
    assert not Path("runs").exists()
