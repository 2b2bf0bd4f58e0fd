"""Batches over several clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest

from nmt.serve.batcher import Batcher
from nmt.serve.errors import Refusal, WorkerDied
from nmt.serve.tasks import Found, Hop, Line, Outcome, Task

TASK, OTHER = Task(Hop(0)), Task(Hop(1))


class Worker:
    """Records batches; ends them when it may."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.tasks: list[Task] = []
        self.may_end = asyncio.Event()
        self.errors: list[Exception] = []

    async def run(self, task: Task, lines: Sequence[Line]) -> list[Outcome]:
        self.batches.append([line.text for line in lines])
        self.tasks.append(task)
        await self.may_end.wait()
        if self.errors:
            raise self.errors.pop(0)
        return [Found([line.text.upper()]) for line in lines]


def lines(*texts: str) -> list[Line]:
    return [Line(text) for text in texts]


def run(scenario: Any, **options: Any) -> None:
    """Run a scenario, a coroutine function of a batcher and its worker."""

    async def main() -> None:
        worker = Worker()
        batcher = Batcher(worker.run, **options)
        batcher.start()
        await asyncio.wait_for(scenario(batcher, worker), 30)
        batcher.close()

    asyncio.run(main())


async def started(*work: Awaitable[Any]) -> list[asyncio.Future[Any]]:
    """Start requests, and wait until they are in the queue."""
    tasks = [asyncio.ensure_future(each) for each in work]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def texts(outcomes: Sequence[Outcome]) -> list[str]:
    return [each.texts[0] for each in outcomes if isinstance(each, Found)]


def test_requests_that_arrive_while_a_worker_is_busy_share_a_batch() -> None:
    async def scenario(batcher: Batcher, worker: Worker) -> None:
        first = await started(batcher.translate("a", TASK, lines("one")))
        others = await started(
            *(batcher.translate(f"client {n}", TASK, lines(f"text {n}")) for n in range(5))
        )
        assert worker.batches == [["one"]]  # at once, without waiting for others
        worker.may_end.set()
        assert texts(await first[0]) == ["ONE"]
        assert [texts(await each) for each in others] == [[f"TEXT {n}"] for n in range(5)]
        assert worker.batches[1:] == [[f"text {n}" for n in range(5)]]

    run(scenario)


def test_clients_take_turns() -> None:
    async def scenario(batcher: Batcher, worker: Worker) -> None:
        many = batcher.translate("many", TASK, lines(*(f"text {n:04}" for n in range(2000))))
        await started(many)
        [one] = await started(batcher.translate("one", TASK, lines("a sentence")))
        worker.may_end.set()
        await one
        assert "a sentence" in worker.batches[1]

    run(scenario)


def test_the_requests_of_a_client_take_turns() -> None:
    async def scenario(batcher: Batcher, worker: Worker) -> None:
        await started(batcher.translate("a", TASK, lines("first")))
        await started(batcher.translate("a", TASK, lines(*("long " * 40,) * 500)))
        await started(batcher.translate("a", TASK, lines(*(f"text {n:04}" for n in range(500)))))
        [one] = await started(batcher.translate("a", TASK, lines("sentence")))
        worker.may_end.set()
        await one
        assert "sentence" in worker.batches[2]
        assert min(map(len, worker.batches[1:6])) >= 40  # they still have lines of similar length

    run(scenario)


def test_batches_of_slow_workers_are_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    now, seconds_per_char = 0.0, 0.0001
    monkeypatch.setattr("nmt.serve.batcher.time.monotonic", lambda: now)
    sizes: list[int] = []

    async def compute(task: Task, lines: Sequence[Line]) -> list[Outcome]:
        nonlocal now
        now += seconds_per_char * 100 * len(lines)
        sizes.append(len(lines))
        return [Found([line.text]) for line in lines]

    async def main() -> None:
        nonlocal seconds_per_char
        batcher = Batcher(compute)
        batcher.start()
        many = lines(*("x" * 99,) * 400)
        await batcher.translate("a", TASK, many)
        assert sizes[0] == 64
        assert set(sizes[1:-1]) <= {19, 20}  # of 0.01 seconds each
        seconds_per_char = 1.0
        await batcher.translate("a", TASK, many)
        assert sizes[-1] == 5  # not fewer, however slow
        seconds_per_char = 0.00001
        await batcher.translate("a", TASK, many)
        assert max(sizes[-5:]) == 64
        batcher.close()

    asyncio.run(main())


def test_a_batch_has_one_task_and_similar_lengths_and_a_limit() -> None:
    async def scenario(batcher: Batcher, worker: Worker) -> None:
        await started(batcher.translate("z", TASK, lines("first")))
        work = await started(
            batcher.translate("a", TASK, lines("x" * 1000, "y", "x" * 900)),
            batcher.translate("b", OTHER, lines("z")),
            batcher.translate("c", TASK, lines(*("w" * 1000,) * 9)),
        )
        worker.may_end.set()
        assert len(texts(await work[0])) == 3
        assert texts(await work[0])[0] == "X" * 1000  # in the order of the request
        await asyncio.gather(*work)
        for batch in worker.batches:
            sizes = [len(text) + 1 for text in batch]
            assert max(sizes) * len(sizes) <= 4000
            assert max(sizes) <= 2 * min(sizes) + 40
        assert ["z"] in worker.batches
        assert worker.tasks.count(OTHER) == 1

    run(scenario, max_chars=4000)


def test_a_full_queue_refuses_and_one_client_cannot_fill_it() -> None:
    async def scenario(batcher: Batcher, worker: Worker) -> None:
        await started(batcher.translate("z", TASK, lines("first")))
        await started(batcher.translate("a", TASK, lines(*"12345")))
        for client, number, status in [("a", 1, 429), ("b", 6, 400)]:
            with pytest.raises(Refusal) as refused:
                await batcher.translate(client, TASK, lines(*"x" * number))
            assert refused.value.status == status
            assert (refused.value.retry_after in range(1, 61)) == (status == 429)
        await started(batcher.translate("b", TASK, lines(*"12345")))
        with pytest.raises(Refusal):
            await batcher.translate("c", TASK, lines("x"))
        assert batcher.waiting == 10

    run(scenario, max_waiting=10)


def test_cancelled_requests_leave_the_queue() -> None:
    async def scenario(batcher: Batcher, worker: Worker) -> None:
        await started(batcher.translate("z", TASK, lines("first")))
        gone, stays = await started(
            batcher.translate("a", TASK, lines("gone", "gone too")),
            batcher.translate("a", TASK, lines("stays")),
        )
        gone.cancel()
        await asyncio.wait([gone])
        assert batcher.waiting == 1
        worker.may_end.set()
        assert texts(await stays) == ["STAYS"]
        assert worker.batches == [["first"], ["stays"]]
        assert batcher.waiting == 0

    run(scenario)


def test_a_batch_whose_worker_died_is_tried_once_more() -> None:
    async def scenario(batcher: Batcher, worker: Worker) -> None:
        worker.may_end.set()
        worker.errors = [WorkerDied("killed")]
        assert texts(await batcher.translate("a", TASK, lines("text"))) == ["TEXT"]
        assert worker.batches == [["text"], ["text"]]
        worker.errors = [WorkerDied("killed"), WorkerDied("killed")]
        with pytest.raises(WorkerDied):
            await batcher.translate("a", TASK, lines("text"))
        assert texts(await batcher.translate("a", TASK, lines("after"))) == ["AFTER"]

    run(scenario)


def test_a_line_that_kills_workers_does_not_take_others_with_it() -> None:
    batches: list[list[str]] = []

    async def compute(task: Task, lines: Sequence[Line]) -> list[Outcome]:
        batches.append([line.text for line in lines])
        await asyncio.sleep(0)
        if "deadly" in batches[-1]:
            raise WorkerDied("killed")
        return [Found([line.text]) for line in lines]

    async def main() -> None:
        batcher = Batcher(compute)
        work = await started(
            *(batcher.translate(text, TASK, lines(text)) for text in ("one", "deadly", "two"))
        )
        gone = asyncio.ensure_future(batcher.translate("gone", TASK, lines("gone")))
        await asyncio.sleep(0)
        batcher.start()
        while not batches:
            await asyncio.sleep(0)
        gone.cancel()
        found = await asyncio.gather(*work, return_exceptions=True)
        assert isinstance(found[1], WorkerDied)
        assert [texts(found[n]) for n in (0, 2)] == [["one"], ["two"]]  # type: ignore[arg-type]
        assert ["gone"] not in batches
        batcher.close()

    asyncio.run(main())


def test_every_worker_takes_a_batch() -> None:
    async def scenario(batcher: Batcher, worker: Worker) -> None:
        await started(batcher.translate("a", TASK, lines(*"abcdefgh")))
        await started(batcher.translate("b", TASK, lines("later")))
        while len(worker.batches) < 2:  # after a few milliseconds
            await asyncio.sleep(0.001)
        assert worker.batches == [[*"abcdefgh"], ["later"]]

    run(scenario, num_workers=2)
