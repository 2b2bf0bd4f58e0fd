"""What the rows of the fault matrix share: a tiny corpus, and the command line as processes.

Each test is a row of the matrix and has its number. Faults come from outside: files, signals,
limits, or Python that runs in the child process before the command (`fault`).
"""

from __future__ import annotations

import json
import os
import random
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

from nmt.runs import checkpoint

WORDS = ["ab", "bad", "cab", "dab", "fed", "gab", "head", "jade", "keg", "lab"]
TIMEOUT_SECONDS = 120

CONFIG = """\
data:
  src_lang: en
  tgt_lang: xx
  train: {src: train.src, tgt: train.tgt}
  cache_dir: cache
tokenizer: {type: char, vocab_size: 40}
model: {d_model: 32, num_heads: 2, d_ff: 64, encoder_layers: 1, decoder_layers: 1}
train:
  max_steps: 4
  batch_tokens: 400
  warmup_steps: 10
  learning_rate: 0.003
  log_every: 1
  average: none
  device: cpu
  threads: 1
"""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    def succeeded(self) -> Outcome:
        """Check that nothing went wrong."""
        assert self.code == 0, self.err
        return self

    def refused(self, code: int, *parts: str) -> Outcome:
        """Check that it ended with this code and a message that says these things."""
        assert self.code == code, self.err
        assert "Traceback" not in self.err
        for part in parts:
            assert part in self.err
        return self

    def lines(self) -> list[str]:
        """The lines of the standard output, which line feeds end and nothing else."""
        text = self.succeeded().out.decode("utf-8")
        assert text == "" or text.endswith("\n")
        return text.split("\n")[:-1]


class Folder:
    """A directory with `tiny.yaml` and its text, where commands run as processes of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file as it is."""
        data = content.encode("utf-8") if isinstance(content, str) else content
        (self.path / name).write_bytes(data)
        return self.path / name

    def write_pairs(self, src: str | bytes, tgt: str | bytes) -> None:
        """Replace the training text."""
        self.write("train.src", src)
        self.write("train.tgt", tgt)

    def start(self, *arguments: str, fault: str = "", **options: Any) -> subprocess.Popen[bytes]:
        """Begin a command.

        Args:
            arguments: of `nmt`.
            fault: Python that is run first in the process.
            options: of `subprocess.Popen`; `env` is added to the environment.
        """
        code = f"{textwrap.dedent(fault)}\nfrom nmt.cli import app\napp(prog_name='nmt')"
        own = {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        options["env"] = os.environ | own | options.get("env", {})
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        prefix = options.pop("prefix", [])
        return subprocess.Popen(
            [*prefix, sys.executable, "-c", code, *arguments],
            **({"cwd": self.path} | pipes | options),
        )

    def nmt(
        self, *arguments: str, fault: str = "", text: str | bytes = b"", **options: Any
    ) -> Outcome:
        """Run a command to its end; `text` is its standard input, the rest as in `start`."""
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
        """The steps of the checkpoints of a run."""
        return [found.step for found in checkpoint.checkpoints(self.path / run)]

    def metrics(self, run: str = "run") -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        text = (self.path / run / "metrics.jsonl").read_text("utf-8")
        return [json.loads(line) for line in text.split("\n") if line]

    def losses(self, run: str = "run") -> list[tuple[int, float]]:
        """Step and loss of each line of metrics of the training."""
        return [(r["step"], r["loss"]) for r in self.metrics(run) if r["kind"] == "train"]

    def tensors(self, step: int, run: str = "run") -> dict[str, Tensor]:
        """All that a checkpoint holds: weights, optimizer and random state."""
        path = checkpoint.checkpoint_path(self.path / run, step)
        checkpoint.verify(path)
        return {
            f"{name}/{key}": tensor
            for name in ("weights", "optimizer", "random")
            for key, tensor in checkpoint.load_tensors(path, name).items()
        }

    def state(self, step: int, run: str = "run") -> dict[str, Any]:
        """The state of a checkpoint."""
        return checkpoint.read_state(checkpoint.checkpoint_path(self.path / run, step))

    def leftovers(self) -> list[str]:
        """Whatever lies about that was to be temporary."""
        return sorted(
            str(path.relative_to(self.path))
            for path in self.path.rglob("*")
            if path.name.endswith(".tmp") or (path.parent.name == "cache" and path.name[0] == ".")
        )


def before_call(number: int, function: str, action: str) -> str:
    """Write Python that has a process do something before the number-th call of a function.

    Args:
        number: from 1.
        function: such as `nmt.training.learner:batch_loss` or `nmt.x:Class.method`.
        action: Python; it sees `args` and `kwargs`.
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
    """Write Python that sends the process a signal, and notes the time in `signalled`."""
    return f"open('signalled', 'w').close(); os.kill(os.getpid(), {int(number)})"


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether all tensors are equal to the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def make_folder(path: Path) -> Folder:
    """Make a folder with a configuration and 200 pairs of up to five words."""
    made = Folder(path)
    draw = random.Random(0)
    rows = [draw.choices(WORDS, k=draw.randint(1, 5)) for _ in range(200)]
    made.write_pairs(
        "".join(" ".join(row) + "\n" for row in rows),
        "".join(" ".join(reversed(row)) + "\n" for row in rows),
    )
    made.write("tiny.yaml", CONFIG)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder for one test."""
    return make_folder(tmp_path)


Translate = Callable[..., Outcome]


@pytest.fixture
def translate(folder: Folder, trained_run: Path) -> Translate:
    """(*arguments, text="", …): run `nmt translate` with the model that all tests share."""
    return lambda *arguments, **options: folder.nmt(
        "translate", str(trained_run), "--threads", "1", *arguments, **options
    )
