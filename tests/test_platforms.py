"""Training and translation work without features that only some systems have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nmt import files

_WITHOUT = """
import os, signal, sys
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for module, names in (
    (os, ("fork", "sysconf", "getloadavg", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC")),
    (signal, ("SIGHUP", "SIGPIPE")),
):
    for name in names:
        delattr(module, name)
import importlib.util, pkgutil, runpy
import nmt
has_server = importlib.util.find_spec("fastapi") is not None
for module in pkgutil.walk_packages(nmt.__path__, "nmt."):
    if has_server or not module.name.startswith("nmt.serve."):
        importlib.import_module(module.name)
runpy.run_module("nmt", run_name="__main__")
"""
_CONFIG = """
data: {src_lang: en, tgt_lang: de, train: {src: a, tgt: b}, cache_dir: cache}
tokenizer: {vocab_size: 40}
model: {d_model: 8, num_heads: 2, d_ff: 8, encoder_layers: 1, decoder_layers: 1}
train: {max_steps: 2, batch_tokens: 200, threads: 1, device: cpu}
"""


def test_training_and_translation_without_the_features_of_unix(tmp_path: Path) -> None:
    text = "".join(f"the cat sat on mat {n}\n" for n in range(40))
    for name in ("a", "b"):
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "c.yaml").write_text(_CONFIG, "utf-8")
    (tmp_path / "in").write_text("the cat\n\n", "utf-8")
    for arguments in (
        ["train", "c.yaml", "--run-dir", "run"],
        ["translate", "run", "in", "--output", "out", "--threads", "2", "--device", "cpu"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", _WITHOUT, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_text("utf-8").count("\n") == 2


@pytest.mark.parametrize("held", [False, True])
def test_a_lock_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    calls = []
    with open(tmp_path / "lock", "ab", buffering=0) as file:

        def locking(descriptor: int, how: int, size: int) -> None:
            calls.append((descriptor == file.fileno(), file.tell() > 1 << 39, how, size))
            if held:
                raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(files, "_fcntl", None)
        monkeypatch.setattr(files, "_msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
        if held:
            with pytest.raises(BlockingIOError, match="denied"):
                files.lock(file)
        else:
            files.lock(file)
        assert file.tell() == 0
    assert calls == [(True, True, 2, 1)]
