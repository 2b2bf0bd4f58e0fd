"""Rows 1, 2, 3, 5 and 36: a training that goes on, and one that must not."""

from __future__ import annotations

import pytest

from .conftest import Folder, make_folder, same

# Two batches a step, and dropout, which depends on the random state.
SETTINGS = ["train.accumulate=2", "model.dropout=0.3", "train.batch_tokens=300"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder with the run `whole`, of 12 steps without a stop."""
    folder = make_folder(tmp_path_factory.mktemp("whole"))
    folder.train("train.max_steps=12", *SETTINGS, run="whole").succeeded()
    return folder


def test_fault_01_resume_is_exact(whole: Folder) -> None:
    """Cut at the end of an epoch and inside the next."""
    epochs = {record["step"]: record["epoch"] for record in whole.metrics("whole")}
    assert epochs[5] < epochs[6] == epochs[9] == epochs[10]
    for step in (5, 9, 12):
        whole.train(f"train.max_steps={step}", *SETTINGS, run="cut").succeeded()
    assert len(whole.losses("whole")) == 12
    assert whole.losses("cut") == whole.losses("whole")
    assert same(whole.tensors(12, "cut"), whole.tensors(12, "whole"))


def test_fault_02_resume_without_the_random_state_is_noticed(whole: Folder) -> None:
    """The negative control: the comparison of row 1 can fail."""
    fault = "import nmt.train.trainer as t; t._restore_random_state = lambda *args: None"
    for step in (5, 12):
        whole.train(f"train.max_steps={step}", *SETTINGS, run="other", fault=fault).succeeded()
    assert whole.losses("other")[:5] == whole.losses("whole")[:5]
    assert whole.losses("other") != whole.losses("whole")
    assert not same(whole.tensors(12, "other"), whole.tensors(12, "whole"))


def test_fault_03_resume_with_another_prefetch_depth(whole: Folder) -> None:
    """There are no data workers; one thread makes batches ahead, and how many may change."""
    fault = "import nmt.data.batching as b; b.batches.__kwdefaults__['ahead'] = 0"
    whole.train("train.max_steps=4", *SETTINGS, run="ahead", fault=fault).succeeded()
    whole.train("train.max_steps=12", *SETTINGS, run="ahead").succeeded()
    assert whole.losses("ahead") == whole.losses("whole")
    assert same(whole.tensors(12, "ahead"), whole.tensors(12, "whole"))


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("model.d_ff=96", "model.d_ff: was 64, is now 96"),
        ("tokenizer.vocab_size=30", "tokenizer.vocab_size: was 40, is now 30"),
        (None, "data.train: the text in it is not what"),
    ],
    ids=["architecture", "vocabulary", "data"],
)
def test_fault_05_resume_after_a_change(folder: Folder, override: str | None, field: str) -> None:
    folder.train("train.max_steps=2").succeeded()
    if override is None:
        folder.write("train.src", (folder.path / "train.src").read_bytes().replace(b"ab", b"ba"))
    folder.train("train.max_steps=4", *filter(None, [override])).refused(2, field)
    assert folder.steps() == [2]


def test_fault_36_max_steps_reached_at_the_start(folder: Folder) -> None:
    folder.train("train.max_steps=2").succeeded()
    again = folder.train("train.max_steps=2").succeeded()
    assert "run is trained: step 2 of train.max_steps 2. Raise it to go on" in again.err
    assert "train step" not in again.err
    folder.train("train.max_steps=3").succeeded()  # a longer training is allowed
    assert [step for step, _ in folder.losses()] == [1, 2, 3]
