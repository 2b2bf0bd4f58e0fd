"""Commands that run as processes without each of them importing torch.

Importing torch and what comes with it takes longer than most commands of the tests. A server
imports it once and forks a process for each command. `Process` is used like `subprocess.Popen`, and
the process is like a new one: it has its own directory, environment and standard streams, and it
imports nmt itself, so that code which runs first can replace any part of it.

It is not new to libraries: do not use it to test imports, or environment variables that Python or
a library reads when it starts.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

COMMAND = "from nmt.cli import make_app\nmake_app()(prog_name='nmt')"
"""Python code of the command line."""

# Not nmt, and nothing that starts a thread, which would be missing in the forked processes.
_IMPORTED = (
    *("torch", "torch._dynamo", "torch.optim", "numpy", "pandas", "safetensors.torch"),
    *("sentencepiece", "sacrebleu", "pydantic", "yaml", "typer", "rich.progress", "rich.table"),
)
_MAX_REQUEST_BYTES = 1 << 17

_FOLDER = str(Path(__file__).parent)


class Process:
    """Python code that runs in a forked process.

    Args:
        code: Python code, as after `python -c`.
        arguments: the rest of `sys.argv`.
        cwd: its current directory.
        env: its environment.
        umask: its umask.
        stdin, stdout, stderr: a descriptor, `subprocess.DEVNULL` or `subprocess.PIPE`.

    Attributes:
        pid: process id.
        returncode: the exit code, or minus the signal that killed it; None as long as it runs.
    """

    def __init__(
        self,
        code: str,
        *arguments: str,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        umask: int = -1,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> None:
        self.returncode: int | None = None
        request = {
            "code": code,
            "arguments": arguments,
            "cwd": str(cwd or os.getcwd()),
            "env": dict(os.environ if env is None else env),
            "umask": umask,
        }
        with contextlib.ExitStack() as opened:
            theirs, ours = [], []
            for number, stream in enumerate((stdin, stdout, stderr)):
                end, own = _open_stream(stream, writable=number == 0, opened=opened)
                theirs.append(end)
                ours.append(own)
            self.stdin, self.stdout, self.stderr = ours
            status, end = os.pipe()
            opened.callback(os.close, end)
            self._status = open(status, "rb", buffering=0)  # noqa: SIM115
            message = json.dumps(request).encode()
            socket.send_fds(_server(), [message], [*theirs, end])
        self.pid = int(self._status.read(10))

    def poll(self) -> int | None:
        """Return the exit code if the process has ended, else None."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process and return its exit code."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("nmt", timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(int(self._status.read(10)))
            self._status.close()
        return self.returncode

    def communicate(self, data: bytes | None = None, timeout: float = 120) -> tuple[bytes, bytes]:
        """Write `data` to the standard input, and return the standard output and error."""
        found = [b"", b""]
        deadline = time.monotonic() + timeout

        def write() -> None:
            assert self.stdin
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(data or b"")

        def read(place: int, stream: BinaryIO) -> None:
            with stream:
                found[place] = stream.read()

        threads = [threading.Thread(target=write)] if self.stdin else []
        for place, stream in enumerate((self.stdout, self.stderr)):
            if stream:
                threads.append(threading.Thread(target=read, args=(place, stream)))
        for thread in threads:
            thread.daemon = True
            thread.start()
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired("nmt", timeout)
        self.wait(max(0, deadline - time.monotonic()))
        return found[0], found[1]

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.wait()


def run(
    code: str, *arguments: str, data: bytes = b"", **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run code with `data` as standard input to its end; other arguments as of `Process`."""
    process = Process(code, *arguments, **options)
    try:
        out, err = process.communicate(data)
    finally:
        process.kill()
    assert process.returncode is not None
    return subprocess.CompletedProcess(
        arguments, process.returncode, out.decode("utf-8"), err.decode("utf-8")
    )


def _open_stream(
    stream: int, writable: bool, opened: contextlib.ExitStack
) -> tuple[int, BinaryIO | None]:
    """Return a descriptor for the process, and the other end if it is a pipe."""
    if stream == subprocess.PIPE:
        reader, writer = os.pipe()
        end, own = (reader, writer) if writable else (writer, reader)
        opened.callback(os.close, end)
        return end, open(own, "wb" if writable else "rb", buffering=-1)
    if stream == subprocess.DEVNULL:
        end = os.open(os.devnull, os.O_RDWR)
        opened.callback(os.close, end)
        return end, None
    return stream, None


# ---------------------------------------------------------------- the server


@functools.cache
def _server() -> socket.socket:
    """Start the server of this process, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = os.pathsep.join([_FOLDER, *filter(None, [os.environ.get("PYTHONPATH")])])
    server = subprocess.Popen(
        [sys.executable, "-c", f"import forked; exec(forked.serve({theirs.fileno()}))"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": path},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # never used, and not a terminal
    )
    theirs.close()

    def end() -> None:
        ours.close()
        server.communicate()

    atexit.register(end)
    return ours


def serve(descriptor: int) -> str:
    """Fork a process for each request; in each, return the code that it is to run."""
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    requests = socket.socket(fileno=descriptor)
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, _MAX_REQUEST_BYTES, 4)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not message:
            os._exit(0)
        if os.fork() == 0:
            requests.close()
            _report(*descriptors)
            return _begin(json.loads(message), descriptors)
        for one in descriptors:
            os.close(one)


def _report(stdin: int, stdout: int, stderr: int, status: int) -> None:
    """Fork once more. The child returns; its parent reports its id and how it ended."""
    child = os.fork()
    if child == 0:
        return
    for stream in (0, 1, 2, stdin, stdout, stderr):
        os.close(stream)
    os.write(status, b"%10d" % child)
    _, end = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(status, b"%10d" % end)
    os._exit(0)


def _begin(request: dict[str, Any], descriptors: list[int]) -> str:
    """Make this process that of the request, and return the code to run."""
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # a library may have asked for it
    os.chdir(request["cwd"])
    if request["umask"] >= 0:
        os.umask(request["umask"])
    sys.argv[1:] = request["arguments"]
    sys.path[0] = ""
    sys.path.remove(_FOLDER)
    return str(request["code"])
