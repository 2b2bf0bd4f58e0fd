"""Rows 6 to 12: checkpoints and their directory."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TIMEOUT_SECONDS, Folder, before_call, same

KILL_WHILE_SAVING = Path(__file__).with_name("kill_while_saving.py")


@pytest.mark.slow
def test_fault_06_kill_during_save(folder: Folder) -> None:
    """A killed run can always be resumed, and ends like an uninterrupted run."""
    folder.train("train.max_steps=1", "train.keep_last=1", "train.keep_best=0").succeeded()
    done = subprocess.run(
        [sys.executable, str(KILL_WHILE_SAVING)],
        cwd=folder.path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    deaths = done.stdout.split("\n")[:-1]
    assert len(deaths) > 20
    for kind in ("fsync", "rename", "replace", "write_text", "save_file", "rmtree"):
        assert any(kind in death for death in deaths), deaths


def test_fault_07_the_serializer_fails_while_writing(folder: Folder) -> None:
    folder.train("train.max_steps=2").succeeded()
    half = "open(args[1], 'wb').write(b'half'); import safetensors as s; "
    half += "raise s.SafetensorError('half-way')"
    end = folder.train(fault=before_call(2, "safetensors.torch:save_file", half))
    end.refused(4, "run/checkpoints/step-00000004: cannot save the checkpoint (half-way)")
    assert folder.steps() == [2]
    folder.tensors(2)
    assert folder.leftovers() == []
    folder.train().succeeded()
    assert folder.steps() == [2, 4]


# 7 MB of weights and optimizer.
LARGE = ["model.d_ff=4096", "train.save_every=2"]


def test_fault_08_file_size_limit(folder: Folder) -> None:
    folder.train("train.max_steps=2", *LARGE).succeeded()
    limit = 1_000_000
    end = folder.train(
        *LARGE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    end.refused(4, "cannot save the checkpoint", "it needs 7 MB. Make room or choose another")
    assert folder.steps() == [2]
    folder.tensors(2)
    assert folder.leftovers() == []
    folder.train(*LARGE).succeeded()
    assert folder.steps() == [2, 4]


MOUNT = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
FILL = 'mount -t tmpfs -o size=9m tmpfs run && cp -r saved/. run && "$@"; code=$?; '
FILL += "cp -r run/. left; exit $code"


def test_fault_08_full_disk(folder: Folder) -> None:
    """The run directory is a tmpfs with room for one checkpoint but not for two."""
    (folder.path / "run").mkdir()
    probe = subprocess.run([*MOUNT, f"mount -t tmpfs tmpfs '{folder.path / 'run'}'"])
    if probe.returncode:
        pytest.skip("no tmpfs can be mounted here")
    folder.train("train.max_steps=2", *LARGE, run="saved").succeeded()
    end = folder.train(*LARGE, prefix=[*MOUNT, FILL, "sh"])
    end.refused(4, "cannot save the checkpoint", "it needs 7 MB. Make room or choose another")
    assert folder.steps("left") == [2]
    folder.tensors(2, "left")
    assert folder.leftovers() == []


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_fault_09_damaged_checkpoint(folder: Folder, damage: str) -> None:
    folder.train("train.max_steps=3", "train.save_every=1").succeeded()
    # Copy the tensors: they are memory-mapped from the file that is damaged next.
    before = {name: tensor.clone() for name, tensor in folder.tensors(3).items()}
    newest = folder.path / "run" / "checkpoints" / "step-00000003"
    file = newest / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data[:-1] if damage == "truncated" else data)
    named = "checkpoints/step-00000003/weights.safetensors: damaged"
    folder.nmt("translate", str(newest), text="ab\n").refused(4, named)
    resumed = folder.train("train.save_every=1").succeeded()
    assert named in resumed.err
    assert "falling back to the previous checkpoint" in resumed.err
    assert [step for step, _ in folder.losses()] == [1, 2, 3, 4]
    assert same(folder.tensors(3), before)


def test_fault_10_tmpdir_and_umask(folder: Folder) -> None:
    """Files get the permissions of the umask, without using a temporary directory."""
    tmp = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), "/nonexistent")
    folder.train("train.average=last", env=tmp, umask=0o027).succeeded()
    files = [path for path in (folder.path / "run").rglob("*") if path.is_file()]
    assert "weights.safetensors" in {path.name for path in files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o640}


# The superuser may write anywhere unless this capability is dropped.
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]


@pytest.mark.parametrize(
    ("begun", "below"),
    [(False, True), (True, True), (True, False)],
    ids=["new", "begun", "begun-with-writable-files"],
)
def test_fault_11_read_only_directory(folder: Folder, begun: bool, below: bool) -> None:
    run = folder.path / "run"
    if begun:
        folder.train("train.max_steps=2").succeeded()
    run.mkdir(exist_ok=True)
    modes = [(path, path.stat().st_mode) for path in (run, *(run.rglob("*") if below else ()))]
    for path, mode in modes:
        path.chmod(mode & ~0o222)
    try:
        refused = folder.train(prefix=UNPRIVILEGED if os.geteuid() == 0 else [])
    finally:
        for path, mode in modes:
            path.chmod(mode)
    refused.refused(4, "run: cannot be written: Permission denied")
    assert "train step" not in refused.err
    assert folder.steps() == ([2] if begun else [])


def test_fault_11_another_run(folder: Folder) -> None:
    folder.train("train.max_steps=2").succeeded()
    refused = folder.train("model.encoder_layers=2", "train.seed=2")
    refused.refused(2, "run holds a run with another configuration", "train.seed: was 1, is now 2")
    assert "train step" not in refused.err
    assert folder.steps() == [2]


def test_fault_12_two_trainers(folder: Folder) -> None:
    endless = ["tiny.yaml", "--run-dir", "run", "train.max_steps=1000000", "train.save_every=5"]
    first = folder.start("train", *endless, stdin=subprocess.DEVNULL)
    assert first.stderr is not None
    try:
        while not folder.steps():  # checkpoints are written in the background
            assert first.stderr.readline()
        first.send_signal(signal.SIGSTOP)  # alive, and holding the lock
        steps = folder.steps()
        folder.train().refused(4, "run: another process is training in it; wait for it or")
        assert folder.steps() == steps
    finally:
        first.kill()
        first.communicate()
    longer = steps[-1] + 1
    folder.train(f"train.max_steps={longer}").succeeded()  # a dead process holds no lock
    assert folder.steps()[-1] == longer
