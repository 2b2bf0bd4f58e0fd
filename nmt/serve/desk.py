"""Who may ask, how often, how much, and for how long."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from fastapi import Request

from nmt.serve.errors import Refusal
from nmt.serve.files import TranslatedFiles
from nmt.serve.keys import Keys, RateLimiter
from nmt.serve.service import Service

T = TypeVar("T")


class Desk:
    """The service, and the keys, rates and files of its clients, for the routes."""

    def __init__(self, service: Service) -> None:
        self.service = service
        settings = service.settings
        self.keys = Keys(settings.api_keys) if settings.api_keys else None
        self.rates = RateLimiter()
        self.files = TranslatedFiles()

    def admit(self, request: Request, api_key: str | None) -> str:
        """Count a request, and return the name of its client: that of its key, or its address.

        Raises:
            Refusal: if the key is wrong, or the client has made too many requests.
        """
        client = request.client.host if request.client else ""
        per_minute = self.service.settings.rate_limit
        if self.keys:
            if not (key := self.keys.find(api_key or "")):
                raise Refusal(403, "api_key: a valid one is needed")
            client, per_minute = f"key {key.id}", key.per_minute or per_minute
        if per_minute and (seconds := self.rates.wait(client, per_minute)):
            message = f"more than {per_minute} requests per minute"
            raise Refusal(429, message, math.ceil(seconds))
        return client

    def check_size(self, texts: list[str]) -> None:
        """Raise a Refusal if a request has too many strings or characters."""
        settings = self.service.settings
        if len(texts) > settings.batch_limit:
            raise Refusal(400, f"q: {len(texts)} strings, but at most {settings.batch_limit}")
        if (size := sum(map(len, texts))) > settings.char_limit:
            raise Refusal(400, f"q: {size} characters, but at most {settings.char_limit}")

    async def finish(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of work, which ends if it takes too long or the client goes away.

        Raises:
            Refusal: if it takes too long.
        """
        task = asyncio.create_task(work)
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait(
                (task, gone),
                timeout=self.service.settings.timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
            if gone.done():
                raise Refusal(400, "the client is gone")
            raise Refusal(504, f"not done within {self.service.settings.timeout:g} seconds")
        finally:
            task.cancel()
            gone.cancel()


async def _disconnected(request: Request) -> None:
    """Wait until the client goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def desk_of(request: Request) -> Desk:
    """Return the desk of the application that answers a request."""
    return cast(Desk, request.app.state.desk)
