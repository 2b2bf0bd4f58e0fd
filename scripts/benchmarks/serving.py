"""`scripts/bench serve`: requests per second and their latency, with several clients at a time.

`nmt serve` is compared with a plain server, which translates each request by itself with
CTranslate2 (workers/plain_server.py). Each client has one request open at a time: it sends the next
line when the last one is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.request import urlopen

from common import add_common_options, describe_machine, find_pythons, positive
from translation import BEAM_SIZE, Task, add_model_options, make_task

from report import Report
from runs import WORKERS, Case, Figures, interleaved

_START_SECONDS = 120
_WARM_UP_SECONDS = 1.0


def add_options(parser: argparse.ArgumentParser) -> None:
    add_common_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "--clients",
        type=lambda text: [positive(each) for each in text.split(",")],
        default=[1, 8, 64, 256],
        help="numbers of clients, comma-separated",
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    parser.add_argument("--compute", default="int8", help="compute type of both servers")


def run(options: argparse.Namespace) -> None:
    """Measure servers under load."""
    if options.random:
        sys.exit("scripts/bench: serve needs a trained model: set --model")
    pythons = find_pythons(options, ["nmt", "ctranslate2"], [])
    report = Report("serve", options.output)
    with tempfile.TemporaryDirectory(prefix="nmt-bench-") as name:
        task = make_task(options, Path(name), "ctranslate2" in pythons)
        describe_machine(options, report)
        commands = {}
        if "nmt" in pythons:
            for setting in options.nmt_options or [""]:
                commands["nmt", setting] = _nmt_command(options, setting)
        if "ctranslate2" in pythons:
            commands["plain", ""] = _plain_command(options, task)
        data = task.trained.config.data
        requests = [
            json.dumps({"q": line, "source": data.src_lang, "target": data.tgt_lang}).encode()
            for line in task.lines
        ]
        cases = [
            Case(
                system,
                {"setting": setting, "clients": clients},
                partial(_measure, command, requests, clients, options.seconds),
            )
            for clients in options.clients
            for (system, setting), command in commands.items()
        ]
        for case, figures in interleaved(cases, options.repeats):
            report.add(case, figures)
    report.finish(["requests_per_s", "p50_ms", "p99_ms"], "requests_per_s", among="clients")


def _nmt_command(options: argparse.Namespace, setting: str) -> list[str]:
    command = [sys.executable, "-m", "nmt", "serve", str(options.model)]
    command += ["--beam-size", str(BEAM_SIZE), "--compute", options.compute]
    command += ["--device", options.device, "--threads", str(options.threads), "--connections"]
    return [*command, str(2 * max(options.clients) + 10), *setting.split(), "--port"]


def _plain_command(options: argparse.Namespace, task: Task) -> list[str]:
    request = task.ctranslate2_request(
        device=options.device,
        compute_type=options.compute,
        inter_threads=options.threads,
        intra_threads=1,
    )
    request.pop("lines")
    return [sys.executable, str(WORKERS / "plain_server.py"), json.dumps(request)]


def _measure(
    command: list[str], requests: Sequence[bytes], clients: int, seconds: float
) -> Figures:
    """Start a server, warm it up, and return requests per second and latencies."""
    with _started(command) as port:
        if port is None:
            return {"failed": "the server did not start"}
        asyncio.run(_load(port, requests, clients, _WARM_UP_SECONDS))
        latencies, errors = asyncio.run(_load(port, requests, clients, seconds))
    if errors or len(latencies) < 2:
        return {"failed": f"{errors} errors, {len(latencies)} answers"}
    return {
        "requests_per_s": len(latencies) / seconds,
        "p50_ms": 1000 * statistics.median(latencies),
        "p99_ms": 1000 * statistics.quantiles(latencies, n=100)[-1],
    }


@contextmanager
def _started(command: list[str]) -> Iterator[int | None]:
    """Start a server and return its port once it answers; None if it does not."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, str(port)], env=env, stderr=subprocess.DEVNULL) as server:
        try:
            yield port if _answers(server, port) else None
        finally:
            server.terminate()


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return True
        except OSError:
            time.sleep(0.1)
    return False


async def _load(
    port: int, requests: Sequence[bytes], clients: int, seconds: float
) -> tuple[list[float], int]:
    """Let clients send requests for some seconds.

    Returns:
        The latency in seconds of each answer within that time, and the number of errors.
    """
    latencies: list[float] = []
    errors = 0
    upcoming = itertools.cycle(requests)
    end = time.monotonic() + seconds

    async def client() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (start := time.monotonic()) < end:
            body = next(upcoming)
            writer.write(_HEAD % len(body) + body)
            try:
                status = await _read_answer(reader)
            except (OSError, EOFError):  # the server has closed the connection
                errors += 1
                return
            if status != 200:
                errors += 1
            elif time.monotonic() < end:
                latencies.append(time.monotonic() - start)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return latencies, errors


_HEAD = (
    b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)


async def _read_answer(reader: asyncio.StreamReader) -> int:
    """Read an answer; return its HTTP status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1])
