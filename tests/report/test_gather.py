"""A report can be made from a run in any state, and does not change the run."""

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


def test_run_is_read_and_not_changed(run: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in run.rglob("*") if p.is_file()}
    [run_report] = report(run, text=Text()).runs
    assert before == {
        p: (p.read_bytes(), p.stat().st_mtime_ns) for p in run.rglob("*") if p.is_file()
    }
    assert (run_report.name, run_report.src_lang, run_report.tgt_lang) == ("run", "en", "de")
    assert (run_report.step, run_report.max_steps, run_report.finished) == (60, 60, True)
    assert run_report.config["model.d_model"] == 32
    assert run_report.config["data.test"][0]["src"].endswith("test.src")
    assert run_report.quality is not None
    assert run_report.quality.text == "data.test: test.src + test.tgt"
    assert run_report.quality.sentences == 30
    assert run_report.notes == []


def test_without_text_nothing_is_translated(run: Path) -> None:
    [run_report] = report(run).runs
    assert run_report.quality is None
    assert run_report.parameters is not None
    assert run_report.notes == []


def test_run_before_its_first_checkpoint(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "finished").unlink()
    [run_report] = report(run, text=Text()).runs
    assert (run_report.quality, run_report.parameters, run_report.finished) == (None, None, False)
    assert run_report.curves.last_step == 60
    assert run_report.notes == [f"no translations: {run}: no checkpoint in it yet"]


def test_run_that_has_logged_nothing(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    [run_report] = report(run).runs
    assert run_report.notes == ["nothing logged yet, so there are no curves"]


def test_run_without_validation(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text("utf-8").split("\n")
    kept = [line for line in lines if '"train"' in line or not line]
    (run / "metrics.jsonl").write_text("\n".join(["torn {", *kept]), "utf-8")
    [run_report] = report(run).runs
    assert run_report.curves.valid["step"] == []
    assert run_report.notes == [
        "invalid lines of metrics.jsonl skipped: 1",
        "no validation: no data.valid configured",
    ]


def test_validation_data_without_test_data(run: Path) -> None:
    edit_config(run, "  valid: []\n  test:\n", "  valid:\n")
    [run_report] = report(run, text=Text()).runs
    assert run_report.quality is not None
    assert run_report.quality.text == "data.valid: test.src + test.tgt"
    [run_report] = report(run, text=Text(part="test")).runs
    assert run_report.quality is None
    assert "the configuration has no data.test: give `src` and `ref`" in run_report.notes[-1]


def test_unusable_text_or_weights_only_cost_the_translations(run: Path) -> None:
    edit_config(run, "test.src", "gone.src")
    [run_report] = report(run, text=Text()).runs
    assert "gone.src: cannot be read" in run_report.notes[0]
    next(run.glob("checkpoints/*/weights.safetensors")).write_bytes(b"x")
    [run_report] = report(run, text=Text()).runs
    assert "damaged" in run_report.notes[0]
    assert (run_report.quality, run_report.parameters) == (None, None)
    assert run_report.curves.last_step == 60


def test_given_files_for_all_runs(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("the cat.\na dog.\n", "utf-8")
    (tmp_path / "b").write_text("THE CAT.\nA DOG.\n", "utf-8")
    text = Text(src=tmp_path / "a", refs=[tmp_path / "b", tmp_path / "a"])
    [run_report] = report(run, text=text).runs
    assert run_report.quality is not None
    assert (run_report.quality.text, run_report.quality.sentences) == ("a + b + a", 2)
    assert run_report.quality.scores[0].signature.startswith("nrefs:2")


def test_given_files_must_exist_and_match(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("the cat.\n", "utf-8")
    (tmp_path / "b").write_text("", "utf-8")
    with pytest.raises(ConfigError, match="given together"):
        report(run, text=Text(src=tmp_path / "a"))
    with pytest.raises(DataError, match="1 lines"):
        report(run, text=Text(src=tmp_path / "a", refs=[tmp_path / "b"]))
    with pytest.raises(FileError, match="gone"):
        report(run, text=Text(src=tmp_path / "gone", refs=[tmp_path / "b"]))
    with pytest.raises(FileError, match="no such model"):
        report(tmp_path / "gone")


def test_report_on_a_single_checkpoint(run: Path) -> None:
    step = run / "checkpoints" / "step-00000060"
    [run_report] = report(step, text=Text()).runs
    assert run_report.name == "run/checkpoints/step-00000060"
    assert run_report.quality is not None
    assert run_report.quality.weights == "step-00000060"


def test_run_names_are_unique(make_run: Callable[..., Path], tmp_path: Path) -> None:
    paths = [make_run(tmp_path / name) for name in ("a/base/run", "b/base/run", "other")]
    assert [one.name for one in report(*paths[1:]).runs] == ["run", "other"]
    names = [one.name for one in report(*paths).runs]
    assert names[:2] == ["a/base/run", "b/base/run"]
    assert len(set(names)) == 3
    again = report(paths[2], tmp_path / "a" / ".." / "other").runs
    assert [one.name for one in again] == ["other"]


def test_json_has_only_finite_numbers(run: Path) -> None:
    text = (run / "metrics.jsonl").read_text("utf-8").replace(": 15.0}", ": NaN}")
    (run / "metrics.jsonl").write_text(text, "utf-8")
    values = json.loads(report(run, text=Text()).to_json(), parse_constant=pytest.fail)
    assert values["runs"][0]["curves"]["valid"]["bleu"] == [None, 30.0]
    assert values["runs"][0]["quality"]["scores"][0]["name"] == "BLEU"
