"""A server in this process whose workers are made up, and a client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nmt.config.languages import LanguagePair
from nmt.serve.errors import WorkerDied
from nmt.serve.http_server import Server, listen
from nmt.serve.metrics import Metrics
from nmt.serve.middleware import Middleware
from nmt.serve.run import assemble
from nmt.serve.settings import Settings
from nmt.serve.tasks import Failed, Found, Hop, Line, Outcome, Served, Task
from nmt.translate.alternatives import Alternative


class Shouting:
    """Workers that translate into capitals, with the number of the model if it is not the first.

    Their guard flags texts with digits.

    Args:
        pairs: those of the models.

    Attributes:
        batches: the texts of each batch.
        gate: is waited for before a batch ends; open at first.
        deaths: how often the next calls fail as if a process was killed.
    """

    def __init__(self, *pairs: str) -> None:
        self.served = [
            Served(f"model {number}", {LanguagePair(*pair.split("-")): Hop(number)})
            for number, pair in enumerate(pairs)
        ]
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.deaths = 0

    async def watch(self) -> None:
        """Do nothing."""

    async def run(self, task: Task, lines: Sequence[Line]) -> list[Outcome]:
        """Translate lines."""
        self.batches.append([line.text for line in lines])
        while not self.gate.is_set():
            await asyncio.sleep(0.002)
        if self.deaths:
            self.deaths -= 1
            raise WorkerDied("killed")
        return [self._outcome(task, *line) for line in lines]

    def _outcome(self, task: Task, text: str, prefix: str) -> Outcome:
        if text == "fails":
            return Failed("it is too long")
        if task.num_words:
            return Found(words=[Alternative("X", 0.5, f"{prefix}X", len(prefix))])
        best = text.upper() + str(task.hop.model or "")
        more = [f"{best} {number}" for number in range(1, task.nbest)]
        links = [(n, n) for n in range(len(text.split()))]
        if not task.guard:
            return Found([best, *more], links)
        flags = ("numbers",) if re.search(r"\d", text) else ()
        if flags and task.guard == "blank":
            return Found([""], [], flags, 0.25)
        return Found([best, *more], links, flags, 0.25 if flags else 0.75)


class Answer(NamedTuple):
    """What a server has answered."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Client:
    """Asks a server.

    Attributes:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, body: Any = None, kind: str = "application/json", method: str | None = None
    ) -> Answer:
        """Send a request: JSON, unless the body is bytes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": kind} if data is not None else {}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error)

    def translate(self, q: Any, source: str = "en", target: str = "de", **more: Any) -> Answer:
        """Translate."""
        return self.ask("/translate", {"q": q, "source": source, "target": target, **more})

    def connect(self) -> socket.socket:
        """Return an open connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


def _answer(response: Any) -> Answer:
    content = response.read()
    is_json = response.headers["content-type"] == "application/json"
    return Answer(response.status, json.loads(content) if is_json else content, response.headers)


class Running(NamedTuple):
    """A server in a thread."""

    client: Client
    workers: Shouting
    app: Middleware
    server: Server


@contextlib.contextmanager
def serving(*pairs: str, **settings: Any) -> Iterator[Running]:
    """Run a server in a thread, by default for en-de, fr-en and en-es."""
    workers = Shouting(*(pairs or ("en-de", "fr-en", "en-es")))
    chosen = Settings(models=[], **settings)
    app = assemble(chosen, workers, Metrics())  # type: ignore[arg-type]
    listener = listen("127.0.0.1", 0)
    server = Server(app, chosen)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        client = Client(listener.getsockname()[1])
        wait_until(lambda: server.started)
        yield Running(client, workers, app, server)
    finally:
        workers.gate.set()
        server.should_exit = True
        thread.join()


def wait_until(condition: Any, seconds: float = 30) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
