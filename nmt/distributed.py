"""The processes that train one model together, as torchrun starts them.

Tensors are summed by torch.distributed, with NCCL on GPUs and gloo on CPUs. All else goes through
the key-value store of the processes, as JSON: decisions, texts, and the news that one has failed.
Every few seconds, each process records there that it is alive. So a process may wait for hours
while another prepares data, and still notices if that one has died.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.distributed.rendezvous import rendezvous

from nmt import torchrun
from nmt.device import is_out_of_memory
from nmt.errors import NmtError

T = TypeVar("T")

_POLL_SECONDS = 0.02
_BEAT_SECONDS = 2.0
_SHUTDOWN_SECONDS = 600
_meetings = itertools.count()
"""Numbers the worlds that this process joins."""


class PeerError(NmtError):
    """Another process of the training run has failed or does not answer."""


class World:
    """The processes of a training run; without arguments, this process alone.

    Use it as a context manager: if an error ends the context, the other processes learn of it.

    Args:
        rank: number of this process, from 0.
        size: number of processes.
        store: shared by the processes.
        timeout: seconds without a sign of life after which a process counts as dead.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        store: Any = None,
        timeout: float = 0.0,
    ) -> None:
        self.rank, self.size = rank, size
        self._store, self._timeout = store, timeout
        self._calls = 0
        self._silent = False
        self._ended = threading.Event()
        if store is not None:
            store.set(f"beat/{rank}", "0")
            threading.Thread(target=self._beat, daemon=True).start()

    @property
    def leads(self) -> bool:
        """Whether this process prints and writes files for all."""
        return self.rank == 0

    @classmethod
    def join(cls, device: str | None, timeout: float, name: str = "nmt") -> World:
        """Meet the other processes that torchrun has started, if it has.

        Args:
            device: name of the device of the tensors to be summed, as in `train.device`; None if
                there are none.
            timeout: seconds without a sign of life after which a process counts as dead.
            name: of the meeting; different for processes of different kinds with the same store.

        Raises:
            PeerError: if they do not come.
        """
        rank, size = torchrun.rank(), torchrun.world_size()
        if size == 1:
            return cls()
        waiting = timedelta(seconds=timeout)
        try:
            store, _, _ = next(rendezvous("env://", timeout=waiting))
            # After a restart, torchrun's store may still have the keys of the first attempt.
            attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)
            store = PrefixStore(f"{name}/{attempt}/{next(_meetings)}", store)
            if device is not None:
                dist.init_process_group(
                    "nccl" if local_device(device).startswith("cuda") else "gloo",
                    store=PrefixStore("group", store),
                    rank=rank,
                    world_size=size,
                    timeout=waiting,
                )
        except RuntimeError as error:
            raise PeerError(f"process {rank}: the {size} processes did not meet: {error}") from None
        return cls(rank, size, store, timeout)

    def sum_(self, tensor: Tensor) -> None:
        """Replace a tensor by the sum over all processes, in place.

        Raises:
            PeerError: if the connection to another process is lost.
        """
        if self.size == 1:
            return
        with self.connected():
            dist.all_reduce(tensor)

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Turn torch's errors about communication into a PeerError."""
        try:
            yield
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise PeerError(
                f"process {self.rank} has lost the connection to another process: "
                f"{str(error).partition('[')[0].strip() or 'it has ended'}"
            ) from error

    def decide(self, choose: Callable[[], T]) -> T:
        """Return what process 0 chooses, in all processes; it must be a value of JSON.

        Raises:
            PeerError: if process 0 has failed.
        """
        if self.size == 1:
            return choose()
        key = self._next_key()
        if not self.leads:
            chosen: T = json.loads(self._wait_for(f"{key}/0", 0))
            return chosen
        try:
            value = choose()
        except BaseException:
            with suppress(PeerError):
                self._ask("set", "failed", "0")
            raise
        self._ask("set", f"{key}/0", json.dumps(value))
        return value

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes by rank, in all processes; they are values of JSON.

        Raises:
            PeerError: if another process has failed.
        """
        if self.size == 1:
            return [value]
        key = self._next_key()
        self._ask("set", f"{key}/{self.rank}", json.dumps(value))
        values = [json.loads(self._wait_for(f"{key}/{rank}", rank)) for rank in range(self.size)]
        if self._ask("add", f"{key}/read", 1) == self.size:  # the last one tidies up
            for name in (*range(self.size), "read"):
                self._ask("delete_key", f"{key}/{name}")
        return values

    def once(self, work: Callable[[], T]) -> T | None:
        """Let process 0 do work, which may take hours, while the others wait.

        Returns:
            Its result; None in the other processes.

        Raises:
            PeerError: if process 0 has failed.
        """
        result: list[T] = []
        self.decide(lambda: result.append(work()))
        return result[0] if result else None

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self.size == 1:
            return
        with suppress(PeerError):  # the store may be gone
            if error and not isinstance(error, PeerError) and not _is_shared(error):
                self._ask("set", "failed", str(self.rank))
            self._ask("set", f"left/{self.rank}", "")
            if self.leads and (error is None or _is_shared(error)):
                for rank in range(1, self.size):  # this process may hold the store
                    self._wait_for(f"left/{rank}", rank)
        self._ended.set()
        if error is None and dist.is_initialized():
            dist.destroy_process_group()

    def _next_key(self) -> str:
        """Return a new key; all processes make the same calls in the same order."""
        self._calls += 1
        return f"call-{self._calls}"

    def _wait_for(self, key: str, rank: int) -> str:
        """Wait for a key that another process will set, as long as that is alive; return it."""
        beat, since, pause = b"", time.monotonic(), _POLL_SECONDS
        while not self._ask("check", [key]):
            if self._ask("check", ["failed"]) and not self._ask("check", [key]):
                failed = self._ask("get", "failed").decode()
                raise PeerError(f"process {self.rank} ends: process {failed} has failed")
            if self._ask("check", [f"left/{rank}"]) and not self._ask("check", [key]):
                raise PeerError(f"process {self.rank} ends: process {rank} has ended")
            before, beat = beat, self._ask("get", f"beat/{rank}")
            since = since if beat == before else time.monotonic()
            if time.monotonic() - since > self._timeout:
                raise PeerError(
                    f"process {self.rank} ends: process {rank} has not been heard from for "
                    f"{self._timeout:g} seconds"
                )
            time.sleep(pause)
            pause = min(2 * pause, 0.5)
        value: bytes = self._ask("get", key)
        return value.decode()

    def _ask(self, name: str, *arguments: Any) -> Any:
        """Call a method of the store, which may be on another machine.

        If the network fails, most methods return only when TCP gives up: on Linux after a quarter
        of an hour. So they run in a thread, which is left behind if the timeout comes first.

        Raises:
            PeerError: if the connection is lost, or there is no answer.
        """
        if self._silent:  # the thread left behind holds the lock of the store
            raise PeerError(f"process {self.rank} has lost the connection to the store")
        answers: queue.SimpleQueue[tuple[Any, RuntimeError | None]] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put((getattr(self._store, name)(*arguments), None))
            except RuntimeError as error:
                answers.put((None, error))

        threading.Thread(target=ask, daemon=True).start()
        try:
            answer, error = answers.get(timeout=self._timeout)
        except queue.Empty:
            self._silent = True
            raise PeerError(
                f"process {self.rank} ends: the store has not answered for "
                f"{self._timeout:g} seconds"
            ) from None
        if error:
            raise PeerError(
                f"process {self.rank} has lost the connection to the store: {error}"
            ) from error
        return answer

    def _beat(self) -> None:
        """Show that this process is alive, until the end of the context."""
        number = 0
        with suppress(RuntimeError):  # the main thread will notice
            while not self._ended.wait(_BEAT_SECONDS):
                number += 1
                self._store.set(f"beat/{self.rank}", str(number))


def _is_shared(error: BaseException) -> bool:
    return isinstance(error, NmtError) and error.shared


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run the program in several processes of this machine, as torchrun does.

    Args:
        count: number of processes.
        arguments: of the command line.

    Returns:
        The exit code of the first process that failed, or 0.
    """
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    # After a signal, the processes get this long to save before they are killed.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_SHUTDOWN_SECONDS))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "nmt", *arguments)
    except ChildFailedError as error:
        code: int = error.get_first_failure()[1].exitcode
        return 128 - code if code < 0 else code
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def local_device(name: str) -> str:
    """Return the device of this process on a machine with several GPUs: one for each process."""
    if name in ("auto", "cuda") and torchrun.world_size() > 1 and torch.cuda.is_available():
        return f"cuda:{torchrun.local_rank() % torch.cuda.device_count()}"
    return name
