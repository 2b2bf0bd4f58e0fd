"""Runs in every state can be reported, and are not changed by it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.console import Console
from nmt.errors import ConfigError, DataError, FileError
from nmt.report.gather import Report, Text, gather


@pytest.fixture
def run(make_run: Callable[..., Path], tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


def report(*paths: Path, text: Text | None = None) -> Report:
    return gather(paths, text, Console(file=io.StringIO()))


def edit_config(run: Path, old: str, new: str) -> None:
    text = (run / "config.yaml").read_text("utf-8")
    assert old in text
    (run / "config.yaml").write_text(text.replace(old, new), "utf-8")


def test_a_run_is_read_and_not_changed(run: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in run.rglob("*") if p.is_file()}
    [found] = report(run, text=Text()).runs
    assert before == {
        p: (p.read_bytes(), p.stat().st_mtime_ns) for p in run.rglob("*") if p.is_file()
    }
    assert (found.name, found.src_lang, found.tgt_lang) == ("run", "en", "de")
    assert (found.step, found.max_steps, found.finished) == (60, 60, True)
    assert found.config["model.d_model"] == 32
    assert found.config["data.test"][0]["src"].endswith("test.src")
    assert found.quality is not None
    assert found.quality.text == "data.test: test.src + test.tgt"
    assert found.quality.sentences == 30
    assert found.notes == []


def test_without_text_nothing_is_translated(run: Path) -> None:
    [found] = report(run).runs
    assert found.quality is None
    assert found.parameters is not None
    assert found.notes == []


def test_a_run_before_its_first_checkpoint(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "finished").unlink()
    [found] = report(run, text=Text()).runs
    assert (found.quality, found.parameters, found.finished) == (None, None, False)
    assert found.curves.last_step == 60
    assert found.notes == [f"no translations: {run}: no checkpoint in it yet"]


def test_a_run_that_has_logged_nothing(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    [found] = report(run).runs
    assert found.notes == ["nothing was logged yet: there are no curves"]


def test_a_run_without_validation(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text("utf-8").split("\n")
    kept = [line for line in lines if '"train"' in line or not line]
    (run / "metrics.jsonl").write_text("\n".join(["torn {", *kept]), "utf-8")
    [found] = report(run).runs
    assert found.curves.valid["step"] == []
    assert found.notes == [
        "lines of metrics.jsonl that are no metrics are left out: 1",
        "there is no data.valid to validate on",
    ]


def test_validation_text_where_there_is_no_test(run: Path) -> None:
    edit_config(run, "  valid: []\n  test:\n", "  valid:\n")
    [found] = report(run, text=Text()).runs
    assert found.quality is not None
    assert found.quality.text == "data.valid: test.src + test.tgt"
    [found] = report(run, text=Text(part="test")).runs
    assert found.quality is None
    assert "the configuration has no data.test: give --src and --ref" in found.notes[-1]


def test_text_or_weights_that_cannot_be_used_cost_the_translations_only(run: Path) -> None:
    edit_config(run, "test.src", "gone.src")
    [found] = report(run, text=Text()).runs
    assert "gone.src: cannot be read" in found.notes[0]
    next(run.glob("checkpoints/*/weights.safetensors")).write_bytes(b"x")
    [found] = report(run, text=Text()).runs
    assert "damaged" in found.notes[0]
    assert (found.quality, found.parameters) == (None, None)
    assert found.curves.last_step == 60


def test_named_files_for_all_runs(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("the cat.\na dog.\n", "utf-8")
    (tmp_path / "b").write_text("THE CAT.\nA DOG.\n", "utf-8")
    text = Text(src=tmp_path / "a", refs=[tmp_path / "b", tmp_path / "a"])
    [found] = report(run, text=text).runs
    assert found.quality is not None
    assert (found.quality.text, found.quality.sentences) == ("a + b + a", 2)
    assert found.quality.scores[0].signature.startswith("nrefs:2")


def test_named_files_must_be_there_and_fit(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("the cat.\n", "utf-8")
    (tmp_path / "b").write_text("", "utf-8")
    with pytest.raises(ConfigError, match="go together"):
        report(run, text=Text(src=tmp_path / "a"))
    with pytest.raises(DataError, match="1 lines"):
        report(run, text=Text(src=tmp_path / "a", refs=[tmp_path / "b"]))
    with pytest.raises(FileError, match="gone"):
        report(run, text=Text(src=tmp_path / "gone", refs=[tmp_path / "b"]))
    with pytest.raises(FileError, match="no such model"):
        report(tmp_path / "gone")


def test_a_checkpoint_that_is_named(run: Path) -> None:
    step = run / "checkpoints" / "step-00000060"
    [found] = report(step, text=Text()).runs
    assert found.name == "run/checkpoints/step-00000060"
    assert found.quality is not None
    assert found.quality.weights == "step-00000060"


def test_names_tell_runs_apart(make_run: Callable[..., Path], tmp_path: Path) -> None:
    paths = [make_run(tmp_path / name) for name in ("a/base/run", "b/base/run", "other")]
    assert [one.name for one in report(*paths[1:]).runs] == ["run", "other"]
    names = [one.name for one in report(*paths).runs]
    assert names[:2] == ["a/base/run", "b/base/run"]
    assert len(set(names)) == 3
    again = report(paths[2], tmp_path / "a" / ".." / "other").runs
    assert [one.name for one in again] == ["other"]


def test_json_has_no_number_that_json_has_not(run: Path) -> None:
    text = (run / "metrics.jsonl").read_text("utf-8").replace("0.9", "NaN")
    (run / "metrics.jsonl").write_text(text, "utf-8")
    values = json.loads(report(run, text=Text()).to_json(), parse_constant=pytest.fail)
    assert values["runs"][0]["curves"]["average"]["loss"] == [None]
    assert values["runs"][0]["quality"]["scores"][0]["name"] == "BLEU"
