"""Training on two machines: two network namespaces of this one, joined by a virtual cable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import TIMEOUT_SECONDS, Folder, Outcome, make_folder, same

PEER_TIMEOUT = 10
SETTINGS = ["train.accumulate=2", "model.dropout=0.3", "train.batch_tokens=300"]
SETTINGS += [f"train.peer_timeout={PEER_TIMEOUT}"]

# All that the script starts or changes belongs to its own namespaces, and ends with it.
ISOLATED = [
    "unshare",
    *([] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["--map-root-user"]),
    *("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc"),
]
# After 6 repetitions instead of 15, TCP gives up in half a minute instead of a quarter of an hour.
CABLE = """
mount -t tmpfs hosts /run
ip netns add host0
ip netns add host1
ip -n host0 link add name veth0 type veth peer name veth1 netns host1
for host in 0 1; do
  ip -n host$host address add 192.0.2.$host/31 dev veth$host
  ip -n host$host link set lo up
  ip -n host$host link set veth$host up
  nsenter --net=/run/netns/host$host sh -c 'echo 6 >/proc/sys/net/ipv4/tcp_retries2'
done
"""
# A line on the standard input cuts the cable.
TRAIN = """
for host in 0 1; do
  {
    code=0
    GLOO_SOCKET_IFNAME=veth$host nsenter --net=/run/netns/host$host \\
      "$0" -m torch.distributed.run --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d \\
      --rdzv-endpoint 192.0.2.0:29500 --rdzv-conf is_host=$((1 - host)) \\
      --local-addr 192.0.2.$host "$@" >host$host.log 2>&1 || code=$?
    echo $code >host$host.code
  } &
done
if read -r _; then
  ip -n host0 link set veth0 down
fi
wait
"""


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    """Skip these tests, saying why, on a machine that does not allow namespaces."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        reason = "needs unshare and nsenter (util-linux) and ip (iproute2)"
    else:
        done = subprocess.run([*ISOLATED, CABLE], capture_output=True, text=True, check=False)
        reason = done.stderr.strip().rpartition("\n")[2]
        if done.returncode == 0:
            return
    pytest.skip(f"no network namespaces: {reason}")


@contextmanager
def training(folder: Folder, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python ARGUMENTS` with torchrun on two hosts, one process on each."""
    process = subprocess.Popen(
        [*ISOLATED, CABLE + TRAIN, sys.executable, *arguments],
        cwd=folder.path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def outcome(folder: Folder, host: int) -> Outcome:
    """Return how torchrun has ended on a host; its messages include those of nmt."""
    code = int((folder.path / f"host{host}.code").read_text())
    return Outcome(code, b"", (folder.path / f"host{host}.log").read_text("utf-8"))


def wait_for(path: Path, text: str, seconds: float) -> None:
    """Wait until a file has content with this text, which must come within some seconds."""
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size and text in path.read_text("utf-8")):
        assert time.monotonic() < deadline, f"no '{text}' in {path}"
        time.sleep(0.05)


def test_two_hosts_train_the_model_of_one_process(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    folder.train(*SETTINGS, run="one").succeeded()
    arguments = ["-m", "nmt", "train", "tiny.yaml", *SETTINGS, "--run-dir", "two"]
    with training(folder, *arguments) as process:
        process.communicate(timeout=TIMEOUT_SECONDS)
    for host in range(2):
        outcome(folder, host).succeeded()
    assert folder.losses("two") == folder.losses("one")
    assert same(folder.tensors(4, "two"), folder.tensors(4, "one"))


PREPARE_SLOWLY = """
import os, time
import nmt.training.run as r
_open = r._open
def _slow(*args):
    with open("preparing", "w") as file:
        file.write("now")
    time.sleep(3)
    return _open(*args)
r._open = _slow
from nmt.__main__ import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "moment", "messages"),
    [
        (["-m", "nmt"], "run/metrics.jsonl", ["has lost the connection"] * 2),
        (
            ["slow.py"],
            "preparing",
            [
                "process 0 ends: process 1 has not been heard from for 10 seconds",
                "process 1 ends: the store has not answered for 10 seconds",
            ],
        ),
    ],
    ids=["training", "preparing"],
)
def test_a_cut_cable_ends_both_hosts(
    tmp_path: Path, program: list[str], moment: str, messages: list[str]
) -> None:
    """nmt ends by itself; torchrun ends once TCP gives up its connection to the other host."""
    folder = make_folder(tmp_path)
    folder.write("slow.py", PREPARE_SLOWLY)
    arguments = [*program, "train", "tiny.yaml", *SETTINGS, "train.max_steps=100000"]
    with training(folder, *arguments, "--run-dir", "run") as process:
        wait_for(tmp_path / moment, "", TIMEOUT_SECONDS)
        assert process.stdin
        process.stdin.write(b"cut\n")
        process.stdin.flush()
        for host in range(2):
            wait_for(tmp_path / f"host{host}.log", f"nmt: process {host} ", 2 * PEER_TIMEOUT)
        process.communicate(timeout=TIMEOUT_SECONDS)
    for host, message in enumerate(messages):
        ended = outcome(folder, host)
        assert ended.code == 1
        assert message in ended.err
