"""Kill a training run at each write, fsync, rename and deletion in turn, and resume it.

Run this in a folder with `tiny.yaml` and the one-step run `run`. Each training run is a child
process, forked after the imports because they take longer than everything else. The script prints
the operations at which the children were killed.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path
from typing import Any

import deadly
import pandas  # noqa: F401  # pyarrow imports it
import safetensors.torch
import torch._dynamo  # noqa: F401  # the optimizer imports it

import nmt.training.run  # noqa: F401  # the command imports it
from nmt.cli import make_app

TRAIN = ["train", "tiny.yaml", "train.save_every=1", "train.keep_last=1", "train.keep_best=0"]


def empty_partly(directory: Path, *_: Any) -> None:
    """Delete one of the files, as an interrupted deletion does."""
    if files := sorted(directory.glob("*")):
        files[0].unlink()


OPERATIONS = [
    deadly.Operation(os, "fsync"),
    deadly.Operation(Path, "mkdir"),
    deadly.Operation(Path, "chmod"),
    deadly.Operation(Path, "rename"),
    deadly.Operation(Path, "replace"),
    deadly.WRITE_TEXT,
    deadly.Operation(safetensors.torch, "save_file", lambda _, path: path.write_bytes(b"half")),
    deadly.Operation(shutil, "rmtree", empty_partly),
]


def train(run: str, max_steps: int, death: int = -1) -> str | None:
    """Train in a child that is killed at an operation; return the operation, if it was."""

    def command() -> None:
        try:
            make_app()([*TRAIN, f"train.max_steps={max_steps}", "--run-dir", run], prog_name="nmt")
        except SystemExit as end:
            os._exit(int(end.code or 0))

    return deadly.run(command, OPERATIONS, death)


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
