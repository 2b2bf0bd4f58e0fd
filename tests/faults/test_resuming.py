"""Rows 1 to 5, 18 and 36: training runs that resume, or must refuse to."""

from __future__ import annotations

import signal
import time

import pytest
import torch

from .conftest import (
    TIMEOUT_SECONDS,
    Folder,
    Outcome,
    before_call,
    make_folder,
    same,
    send,
)

# Two batches per step, and dropout, which is random.
SETTINGS = ["train.accumulate=2", "model.dropout=0.3", "train.batch_tokens=300"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Return a folder with the run `whole`: 12 steps without interruption."""
    folder = make_folder(tmp_path_factory.mktemp("whole"))
    folder.train("train.max_steps=12", *SETTINGS, run="whole").succeeded()
    return folder


def test_fault_01_resume_is_exact(whole: Folder) -> None:
    """Stop at the end of an epoch and inside the next."""
    epochs = {record["step"]: record["epoch"] for record in whole.metrics("whole")}
    assert epochs[5] < epochs[6] == epochs[9] == epochs[10]
    for step in (5, 9, 12):
        whole.train(f"train.max_steps={step}", *SETTINGS, run="cut").succeeded()
    assert len(whole.losses("whole")) == 12
    assert whole.losses("cut") == whole.losses("whole")
    assert same(whole.tensors(12, "cut"), whole.tensors(12, "whole"))


def test_fault_02_resume_without_the_random_numbers_differs(whole: Folder) -> None:
    """A control: the comparison of row 1 can fail."""
    fault = "import nmt.training.learner as t; t._seed = lambda *key: None"
    whole.train("train.max_steps=5", *SETTINGS, run="other").succeeded()
    whole.train("train.max_steps=12", *SETTINGS, run="other", fault=fault).succeeded()
    assert whole.losses("other")[:5] == whole.losses("whole")[:5]
    assert whole.losses("other") != whole.losses("whole")
    assert not same(whole.tensors(12, "other"), whole.tensors(12, "whole"))


# Training processes of --verify-resume are new and would not have the fault; this forks them.
FORK = """
import multiprocessing
_get_context = multiprocessing.get_context
multiprocessing.get_context = lambda method=None: _get_context("fork")
"""


def test_fault_02_verify_resume(whole: Folder) -> None:
    """`--verify-resume` succeeds, and fails if the random numbers depend on the process."""
    command = ["train", "tiny.yaml", *SETTINGS, "train.max_steps=9", "--verify-resume", "8"]
    done = whole.nmt(*command).succeeded()
    assert done.out.startswith(
        b"identical: 8 uninterrupted steps, and 8 stopped after steps 2 and 5"
    )
    fault = "import nmt.training.learner as t; t._seed = lambda *key: None"
    failed = whole.nmt(*command, fault=FORK + fault)
    failed.refused(5, "resuming is not exact", "the loss of step 3 is")
    assert failed.out == b""


def test_fault_02_verify_resume_compares_checkpoints_and_scores(folder: Folder) -> None:
    """The fault lets checkpoints that were only saved on an interruption enter the average."""
    valid = "data.valid={src: train.src, tgt: train.tgt}"
    average = ["train.average=last", "train.average_count=2", valid]
    command = ["train", "tiny.yaml", *average, "train.max_steps=9", "--verify-resume", "9"]
    done = folder.nmt(*command, fault=FORK).succeeded()
    assert done.out.startswith(b"identical: 9 uninterrupted steps")
    fault = "import nmt.runs.retention as r; r.regular = list"
    failed = folder.nmt(*command, fault=FORK + fault)
    failed.refused(5, "resuming is not exact", "the checkpoints kept and their scores are")


def test_fault_02_verify_resume_reports_the_signal_that_killed_a_run(folder: Folder) -> None:
    fault = FORK + before_call(2, "nmt.training.learner:batch_loss", send(signal.SIGKILL))
    killed = folder.nmt("train", "tiny.yaml", "--verify-resume", "4", fault=fault)
    killed.refused(137, "the training run straight failed")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_fault_02_verify_resume_leaves_nothing_behind(
    folder: Folder, number: signal.Signals, code: int
) -> None:
    """No directory is left, and no training process, which would keep standard error open."""
    temporary = folder.path / "temporary"
    temporary.mkdir()
    steps = "1000000"
    command = ["train", "tiny.yaml", f"train.max_steps={steps}", "--verify-resume", steps]
    process = folder.start(*command, env={"TMPDIR": str(temporary)})
    try:
        while not list(temporary.glob("*/straight/metrics.jsonl")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=TIMEOUT_SECONDS)
    finally:
        process.kill()
    Outcome(process.returncode, b"", err.decode("utf-8")).refused(code, "--verify-resume: stopped")
    assert list(temporary.glob("nmt-*")) == []


def test_fault_02_verify_resume_that_is_killed_leaves_no_training_process(folder: Folder) -> None:
    command = ["train", "tiny.yaml", "train.max_steps=1000000", "--verify-resume", "1000000"]
    process = folder.start(*command, env={"TMPDIR": str(folder.path)})
    while not list(folder.path.glob("*/straight/metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    # Standard error closes when the training process, which inherited it, has ended as well.
    process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == -signal.SIGKILL


def test_fault_03_resume_with_another_prefetch_depth(whole: Folder) -> None:
    """One thread prepares batches ahead; how many may change between runs."""
    fault = "import nmt.data.batching as b; b.batches.__kwdefaults__['ahead'] = 0"
    whole.train("train.max_steps=4", *SETTINGS, run="ahead", fault=fault).succeeded()
    whole.train("train.max_steps=12", *SETTINGS, run="ahead").succeeded()
    assert whole.losses("ahead") == whole.losses("whole")
    assert same(whole.tensors(12, "ahead"), whole.tensors(12, "whole"))


def test_fault_04_no_pair_is_lost_or_repeated(folder: Folder) -> None:
    """With one process, an epoch that is interrupted still visits each pair once.

    Still to be tested: a run of two processes that continues with fewer.
    """
    note = "open('rows', 'a').write(' '.join(map(str, args[1].rows)) + '\\n')"
    fault = before_call(0, "nmt.training.learner:batch_loss", "pass").replace(
        "if calls == 0:", f"{note}\n        if calls == 0:"
    )
    for step in (3, 7, 10):
        folder.train(f"train.max_steps={step}", fault=fault).succeeded()
    epochs = {record["step"]: record["epoch"] for record in folder.metrics()}
    of_epoch = [step for step in epochs if epochs[step] == 0]
    assert 7 < len(of_epoch) < 10
    lines = (folder.path / "rows").read_text("utf-8").split("\n")
    rows = [int(row) for line in lines[: len(of_epoch)] for row in line.split()]
    assert sorted(rows) == list(range(200))


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("model.d_ff=96", "model.d_ff: was 64, is now 96"),
        ("tokenizer.vocab_size=30", "tokenizer.vocab_size: was 40, is now 30"),
        (None, "data.train: its text has changed since"),
    ],
    ids=["architecture", "vocabulary", "data"],
)
def test_fault_05_resume_after_a_change(folder: Folder, override: str | None, field: str) -> None:
    folder.train("train.max_steps=2").succeeded()
    if override is None:
        folder.write("train.src", (folder.path / "train.src").read_bytes().replace(b"ab", b"ba"))
    folder.train("train.max_steps=4", *filter(None, [override])).refused(2, field)
    assert folder.steps() == [2]


def test_fault_18_out_of_memory(folder: Folder) -> None:
    """The batch is split and the step starts again, with one process.

    Without dropout, the objective must be the same.
    """
    plain = ["model.dropout=0", "train.max_steps=6"]
    folder.train(*plain, run="whole").succeeded()
    fault = "import torch; raise torch.OutOfMemoryError('simulated')"
    fault = before_call(3, "nmt.training.learner:batch_loss", fault)
    end = folder.train(*plain, fault=fault).succeeded()
    assert end.err.count("out of memory in a batch of") == 1
    for (step, loss), (_, expected) in zip(folder.losses(), folder.losses("whole"), strict=True):
        assert loss == pytest.approx(expected, rel=1e-4), step
    for name, tensor in folder.tensors(6).items():
        if name.startswith("weights/"):
            torch.testing.assert_close(tensor, folder.tensors(6, "whole")[name], atol=1e-4, rtol=0)


def test_fault_36_max_steps_reached_at_the_start(folder: Folder) -> None:
    folder.train("train.max_steps=2").succeeded()
    again = folder.train("train.max_steps=2").succeeded()
    assert "run is already trained: step 2 of train.max_steps 2; raise it to continue" in again.err
    assert "train step" not in again.err
    folder.train("train.max_steps=3").succeeded()  # a longer run is allowed
    assert [step for step, _ in folder.losses()] == [1, 2, 3]
