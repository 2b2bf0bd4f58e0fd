"""Processes that end, with processes that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from nmt.serve import workers
from nmt.serve.settings import Settings
from nmt.serve.tasks import Found, Hop, Line, Outcome, Served, Task
from nmt.serve.workers import Workers


class Mortal:
    """Ends with each task whose text is `die`, and then cannot be started twice."""

    def __init__(self, settings: Settings) -> None:
        self.alive = False
        self.failures: list[Exception] = []

    def start(self) -> None:
        self.alive = True

    def loaded(self) -> list[Served]:
        return []

    def restart(self) -> None:
        if self.failures:
            raise self.failures.pop()
        self.start()

    def is_alive(self) -> bool:
        return self.alive

    def run(self, task: Task, lines: Sequence[Line]) -> list[Outcome]:
        if lines[0].text == "die":
            self.alive, self.failures = False, [RuntimeError("no memory"), MemoryError()]
        return [Found([line.text]) for line in lines]

    def kill(self) -> None:
        self.alive = False


def test_a_process_is_started_until_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_Worker", Mortal)
    monkeypatch.setattr(workers, "_WATCH_SECONDS", 0.01)
    messages: list[str] = []

    async def main() -> None:
        pool = Workers(Settings([]), messages.append)
        pool.start()
        await pool.run(Task(Hop(0)), [Line("die")])
        assert await pool.run(Task(Hop(0)), [Line("text")]) == [Found(["text"])]
        pool.close()

    asyncio.run(asyncio.wait_for(main(), 30))
    assert len(messages) == 3
    assert messages[2].endswith("trying again: no memory")
