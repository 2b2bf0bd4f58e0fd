"""The fault matrix: a tiny corpus, and commands run as processes.

Each test has the number of its row in the matrix. Faults come from outside: files, signals,
limits, or Python code (`fault`) that runs in the child process before the command.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import forked
from nmt.runs import checkpoint, layout, manifest
from tiny import config_text, write_corpus

TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    def succeeded(self) -> Outcome:
        """Check that the command succeeded."""
        assert self.code == 0, self.err
        return self

    def refused(self, code: int, *parts: str) -> Outcome:
        """Check the exit code, and that the message contains all parts."""
        assert self.code == code, self.err
        assert "Traceback" not in self.err
        for part in parts:
            assert part in self.err
        return self

    def lines(self) -> list[str]:
        """Return the lines of standard output; only line feeds end a line."""
        text = self.succeeded().out.decode("utf-8")
        assert text == "" or text.endswith("\n")
        return text.split("\n")[:-1]


class Folder:
    """A directory with `tiny.yaml` and its corpus, in which commands run as separate processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file."""
        data = content.encode("utf-8") if isinstance(content, str) else content
        (self.path / name).write_bytes(data)
        return self.path / name

    def write_pairs(self, src: str | bytes, tgt: str | bytes) -> None:
        """Replace the training corpus."""
        self.write("train.src", src)
        self.write("train.tgt", tgt)

    def start(self, *arguments: str, fault: str = "", **options: Any) -> forked.Process:
        """Start a command in a forked process.

        Args:
            arguments: arguments of `nmt`.
            fault: Python code that the process runs first.
            options: options of `forked.Process`; `env` is added to the environment. With
                `prefix` (a command that runs the command) or `preexec_fn`, it is a new process,
                and these are options of `subprocess.Popen`.
        """
        code = f"{textwrap.dedent(fault)}\n{forked.COMMAND}"
        added = {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | options.get("env", {})
        options = {"cwd": self.path} | options | {"env": os.environ | added}
        prefix = options.pop("prefix", [])
        if not prefix and "preexec_fn" not in options:
            return forked.Process(code, *arguments, **options)
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [*prefix, sys.executable, "-c", code, *arguments]
        return subprocess.Popen(command, **(pipes | options))

    def nmt(
        self, *arguments: str, fault: str = "", text: str | bytes = b"", **options: Any
    ) -> Outcome:
        """Run a command to its end with `text` as standard input; other arguments as in `start`."""
        data = text.encode("utf-8") if isinstance(text, str) else text
        process = self.start(*arguments, fault=fault, **options)
        try:
            out, err = process.communicate(data, timeout=TIMEOUT_SECONDS)
        finally:
            process.kill()
        return Outcome(process.returncode, out, err.decode("utf-8"))

    def train(self, *overrides: str, run: str = "run", **options: Any) -> Outcome:
        """Run `nmt train tiny.yaml`."""
        return self.nmt("train", "tiny.yaml", *overrides, "--run-dir", run, **options)

    def steps(self, run: str = "run") -> list[int]:
        """Return the steps of the checkpoints of a run."""
        return [entry.step for entry in checkpoint.list_checkpoints(self.path / run)]

    def metrics(self, run: str = "run") -> list[dict[str, Any]]:
        """Return the records of metrics.jsonl."""
        text = (self.path / run / "metrics.jsonl").read_text("utf-8")
        return [json.loads(line) for line in text.split("\n") if line]

    def losses(self, run: str = "run") -> list[tuple[int, float]]:
        """Return step and loss of each training record."""
        return [(r["step"], r["loss"]) for r in self.metrics(run) if r["kind"] == "train"]

    def tensors(self, step: int, run: str = "run") -> dict[str, Tensor]:
        """Return all tensors of a checkpoint: weights and optimizer state."""
        path = layout.checkpoint_path(self.path / run, step)
        manifest.verify(path)
        return {
            f"{name}/{key}": tensor
            for name in ("weights", "optimizer")
            for key, tensor in checkpoint.load_tensors(path, name).items()
        }

    def state(self, step: int, run: str = "run") -> dict[str, Any]:
        """Return the state of a checkpoint."""
        return checkpoint.read_state(layout.checkpoint_path(self.path / run, step))

    def leftovers(self) -> list[str]:
        """Return the temporary files that were left behind."""
        return sorted(
            str(path.relative_to(self.path))
            for path in self.path.rglob("*")
            if path.name.endswith(".tmp") or (path.parent.name == "cache" and path.name[0] == ".")
        )


def before_call(number: int, function: str, action: str) -> str:
    """Return Python code that runs `action` before the number-th call of a function.

    Args:
        number: number of the call, from 1.
        function: name such as `nmt.training.learner:batch_loss` or `nmt.x:Class.method`.
        action: Python statements, which may use `args` and `kwargs` of the call.
    """
    return f"""
import os, pkgutil, signal, time
def _inject():
    path = {function!r}
    parent, _, name = path.rpartition("." if "." in path.partition(":")[2] else ":")
    owner, function, calls = pkgutil.resolve_name(parent), pkgutil.resolve_name(path), 0
    def injected(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == {number}:
            {action}
        return function(*args, **kwargs)
    setattr(owner, name, injected)
_inject()
"""


def send(number: signal.Signals) -> str:
    """Return Python code that touches `signalled` and sends the process a signal."""
    return f"open('signalled', 'w').close(); os.kill(os.getpid(), {int(number)})"


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Return whether all tensors are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def make_folder(path: Path) -> Folder:
    """Create a folder with a configuration and 200 pairs."""
    write_corpus(path, train=200)
    folder = Folder(path)
    folder.write("tiny.yaml", config_text())
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder for one test."""
    return make_folder(tmp_path)


Translate = Callable[..., Outcome]


@pytest.fixture
def translate(folder: Folder, trained_run: Path) -> Translate:
    """Return a callable (*arguments, text="", …): run `nmt translate` with the shared model."""
    return lambda *arguments, **options: folder.nmt(
        "translate", str(trained_run), "--threads", "1", *arguments, **options
    )
