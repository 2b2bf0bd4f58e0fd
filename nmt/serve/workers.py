"""The processes that run the models.

The event loop never computes: it would not answer while it does.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from nmt.serve.errors import WorkerDied
from nmt.serve.settings import Settings
from nmt.serve.tasks import Line, Outcome, Served, Task
from nmt.signals import exit_with_parent, hangup_signals

_BATCH_SECONDS = 600.0
"""A batch that takes longer hangs."""
_WATCH_SECONDS = 0.5
_MAX_PAUSE = 30.0
"""Seconds between two attempts to start a process."""


class Workers:
    """Processes with the models of a server; one that ends is started again.

    Args:
        settings: those of the server.
        died: called with a message when a process has ended, or cannot be started again.

    Attributes:
        served: the models.
    """

    def __init__(
        self, settings: Settings, died: Callable[[str], object] = lambda message: None
    ) -> None:
        self.served: list[Served] = []
        self._died = died
        self._revivals: set[asyncio.Task[None]] = set()  # the event loop has weak references only
        self._workers = [_Worker(settings) for _ in range(settings.workers)]
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(len(self._workers))

    def start(self) -> None:
        """Start the processes, and wait until they have loaded the models.

        Raises:
            ConfigError, FileError: as `nmt.load`.
            WorkerDied: if a process was killed.
        """
        for worker in self._workers:
            worker.start()
        for worker in self._workers:
            self.served = worker.loaded()
            self._idle.put_nowait(worker)

    async def run(self, task: Task, lines: Sequence[Line]) -> list[Outcome]:
        """Run a task in the next idle process.

        Raises:
            WorkerDied: if the process ended.
        """
        worker = await self._idle.get()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, worker.run, task, lines)
        finally:
            self._release(worker)

    async def watch(self) -> None:
        """Notice processes that end while they are idle, until this is cancelled."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for _ in range(self._idle.qsize()):
                self._release(self._idle.get_nowait())

    def _release(self, worker: _Worker) -> None:
        """Let a worker have a task, once it has been started again if it has ended."""
        if worker.is_alive():
            self._idle.put_nowait(worker)
            return
        self._died("a process that translates has ended; another takes its place")
        revival = asyncio.create_task(self._revive(worker))
        self._revivals.add(revival)
        revival.add_done_callback(self._revivals.discard)

    async def _revive(self, worker: _Worker) -> None:
        loop, pause = asyncio.get_running_loop(), _WATCH_SECONDS
        while True:
            try:
                await loop.run_in_executor(self._threads, worker.restart)
                break
            except Exception as error:  # any error: memory may be short for a while
                self._died(f"a process that translates cannot be started, trying again: {error}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE)
        self._idle.put_nowait(worker)

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown(wait=False)


class _Worker:
    """A process and the pipe to it. It has one caller at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: Any = None
        self._pipe: Connection[Any, Any]

    def start(self) -> None:
        # A forked process would inherit the threads' locks, and the clients' connections.
        context = multiprocessing.get_context("spawn")
        self._pipe, end = context.Pipe()
        self._process = context.Process(target=_work, args=(self._settings, end), daemon=True)
        self._process.start()
        end.close()  # so that the pipe breaks if the process ends

    def loaded(self) -> list[Served]:
        """Wait until the models are loaded."""
        answer = self._receive(None)
        if isinstance(answer, Exception):
            self.kill()
            raise answer
        served: list[Served] = answer
        return served

    def restart(self) -> None:
        self.kill()
        self.start()
        self.loaded()

    def is_alive(self) -> bool:
        return self._process is not None and bool(self._process.is_alive())

    def run(self, task: Task, lines: Sequence[Line]) -> list[Outcome]:
        try:
            self._pipe.send((task, lines))
        except OSError as error:
            self.kill()
            raise WorkerDied("it has ended") from error
        outcomes: list[Outcome] = self._receive(_BATCH_SECONDS)
        return outcomes

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _receive(self, seconds: float | None) -> Any:
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
        except (EOFError, OSError) as error:
            self.kill()
            raise WorkerDied("it has ended") from error
        self.kill()
        raise WorkerDied(f"it took longer than {seconds} seconds")


def _work(settings: Settings, pipe: Connection[Any, Any]) -> None:
    """Load the models, and run tasks until the server ends."""
    # Ctrl-C reaches all processes of a terminal, and SIGTERM all of a systemd service. The server
    # needs this one until it has answered, and then kills it.
    for number in (signal.SIGINT, signal.SIGTERM, *hangup_signals()):
        signal.signal(number, signal.SIG_IGN)
    exit_with_parent()
    from nmt.serve.models import Models

    try:
        models = Models(settings)
    except Exception as error:  # the server raises it
        pipe.send(error)
        return
    pipe.send(models.served)
    while True:
        task, lines = pipe.recv()
        pipe.send(models.run(task, lines))
