"""Averaging on request: which checkpoints are averaged, validated and kept."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.config.schema import Config
from nmt.console import Console
from nmt.errors import DataError, FileError
from nmt.report.gather import gather
from nmt.runs import checkpoint, layout
from nmt.runs.info import inspect
from nmt.runs.info_text import render
from nmt.training.average import average_checkpoints

from .conftest import TinyRun

MakeConfig = Callable[..., Config]
MakeRun = Callable[..., TinyRun]
KEYS = {"max_steps": 6, "save_every": 2, "validate_every": 2, "valid_beam_size": 0}


def average(run: TinyRun, which: str = "last", count: int = 2) -> str:
    """Average checkpoints, and return the messages."""
    out = io.StringIO()
    average_checkpoints(run.path, which, count, Console(file=out, width=300))
    return out.getvalue()


def copy_valid(corpus: Path, folder: Path) -> dict[str, str]:
    """Copy the validation text, and return its paths."""
    for side in ("src", "tgt"):
        (folder / f"valid.{side}").write_bytes((corpus / f"valid.{side}").read_bytes())
    return {side: str(folder / f"valid.{side}") for side in ("src", "tgt")}


def test_an_average_on_request_scores_like_the_one_of_training(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    run = tiny_run().train(make_config(valid=True, **KEYS, average="last", average_count=3))
    messages = average(run, count=3)
    state = checkpoint.read_state(run.path / "averaged")
    assert [record["loss"] for record in run.metrics("average")] == [state["scores"]["loss"]]
    assert f"a validation loss of {state['scores']['loss']:.4g}, the best checkpoint" in messages
    average(run, count=2)
    other = checkpoint.read_state(run.path / "averaged")
    assert other["averaged_steps"] == [4, 6]
    assert other["scores"]["loss"] != state["scores"]["loss"]
    [report] = gather([run.path], None, Console(quiet=True)).runs
    assert report.curves.average["loss"] == [pytest.approx(other["scores"]["loss"], rel=1e-5)]
    assert report.curves.average["step"] == [6]


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_validated_average_is_kept_if_the_new_one_cannot_be_validated(
    make_config: MakeConfig, tiny_run: MakeRun, corpus: Path, tmp_path: Path, damage: str
) -> None:
    files = copy_valid(corpus, tmp_path)
    run = tiny_run().train(make_config(**KEYS, data={"valid": files}))
    average(run, count=3)
    state = checkpoint.read_state(run.path / "averaged")
    if damage == "gone":
        Path(files["tgt"]).unlink()
    else:
        Path(files["tgt"]).write_bytes(Path(files["src"]).read_bytes())
    with pytest.raises(DataError, match=r"averaged weights are kept, .*valid.*Delete .*averaged"):
        average(run)
    assert checkpoint.read_state(run.path / "averaged") == state


def test_without_validation_text_the_average_is_reported_as_not_validated(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    run = tiny_run().train(make_config(**KEYS))
    assert "the average is not validated: the configuration has no data.valid" in average(run)
    average(run, count=3)
    assert checkpoint.read_state(run.path / "averaged")["averaged_steps"] == [2, 4, 6]
    assert "the average of steps 2, 4, 6; not validated" in " ".join(
        line.strip() for line in render(inspect(run.path))
    )
    [report] = gather([run.path], None, Console(quiet=True)).runs
    assert report.curves.average["step"] == []
    assert "the averaged weights are not validated" in report.notes


def test_averaging_is_refused_during_training(make_config: MakeConfig, tiny_run: MakeRun) -> None:
    run = tiny_run().train(make_config(**KEYS))
    with (
        layout.locked(run.path),
        pytest.raises(FileError, match=r"is training in it; .*or stop it"),
    ):
        average(run)
    assert not (run.path / "averaged").exists()


def test_averaging_does_not_create_a_run(tiny_run: MakeRun) -> None:
    with pytest.raises(FileError, match=r"config\.yaml"):
        average(tiny_run("missing"))
    assert not tiny_run("missing").path.exists()
