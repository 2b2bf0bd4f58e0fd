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
_TARGET_SECONDS = 0.2
"""A batch should not take longer, because a line that arrives meanwhile waits for its end."""
_MIN_CHARS = 512
"""Smaller batches would waste time."""


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

    def finish(self, outcome: Outcome) -> None:
        """Answer, unless nobody waits any more."""
        if not self.future.done():
            self.future.set_result(outcome)

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        if not self.future.done():
            self.future.set_exception(error)


class _Batch:
    """Lines that run together.

    Args:
        max_lines: how many, at most.
        max_chars: how many characters, at most, padding included.
    """

    def __init__(self, max_lines: int, max_chars: float) -> None:
        self.items: list[_Item] = []
        self._max_lines, self._max_chars = max_lines, max_chars
        self._shortest, self._longest = 0, 0

    def fits(self, item: _Item) -> bool:
        """Return whether a line may be added. One always may be the first."""
        if not self.items:
            return True
        longest = max(self._longest, item.length)
        return (
            len(self.items) < self._max_lines
            and item.task == self.items[0].task
            and longest * (len(self.items) + 1) <= self._max_chars
            and longest <= 2 * min(self._shortest, item.length) + _SIMILAR
        )

    def add(self, item: _Item) -> None:
        """Add a line."""
        self._shortest = min(self._shortest, item.length) if self.items else item.length
        self._longest = max(self._longest, item.length)
        self.items.append(item)

    @property
    def chars(self) -> int:
        """Characters, padding included."""
        return self._longest * len(self.items)


class Batcher:
    """Collects lines in queues and runs them in batches.

    An idle worker takes a batch at once if no other is busy, and otherwise when the batch is full
    or has waited for `delay`. Clients take turns, line by line, and so do the requests of a client.
    Batches are as large as can be translated in 0.2 seconds, by the speed of those before. So a
    request of thousands of lines delays a single line by one short batch.

    Args:
        run: runs a batch; called as often at the same time as there are workers.
        num_workers: number of workers.
        max_lines: lines of a batch.
        max_chars: characters of a batch, padding included, however fast the workers are.
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
        # The requests of each client, and the lines of each request. Whose turn it is, is first.
        self._queues: OrderedDict[str, deque[deque[_Item]]] = OrderedDict()
        self.waiting = 0
        self.batch_ended: Callable[[int, float], object] = lambda lines, seconds: None
        self._arrived = asyncio.Event()
        self._busy = 0
        self._lines_per_second = 0.0  # of one worker
        self._chars_in_time = float(max_chars)
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
        requests, most = self._queues.get(client, deque()), self._max_waiting // 2
        if len(lines) > most:  # it would never be accepted
            raise Refusal(400, f"{len(lines)} lines, but at most {most}: divide the request")
        room = min(self._max_waiting - self.waiting, most - sum(map(len, requests)))
        if len(lines) > room:
            raise Refusal(429, "too many requests are waiting: try again later", self._patience())
        loop, now = asyncio.get_running_loop(), time.monotonic()
        items = [_Item(task, line, now, loop.create_future()) for line in lines]
        # Sorted, so that batches have lines of similar length.
        requests.append(deque(sorted(items, key=lambda item: item.length)))
        self._queues[client] = requests
        self.waiting += len(items)
        self._arrived.set()
        return items

    def _patience(self) -> int:
        """Return the seconds after which the queue will be shorter."""
        rate = max(self._lines_per_second * self._num_workers, 1.0)
        return min(_MAX_RETRY_AFTER, max(1, math.ceil(self.waiting / rate / 2)))

    def _withdraw(self, client: str, items: Sequence[_Item]) -> None:
        """Remove lines that still wait, after an error or if the client went away."""
        unfinished = [item for item in items if not item.future.done() or item.future.cancelled()]
        for item in unfinished:
            item.future.cancel()
        if unfinished and client in self._queues:
            requests = self._queues[client]
            waiting = [deque(i for i in each if not i.future.cancelled()) for each in requests]
            self.waiting -= sum(map(len, requests)) - sum(map(len, waiting))
            self._queues[client] = deque(filter(None, waiting))
            if not self._queues[client]:
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
        oldest = min(each[0].since for requests in self._queues.values() for each in requests)
        return oldest + self._delay - time.monotonic()

    def _take(self) -> _Batch:
        """Take a batch out of the queues, one line of each client at a time."""
        batch = _Batch(self._max_lines, self._chars_in_time)
        turns = deque(self._queues)
        while turns:
            client = turns.popleft()
            requests = self._queues[client]
            place = next((n for n, each in enumerate(requests) if batch.fits(each[0])), None)
            if place is None:  # nor will anything of this client fit later
                continue
            request = requests[place]
            del requests[place]
            batch.add(request.popleft())
            if request:
                requests.append(request)
            if requests:
                self._queues.move_to_end(client)
                turns.append(client)
            else:
                del self._queues[client]
        self.waiting -= len(batch.items)
        return batch

    async def _run_batch(self, batch: _Batch) -> None:
        items, start = batch.items, time.monotonic()
        try:
            outcomes = await self._run(items[0].task, [item.line for item in items])
        except WorkerDied:
            await self._run_singly(items)
            return
        except Exception as error:  # each request answers it
            for item in items:
                item.fail(error)
            return
        for item, outcome in zip(items, outcomes, strict=True):
            item.finish(outcome)
        self._measure(batch, max(time.monotonic() - start, 1e-6))

    async def _run_singly(self, items: Sequence[_Item]) -> None:
        """Run the lines of a batch whose process ended, which may be the fault of one of them."""
        for item in items:
            if item.future.done():  # nobody waits for it any more
                continue
            try:
                [outcome] = await self._run(item.task, [item.line])
            except Exception as error:
                item.fail(error)
            else:
                item.finish(outcome)

    def _measure(self, batch: _Batch, seconds: float) -> None:
        """Learn from a batch how large the next ones may be, and how long the queue takes."""
        if seconds > _TARGET_SECONDS or batch.chars > self._chars_in_time / 2:
            chars = batch.chars * _TARGET_SECONDS / seconds
            self._chars_in_time = min(max(chars, _MIN_CHARS), self._max_chars)
        lines = len(batch.items)
        self._lines_per_second += 0.1 * (lines / seconds - self._lines_per_second)
        self.batch_ended(lines, seconds)
