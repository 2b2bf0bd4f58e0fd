"""Rows 13 to 17 and 19: signals, and losses that are not finite."""

from __future__ import annotations

import os
import signal
import time

import pytest
import torch

from .conftest import Folder, before_call, same, send

SIGTERM = send(signal.SIGTERM)
CONTINUED = "raise RuntimeError('training continued')"
VALIDATE = ["data.valid={src: train.src, tgt: train.tgt}", "train.validate_every=2"]


def test_fault_13_sigterm_during_a_step(folder: Folder) -> None:
    steps = ["train.max_steps=8", "train.save_every=100", "model.dropout=0.3"]
    folder.train(*steps, run="whole").succeeded()
    fault = before_call(5, "nmt.training.learner:batch_loss", SIGTERM)
    cut = folder.train(*steps, fault=fault)
    cut.refused(143, "stopped at step 5, saved in run; the same command continues")
    assert folder.steps() == [5]
    folder.train(*steps).succeeded()
    assert folder.losses() == folder.losses("whole")
    assert same(folder.tensors(8), folder.tensors(8, "whole"))


def test_fault_15_sigterm_to_one_process(folder: Folder) -> None:
    """The signal arrives while the checkpoint of an earlier step is still being written.

    This tests a single process; if there are several, all must save the same step.
    """
    steps = ["train.max_steps=8", "train.save_every=4", "model.dropout=0.3"]
    folder.train(*steps, run="whole").succeeded()
    fault = before_call(1, "nmt.runs.checkpoint:save_checkpoint", f"{SIGTERM}; time.sleep(1)")
    cut = folder.train(*steps, fault=fault)
    assert cut.code == 143
    last = folder.steps()[-1]
    assert folder.steps() == sorted({4, last})
    assert f"stopped at step {last}, saved in run" in cut.err
    folder.train(*steps).succeeded()
    assert folder.losses() == folder.losses("whole")
    assert same(folder.tensors(8), folder.tensors(8, "whole"))


@pytest.mark.parametrize(
    "fault",
    [
        before_call(1, "sentencepiece:SentencePieceTrainer.train", f"{SIGTERM}; time.sleep(60)"),
        before_call(1, "nmt.data.encode:Encoder.encode", SIGTERM),
        before_call(1, "nmt.training.trainer:Trainer.__init__", SIGTERM),
    ],
    ids=["tokenizer", "preparation", "first-batch"],
)
def test_fault_14_sigterm_before_the_first_step(folder: Folder, fault: str) -> None:
    fault += before_call(1, "nmt.training.learner:batch_loss", CONTINUED)
    folder.train(fault=fault).refused(143, "stopped ", "the same command starts again")
    assert time.time() - (folder.path / "signalled").stat().st_mtime < 5
    assert folder.steps() == []
    assert folder.leftovers() == []
    folder.train().succeeded()


@pytest.mark.parametrize(
    "function",
    ["nmt.training.validate:batch_loss", "nmt.translate.torch_engine:beam_search"],
    ids=["loss", "translation"],
)
def test_fault_14_sigterm_during_validation(folder: Folder, function: str) -> None:
    """The run stops before the next batch, saves, and repeats the validation on resuming."""
    fault = before_call(1, function, SIGTERM) + before_call(2, function, CONTINUED)
    small = ["decode.batch_tokens=200", "train.max_steps=3", *VALIDATE]
    folder.train(*small, fault=fault).refused(143, "stopped at step 2, saved in run")
    assert time.time() - (folder.path / "signalled").stat().st_mtime < 5
    assert [record["kind"] for record in folder.metrics()] == ["train", "train"]
    folder.train(*small).succeeded()
    lines = [(record["kind"], record["step"]) for record in folder.metrics()]
    assert lines == [("train", 1), ("train", 2), ("valid", 2), ("train", 3), ("valid", 3)]


def test_fault_16_a_second_sigint_ends_at_once(folder: Folder) -> None:
    """The first arrives in step 3, the second before its checkpoint is renamed."""
    folder.train("train.max_steps=2").succeeded()
    sigint = send(signal.SIGINT)
    fault = before_call(1, "nmt.training.learner:batch_loss", sigint)
    late = f"time.sleep(1.1); {sigint}; time.sleep(60)"
    fault += before_call(1, "nmt.runs.manifest:_replace_directory", late)
    end = folder.train(fault=fault).refused(130, "nmt: interrupted")
    assert "saving …; Ctrl-C again to abandon" in end.err
    assert folder.steps() == [2]
    folder.tensors(2)
    folder.train().succeeded()
    assert folder.steps() == [2, 4]
    assert folder.leftovers() == []
    assert [step for step, _ in folder.losses()] == [1, 2, 3, 4]


def test_fault_16_two_sigints_at_once_count_as_one(folder: Folder) -> None:
    """A second Ctrl-C right after the first is an accident and does not discard the state."""
    sigint = send(signal.SIGINT)
    fault = before_call(2, "nmt.training.learner:batch_loss", f"{sigint}; {sigint}")
    folder.train(fault=fault).refused(130, "stopped at step 2, saved in run")
    assert folder.steps() == [2]


def test_sighup_saves(folder: Folder) -> None:
    hangup = send(signal.SIGHUP)
    fault = before_call(2, "nmt.training.learner:batch_loss", hangup)
    folder.train(fault=fault).refused(129, "stopped at step 2, saved in run")
    assert folder.steps() == [2]


def test_sighup_is_ignored_under_nohup(folder: Folder) -> None:
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    fault = ignore + before_call(2, "nmt.training.learner:batch_loss", send(signal.SIGHUP))
    folder.train(fault=fault).succeeded()
    assert (folder.path / "signalled").exists()
    assert [step for step, _ in folder.losses()] == [1, 2, 3, 4]


def test_a_closed_terminal_does_not_lose_the_state(folder: Folder) -> None:
    """Writing to it fails from then on, before or after the signal arrives."""
    terminal, end = os.openpty()
    fault = "import fcntl, os, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    pause = "open('step', 'w').close(); time.sleep(1)"
    fault += before_call(2, "nmt.training.learner:batch_loss", pause)
    training = folder.start(
        *("train", "tiny.yaml", "--run-dir", "run", "train.max_steps=1000"),
        fault=fault,
        stdin=end,
        stderr=end,
        stdout=end,
    )
    os.close(end)
    while not (folder.path / "step").exists():
        assert training.poll() is None
        time.sleep(0.02)
    os.close(terminal)
    assert training.wait(60) == 129
    assert folder.steps() == [folder.metrics()[-1]["step"]]


INFINITE = "next(args[0].parameters()).register_hook(lambda grad: grad * float('inf'))"
INFINITE_ONCE = INFINITE.replace(
    "lambda grad: grad * float('inf')",
    "lambda grad, todo=[1]: grad * float('inf') if todo and todo.pop() else grad",
)


@pytest.mark.parametrize(
    ("overrides", "fault", "step"),
    [
        (["train.learning_rate=1e20", "train.warmup_steps=1"], "", 2),
        ([], before_call(3, "nmt.training.learner:batch_loss", INFINITE), 3),
    ],
    ids=["learning-rate", "gradient"],
)
def test_fault_17_a_non_finite_loss_ends_training(
    folder: Folder, overrides: list[str], fault: str, step: int
) -> None:
    """This tests a single process; if there are several, all must stop."""
    end = folder.train("train.save_every=1", *overrides, fault=fault)
    end.refused(5, f"step {step}: the loss is", "the first train.src:", "weights were not changed")
    assert folder.steps()[-1] == step - 1
    assert f"the last checkpoint is run/checkpoints/step-0000000{step - 1}" in end.err
    assert all(bool(torch.isfinite(value).all()) for value in folder.tensors(step - 1).values())


def test_fault_17_a_non_finite_loss_is_skipped(folder: Folder) -> None:
    """The batch is skipped, and training continues."""
    skip = ["train.on_nonfinite=skip", "train.max_skipped=2"]
    fault = before_call(2, "nmt.training.learner:batch_loss", INFINITE_ONCE)
    end = folder.train(*skip, fault=fault).succeeded()
    assert "step 2: the loss is" in end.err
    assert "It is skipped (1 of at most 2 in a row)" in end.err
    assert [step for step, _ in folder.losses()] == [1, 2, 3, 4]
    assert folder.state(4)["batch"] == 5
    folder.train(*skip, "train.learning_rate=1e20", "train.warmup_steps=1", run="hot").refused(
        5, "It is skipped (2 of at most 2 in a row)", "weights were not changed"
    )


def test_fault_19_kill_9(folder: Folder) -> None:
    """The same command resumes after kill -9. If there are several processes, all must exit."""
    steps = ["train.max_steps=6", "train.save_every=2", "model.dropout=0.3"]
    folder.train(*steps, run="whole").succeeded()
    kill = before_call(6, "nmt.training.learner:batch_loss", send(signal.SIGKILL))
    assert folder.train(*steps, fault=kill).code == -signal.SIGKILL
    assert folder.steps()[-1] in (2, 4)
    folder.train(*steps).succeeded()
    assert folder.losses() == folder.losses("whole")
    assert same(folder.tensors(6), folder.tensors(6, "whole"))
    assert folder.leftovers() == []
