"""Requests of many clients in shared batches, in turn."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nmt.serve.errors import Refusal, WorkerDied
from nmt.serve.tasks import Line, Outcome, Task

Run = Callable[[Task, Sequence[Line]], Awaitable[list[Outcome]]]

_SIMILAR = 40
"""Characters; differences below that do not matter for what shares a batch."""
_MAX_RETRY_AFTER = 60


@dataclass(eq=False)
class _Item:
    """A line that waits."""

    task: Task
    line: Line
    since: float
    future: asyncio.Future[Outcome]

    @property
    def length(self) -> int:
        return len(self.line.text) + 1


class Batcher:
    """Collects lines in a queue per client and runs them in batches.

    An idle worker takes a batch at once if no other is busy, and otherwise when the batch is full
    or has waited for `delay`. Clients take turns, line by line, so that a request of thousands of
    lines delays another client's single line by one batch at most.

    Args:
        run: runs a batch; called as often at the same time as there are workers.
        num_workers: number of workers.
        max_lines: lines of a batch.
        max_chars: characters of a batch, padding included.
        max_waiting: lines that may wait; those of one client may be half as many.
        delay: seconds that a batch waits for others while some workers are busy.

    Attributes:
        waiting: number of lines that wait.
        batch_ended: called with the lines and seconds of each batch.
    """

    def __init__(
        self,
        run: Run,
        num_workers: int = 1,
        *,
        max_lines: int = 64,
        max_chars: int = 8192,
        max_waiting: int = 20_000,
        delay: float = 0.003,
    ) -> None:
        self._run, self._num_workers = run, num_workers
        self._max_lines, self._max_chars = max_lines, max_chars
        self._max_waiting, self._delay = max_waiting, delay
        self._queues: OrderedDict[str, deque[_Item]] = OrderedDict()  # whose turn it is, first
        self.waiting = 0
        self.batch_ended: Callable[[int, float], object] = lambda lines, seconds: None
        self._arrived = asyncio.Event()
        self._busy = 0
        self._lines_per_second = 0.0
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to run batches, in the running event loop."""
        self._loops = [asyncio.create_task(self._work()) for _ in range(self._num_workers)]

    def close(self) -> None:
        """Stop running batches."""
        for loop in self._loops:
            loop.cancel()

    async def translate(self, client: str, task: Task, lines: Sequence[Line]) -> list[Outcome]:
        """Return the outcome of each line.

        If this call is cancelled, its lines leave the queue.

        Args:
            client: who asks.
            task: what to do.
            lines: the lines.

        Raises:
            Refusal: if too many lines wait, or these are more than a client may have.
            WorkerDied: if two processes ended while they worked on the same batch.
        """
        if not lines:
            return []
        items = self._add(client, task, lines)
        try:
            return [*await asyncio.gather(*(item.future for item in items))]
        finally:
            self._withdraw(client, items)

    def _add(self, client: str, task: Task, lines: Sequence[Line]) -> list[_Item]:
        queue, most = self._queues.get(client, deque()), self._max_waiting // 2
        if len(lines) > most:  # it would never be accepted
            raise Refusal(400, f"{len(lines)} lines, but at most {most}: divide the request")
        room = min(self._max_waiting - self.waiting, most - len(queue))
        if len(lines) > room:
            raise Refusal(429, "too many requests are waiting: try again later", self._patience())
        loop, now = asyncio.get_running_loop(), time.monotonic()
        items = [_Item(task, line, now, loop.create_future()) for line in lines]
        queue.extend(sorted(items, key=lambda item: item.length))  # batches of similar length
        self._queues[client] = queue
        self.waiting += len(items)
        self._arrived.set()
        return items

    def _patience(self) -> int:
        """Return the seconds after which the queue will be shorter."""
        rate = max(self._lines_per_second, 1.0)
        return min(_MAX_RETRY_AFTER, max(1, math.ceil(self.waiting / rate / 2)))

    def _withdraw(self, client: str, items: Sequence[_Item]) -> None:
        """Remove lines that still wait, after an error or if the client went away."""
        unfinished = [item for item in items if not item.future.done() or item.future.cancelled()]
        for item in unfinished:
            item.future.cancel()
        if unfinished and client in self._queues:
            left = deque(i for i in self._queues[client] if not i.future.cancelled())
            self.waiting -= len(self._queues[client]) - len(left)
            self._queues[client] = left
            if not left:
                del self._queues[client]

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            if not self._queues:
                self._arrived.clear()
                continue
            if (left := self._time_to_gather()) > 0:
                await asyncio.sleep(left)
                continue
            batch = self._take()
            self._busy += 1
            try:
                await self._run_batch(batch)
            finally:
                self._busy -= 1

    def _time_to_gather(self) -> float:
        """Return how long the next batch may still wait for more lines."""
        if not self._busy or self.waiting >= self._max_lines:
            return 0.0
        oldest = min(queue[0].since for queue in self._queues.values())
        return oldest + self._delay - time.monotonic()

    def _take(self) -> list[_Item]:
        """Take a batch out of the queues, one line of each client at a time."""
        batch: list[_Item] = []
        took = True
        while took and len(batch) < self._max_lines:
            took = False
            for client in list(self._queues):
                queue = self._queues[client]
                if self._fits(queue[0], batch):
                    batch.append(queue.popleft())
                    took = True
                    self._queues.move_to_end(client)
                    if not queue:
                        del self._queues[client]
        self.waiting -= len(batch)
        return batch

    def _fits(self, item: _Item, batch: list[_Item]) -> bool:
        if not batch:
            return True
        lengths = [each.length for each in batch] + [item.length]
        longest = max(lengths)
        return (
            len(batch) < self._max_lines
            and item.task == batch[0].task
            and longest * len(lengths) <= self._max_chars
            and longest <= 2 * min(lengths) + _SIMILAR
        )

    async def _run_batch(self, batch: list[_Item]) -> None:
        start = time.monotonic()
        try:
            outcomes = await self._run_twice(batch)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # each request answers it
            for item in batch:
                if not item.future.done():
                    item.future.set_exception(error)
            return
        for item, outcome in zip(batch, outcomes, strict=True):
            if not item.future.done():
                item.future.set_result(outcome)
        seconds = time.monotonic() - start
        self._lines_per_second += 0.1 * (len(batch) / max(seconds, 1e-6) - self._lines_per_second)
        self.batch_ended(len(batch), seconds)

    async def _run_twice(self, batch: list[_Item]) -> list[Outcome]:
        """Run a batch, and once more if the process that runs it ends."""
        task, lines = batch[0].task, [item.line for item in batch]
        try:
            return await self._run(task, lines)
        except WorkerDied:
            return await self._run(task, lines)
