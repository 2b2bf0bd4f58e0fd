"""`data.valid` with several named sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt.errors import ConfigError
from nmt.report.gather import gather
from nmt.runs import checkpoint, retention
from nmt.runs.info import inspect
from nmt.runs.info_text import render
from nmt.training.average import average_checkpoints
from nmt.training.trainer import Trainer

Make = Callable[..., Any]
FIGURES = ("loss", "ppl", "bleu", "chrf")


@pytest.fixture
def sets(corpus: Path, tmp_path: Path) -> dict[str, Any]:
    """Return `data` with two sets: the validation text, and six pairs of the training text."""
    domain = {}
    for side in ("src", "tgt"):
        lines = (corpus / f"train.{side}").read_text("utf-8").split("\n")[:6]
        (tmp_path / f"domain.{side}").write_text("\n".join([*lines, ""]), "utf-8")
        domain[side] = str(tmp_path / f"domain.{side}")
    general = {side: str(corpus / f"valid.{side}") for side in ("src", "tgt")}
    return {"valid": {"general": general, "domain": domain}}


def lines(run: Any) -> str:
    return "\n".join(line.rstrip() for line in render(inspect(run.path)))


def test_each_set_is_validated_and_the_first_has_the_plain_names(
    sets: dict[str, Any], make_config: Make, tiny_run: Make
) -> None:
    run = tiny_run().train(make_config(data=sets, max_steps=3))
    [record] = run.metrics("valid")
    named = [f"{name}/{figure}" for name in ("general", "domain") for figure in FIGURES]
    assert list(record) == ["kind", "step", *FIGURES, *named]
    assert [record[name] for name in FIGURES] == [record[f"general/{name}"] for name in FIGURES]
    for name, valid in sets["valid"].items():
        alone = tiny_run(f"only-{name}").train(make_config(data={"valid": valid}, max_steps=3))
        [expected] = alone.metrics("valid")
        assert [record[f"{name}/{one}"] for one in FIGURES] == [expected[one] for one in FIGURES]
    [saved] = checkpoint.list_checkpoints(run.path)
    assert saved.scores == {name: record[name] for name in [*FIGURES, *named]}
    assert f"valid step      3  general  loss {record['loss']:.3f}" in run.log
    assert f"valid step      3  domain   loss {record['domain/loss']:.3f}" in run.log
    data = json.loads((run.path / "data.json").read_text("utf-8"))["valid"]
    assert [one["set"] for one in data] == ["general", "domain"]


def test_info_and_report_show_all_sets(
    sets: dict[str, Any], make_config: Make, tiny_run: Make
) -> None:
    run = tiny_run().train(make_config(data=sets, max_steps=3, metric="domain/chrf"))
    [record] = run.metrics("valid")
    shown = lines(run)
    assert "the checkpoint with the best domain/chrf" in shown
    for name in sets["valid"]:
        scores = "".join(f"{record[f'{name}/{one}']:9.4g}" for one in FIGURES)
        assert f"    {name:<24}{scores}" in shown
        assert f"valid.{name} " in shown
    assert not inspect(run.path).faults
    assert json.loads(inspect(run.path).to_json())["data"]["valid"][1]["set"] == "domain"
    from nmt.console import Console

    report = gather([run.path], None, Console(quiet=True)).runs[0]
    assert report.curves.valid["domain/loss"] == [pytest.approx(record["domain/loss"], rel=1e-5)]
    assert report.metric == "domain/chrf"


@pytest.mark.parametrize(("metric", "best"), [("b/loss", 4), ("b/bleu", 6), ("loss", 2)])
def test_a_set_can_choose_the_best_and_end_training(
    sets: dict[str, Any],
    make_config: Make,
    tiny_run: Make,
    monkeypatch: pytest.MonkeyPatch,
    metric: str,
    best: int,
) -> None:
    scores = {
        2: {"loss": 1.0, "b/loss": 3.0, "b/bleu": 1.0},
        4: {"loss": 2.0, "b/loss": 2.0, "b/bleu": 2.0},
        6: {"loss": 2.0, "b/loss": 4.0, "b/bleu": 3.0},
        8: {"loss": 2.0, "b/loss": 4.0, "b/bleu": 1.0},
        10: {"loss": 2.0, "b/loss": 4.0, "b/bleu": 1.0},
        12: {"loss": 2.0, "b/loss": 4.0, "b/bleu": 1.0},
    }
    init = Trainer.__init__

    def fixed(self: Trainer, *args: Any) -> None:
        init(self, *args)
        self.validator = lambda network, stop: scores[self.progress.step]  # type: ignore
        self.validator.signatures = {}  # type: ignore

    monkeypatch.setattr(Trainer, "__init__", fixed)
    data = {"valid": dict(zip("ab", sets["valid"].values(), strict=True))}
    keys = {"metric": metric, "patience": 2, "validate_every": 2, "keep_last": 1, "save_every": 50}
    run = tiny_run().train(make_config(data=data, **keys))
    assert f"no better {metric} in 2 validations" in run.log
    assert run.steps() == [best, best + 4]
    assert retention.choose_weights(run.path, metric).name == f"step-{best:08}"


def test_the_average_is_validated_on_all_sets(
    sets: dict[str, Any], make_config: Make, tiny_run: Make
) -> None:
    keys = {"max_steps": 4, "save_every": 2, "average": "last", "average_count": 2}
    run = tiny_run().train(make_config(data=sets, **keys, metric="domain/loss"))
    from nmt.console import Console

    for _ in range(2):
        average_checkpoints(run.path, "last", 2, Console(quiet=True))
        state = checkpoint.read_state(run.path / "averaged")
        assert {name.rpartition("/")[0] for name in state["scores"]} == {"", "general", "domain"}
    assert set(state["signatures"]) == {"bleu", "chrf"}


def test_resuming_is_exact_and_needs_the_same_sets(
    sets: dict[str, Any], make_config: Make, tiny_run: Make
) -> None:
    keys = {"validate_every": 2, "metric": "domain/bleu", "keep_best": 2}
    whole = tiny_run("whole").train(make_config(data=sets, **keys, max_steps=8))
    parts = tiny_run("parts").train(make_config(data=sets, **keys, max_steps=4))
    renamed = dict(zip(("general", "other"), sets["valid"].values(), strict=True))
    swapped = {"valid": dict(reversed(sets["valid"].items()))}
    with pytest.raises(ConfigError, match=r"data\.valid: its text has changed .* its sets"):
        parts.train(make_config(data=swapped, **keys, max_steps=8))
    with pytest.raises(ConfigError, match=r"train\.metric"):
        parts.train(
            make_config(data={"valid": renamed}, **{**keys, "metric": "other/bleu"}, max_steps=8)
        )
    parts.train(make_config(data=sets, **keys, max_steps=8))
    assert parts.metrics("valid") == whole.metrics("valid")
    assert parts.steps() == whole.steps()
    ends = [checkpoint.read_state(run.path / "checkpoints/step-00000008") for run in (parts, whole)]
    assert ends[0] | {"seconds": 0} == ends[1] | {"seconds": 0}
