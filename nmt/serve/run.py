"""Starting a server, and checking its models."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

from fastapi import FastAPI

from nmt.errors import ConfigError
from nmt.serve.app import make_app
from nmt.serve.batcher import Batcher
from nmt.serve.detect import Detector
from nmt.serve.errors import WorkerDied
from nmt.serve.http_server import Server, listen
from nmt.serve.metrics import Metrics
from nmt.serve.middleware import Middleware
from nmt.serve.models import Models
from nmt.serve.pairs import Pairs
from nmt.serve.service import Service
from nmt.serve.settings import Settings
from nmt.serve.tasks import Failed, Line, Task
from nmt.serve.workers import Workers

Log = Callable[[str], object]
_SAMPLE = "Hello!"


def serve(settings: Settings, log: Log) -> None:
    """Serve models until a signal asks to stop.

    Args:
        settings: those of the server.
        log: called with the address, once the server answers there.

    Raises:
        ConfigError: if the address is taken, or the models or the pivot language do not suit.
        DataError: if the file of API keys is wrong.
        FileError: if a model or the file of API keys cannot be read.
    """
    metrics = Metrics()
    with contextlib.closing(listen(settings.host, settings.port)) as listener:

        def died(message: str) -> None:
            metrics.count_death()
            log(f"warning: {message}")

        workers = Workers(settings, died)
        try:
            workers.start()
            app = assemble(settings, workers, metrics)
            host, port = listener.getsockname()[:2]
            pairs = ", ".join(map(str, Pairs(workers.served, settings.pivot)))
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            log(f"serving {pairs} on http://{address}")
            Server(app, settings).run([listener])
        except WorkerDied as error:
            raise ConfigError(
                f"a process that loaded the models was killed ({error}), probably because memory "
                "ran out: reduce `workers`"
            ) from error
        finally:
            workers.close()


def assemble(settings: Settings, workers: Workers, metrics: Metrics) -> Middleware:
    """Return the application of a server whose workers have started, in its middleware."""
    pairs = Pairs(workers.served, settings.pivot)
    batcher = Batcher(workers.run, settings.workers, max_waiting=settings.queue_limit)
    batcher.batch_ended = metrics.count_batch
    metrics.watch("nmt_waiting_lines", "Lines in the queue.", lambda: batcher.waiting)
    service = Service(settings, pairs, batcher, Detector(pairs.languages), metrics)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        watch = asyncio.create_task(workers.watch())
        yield
        watch.cancel()
        batcher.close()

    return Middleware(make_app(service, lifespan=lifespan), metrics, settings.body_limit)


def check(settings: Settings) -> Iterator[str]:
    """Load the models, and translate a line between each pair of languages.

    Yields:
        A line for each pair.

    Raises:
        ConfigError, DataError, FileError: if a model cannot be used.
    """
    models = Models(settings)
    Pairs(models.served, settings.pivot)
    for served in models.served:
        for pair, hop in served.hops.items():
            [outcome] = models.run(Task(hop, guard=settings.guard), [Line(_SAMPLE)])
            if isinstance(outcome, Failed):
                raise ConfigError(f"{served.name}: {pair}: {outcome.message}")
            yield f"{served.name}: {pair}: {_SAMPLE} → {outcome.texts[0]}"
