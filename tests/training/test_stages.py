"""`train.stages`: parts of a run with settings of their own."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.config import load
from nmt.config.load import dump_config, load_config
from nmt.config.stages import stages_of
from nmt.console import Console
from nmt.errors import ConfigError, Interrupted
from nmt.runs import checkpoint, layout
from nmt.training.run import train
from nmt.training.schedule import rate_of_run

Make = Callable[..., Any]

STAGES = [
    {"steps": 3, "corpora": {"first": 1}},
    {"steps": 3, "freeze": ["encoder"]},
    {"corpora": {"second": 2}, "learning_rate": 0.01, "warmup_steps": 2, "schedule": "constant"},
]


@pytest.fixture
def sets(corpus: Path) -> dict[str, Any]:
    """Return the training corpus, as it is and reversed, as named sets."""
    files = {"src": str(corpus / "train.src"), "tgt": str(corpus / "train.tgt")}
    return {"first": files, "second": [{**files, "reversed": True}]}


@pytest.fixture
def staged(make_config: Make, sets: dict[str, Any]) -> Make:
    def make(stages: list[dict[str, Any]] = STAGES, **train_keys: Any) -> Any:
        keys: dict[str, Any] = {"max_steps": 9, "warmup_steps": 4, "save_every": 100} | train_keys
        return make_config(stages=stages, data={"train": sets}, **keys)

    return make


def state_of(run: Any, step: int) -> dict[str, torch.Tensor]:
    path = layout.checkpoint_path(run.path, step)
    return {
        f"{name}/{key}": tensor
        for name in ("weights", "optimizer")
        for key, tensor in checkpoint.load_tensors(path, name).items()
    }


def test_each_stage_has_its_settings(staged: Make) -> None:
    first, second, third = stages_of(staged())
    assert [(one.begin, one.end) for one in (first, second, third)] == [(0, 3), (3, 6), (6, 9)]
    assert [one.set for one in first.config.data.train] == ["first"]
    assert [one.set for one in second.config.data.train] == ["first", "second"]
    assert [(one.set, one.weight) for one in third.config.data.train] == [("second", 2)]
    assert second.config.train.freeze == ["encoder"]
    assert [one.changes_data for one in (first, second, third)] == [False, True, True]


def test_the_schedule_goes_on_unless_a_stage_has_its_own(staged: Make) -> None:
    config = staged(learning_rate=0.004, schedule="linear")
    rates = [rate_of_run(step, config) for step in range(1, 10)]
    expected = [0.001, 0.002, 0.003, 0.004, 0.0032, 0.0024]  # linear decay until step 9
    assert rates[:6] == pytest.approx(expected)
    assert rates[6:] == pytest.approx([0.005, 0.01, 0.01])


def test_a_run_without_stages_is_a_single_one(make_config: Make) -> None:
    config = make_config()
    [stage] = stages_of(config)
    assert stage.config == config
    assert stage.is_last


def test_the_configuration_of_a_run_is_read_back_unchanged(staged: Make, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(dump_config(staged()), "utf-8")
    assert load_config(tmp_path / "config.yaml") == staged()


def test_a_stopped_run_continues_exactly(staged: Make, tiny_run: Make) -> None:
    config = staged(valid=True, validate_every=2)
    whole = tiny_run("whole").train(config)
    parts = tiny_run("parts")
    for stop_after in (2, 3, 4, 6, 8):  # 3 and 6 are the ends of stages
        with pytest.raises(Interrupted):
            train(config, parts.path, Console(file=io.StringIO()), stop_after=stop_after)
    parts.train(config)
    one, other = state_of(whole, 9), state_of(parts, 9)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert parts.losses() == whole.losses()
    assert parts.metrics("valid")[-1]["loss"] == whole.metrics("valid")[-1]["loss"]
    steps = [[record["step"] for record in run.metrics("valid")] for run in (parts, whole)]
    assert steps[0] == steps[1] == [2, 3, 4, 6, 8, 9]


def test_a_stage_trains_on_its_corpora_and_leaves_frozen_weights(
    staged: Make, tiny_run: Make
) -> None:
    run = tiny_run("run").train(staged(keep_last=9))
    epochs = [record["epoch"] for record in run.metrics("train")]
    assert epochs[0] == 0
    assert epochs[3] == epochs[2] + 1
    assert epochs[6] == epochs[5] + 1
    after = {step: state_of(run, step) for step in (3, 6, 9)}
    encoder = [name for name in after[3] if name.startswith("weights/encoder_layers")]
    assert all(torch.equal(after[3][name], after[6][name]) for name in encoder)
    assert not any(torch.equal(after[6][name], after[9][name]) for name in encoder)
    # Adam's state of a weight that was frozen began anew with the last stage.
    assert after[9]["optimizer/step.encoder_layers.0.self_attention.out_weight"] == 3
    assert after[9]["optimizer/step.decoder_layers.0.self_attention.out_weight"] == 9
    assert (
        "stage 2 of 3: steps 4 to 6; corpora: first (weight 1), second (weight 1); frozen: encoder"
        in run.log
    )


def test_only_checkpoints_of_the_last_stage_are_averaged(staged: Make, tiny_run: Make) -> None:
    run = tiny_run("run").train(staged(save_every=1, keep_last=9, average="last", average_count=5))
    assert "averaged the checkpoints of steps 7, 8, 9" in run.log


def test_a_run_stopped_in_the_last_stage_may_end_before_that_step(
    staged: Make, tiny_run: Make
) -> None:
    run = tiny_run()
    with pytest.raises(Interrupted):
        train(staged(), run.path, Console(quiet=True), stop_after=8)
    run.train(staged(max_steps=7))
    assert layout.finished_step(run.path) == 8


def test_stages_to_come_may_change(staged: Make, tiny_run: Make) -> None:
    run = tiny_run("run")
    with pytest.raises(Interrupted):
        train(staged(), run.path, Console(file=io.StringIO()), stop_after=4)
    changed = [STAGES[0], {**STAGES[1], "steps": 4}, {"corpora": {"first": 1}}]
    with pytest.raises(ConfigError) as refused:
        run.train(staged([{**STAGES[0], "corpora": {"second": 1}}, *changed[1:]]))
    assert "train.stages.0.corpora.first: was 1.0, is now null" in str(refused.value)
    with pytest.raises(ConfigError, match=r"train\.stages\.1\.freeze\.0: was"):
        run.train(staged([STAGES[0], {**STAGES[1], "freeze": ["decoder"]}, STAGES[2]]))
    run.train(staged(changed))
    assert run.steps()[-1] == 9


def test_a_finished_run_may_get_another_stage(staged: Make, tiny_run: Make) -> None:
    run = tiny_run("run").train(staged(STAGES[:2], max_steps=6))
    run.train(staged())
    assert run.steps()[-1] == 9


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{}, {}], "train.stages.0.steps: required: only the last stage may leave it out"),
        ([{"steps": 9}, {}], "take 9 steps, so train.max_steps 9 leaves none for the last one"),
        ([{"steps": 3}, {"steps": 5}], "lasts until train.max_steps 9, which makes 6"),
        ([{"corpora": {"third": 1}}], "no set third; it has first, second"),
        ([{"corpora": {}}], "train.stages.0.corpora"),
        ([{"epochs": 3}], "train.stages.0.epochs: unknown key"),
    ],
)
def test_stages_that_cannot_be_used_are_refused(
    staged: Make, stages: list[dict[str, Any]], message: str
) -> None:
    values = staged().model_dump(exclude_none=True)
    values["train"]["stages"] = stages
    with pytest.raises(ConfigError) as refused:
        load.make_config(values)
    assert message in str(refused.value)


def test_patience_is_refused(staged: Make) -> None:
    values = staged(valid=True).model_dump(exclude_none=True)
    with pytest.raises(ConfigError, match=r"patience cannot be combined with stages"):
        load.make_config(values, ["train.patience=2"])


def test_a_pattern_of_a_stage_is_checked_before_the_run_begins(
    staged: Make, tiny_run: Make
) -> None:
    run = tiny_run("run")
    with pytest.raises(ConfigError, match=r"train\.stages\.1\.freeze: 'encodr' matches no"):
        run.train(staged([{"steps": 3}, {"freeze": ["encodr"]}]))
    assert not run.path.exists()
