"""Kills a training at each write, fsync, rename and deletion in turn, and starts it again.

Run in a folder with `tiny.yaml` and the run `run` of one step. Every training is a child that
is forked after the imports, which take longer than all the rest. Prints the deaths.
"""

from __future__ import annotations

import filecmp
import functools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas  # noqa: F401  # pyarrow imports it
import safetensors.torch
import torch._dynamo  # noqa: F401  # the optimizer imports it

import nmt.train.run  # noqa: F401  # the command imports it
from nmt.cli import app

TRAIN = ["train", "tiny.yaml", "train.save_every=1", "train.keep_last=1", "train.keep_best=0"]


def train(run: str, max_steps: int, death: int = -1) -> str | None:
    """Train in a child that dies at an operation; return at which, if it did."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open("said", os.O_WRONLY | os.O_CREAT | os.O_APPEND), sys.stderr.fileno())
        die_at(death, writer)
        try:
            app([*TRAIN, f"train.max_steps={max_steps}", "--run-dir", run], prog_name="nmt")
        except SystemExit as end:
            os._exit(int(end.code or 0))
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        where = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return where
    assert os.waitstatus_to_exitcode(status) == 0, Path("said").read_text("utf-8")
    return None


def die_at(number: int, writer: int) -> None:
    """Have this process die at an operation on files, counted from 0; writes have two halves."""
    left = number

    def step(what: str) -> None:
        nonlocal left
        if left == 0:
            os.write(writer, what.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def dying(owner: Any, name: str, half: Callable[..., object] | None = None) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def operation(*args: Any, **kwargs: Any) -> Any:
            paths = [str(path) for path in args if isinstance(path, Path)]
            step(" ".join(["before", name, *paths]))
            if half and left == 0:
                half(*args)
            if half:
                step(f"half-way in {name}")
            return function(*args, **kwargs)

        setattr(owner, name, operation)

    dying(os, "fsync")
    dying(Path, "mkdir")
    dying(Path, "chmod")
    dying(Path, "rename")
    dying(Path, "replace")
    dying(
        Path, "write_text", lambda path, text, *_: path.write_bytes(text.encode()[: len(text) // 2])
    )
    dying(safetensors.torch, "save_file", lambda _, path: path.write_bytes(b"half"))
    dying(shutil, "rmtree", empty_partly)


def empty_partly(directory: Path, *_: Any) -> None:
    """Delete one of the files, as a deletion that is cut short does."""
    if files := sorted(directory.glob("*")):
        files[0].unlink()


def files_of(run: str) -> list[Path]:
    return sorted(path.relative_to(run) for path in Path(run).rglob("*"))


def main() -> None:
    shutil.copytree("run", "whole")
    assert train("whole", max_steps=3) is None
    weights = "checkpoints/step-00000003/weights.safetensors"
    for number in range(1000):
        shutil.rmtree("cut", ignore_errors=True)
        shutil.copytree("run", "cut")
        death = train("cut", max_steps=2, death=number)
        if death is None:
            break
        print(death)
        assert train("cut", max_steps=3) is None
        assert files_of("cut") == files_of("whole"), death
        assert filecmp.cmp(f"cut/{weights}", f"whole/{weights}", shallow=False), death


if __name__ == "__main__":
    main()
