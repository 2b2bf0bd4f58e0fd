"""What every request passes through: limits, refusals while the server stops, security headers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi.responses import JSONResponse

from nmt.serve.errors import Refusal
from nmt.serve.metrics import Metrics
from nmt.serve.settings import BODY_SECONDS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_ALWAYS = {"/health", "/metrics"}
_DRAINED = 64_000_000
"""Bytes of a body above the limit that are read and ignored before the answer."""


class Middleware:
    """Wraps an application (ASGI).

    Args:
        app: the application.
        metrics: counts the requests.
        body_limit: largest body in bytes.

    Attributes:
        stopping: whether new requests are refused.
        running: number of requests that are being answered.
    """

    def __init__(self, app: App, metrics: Metrics, body_limit: int) -> None:
        self._app, self._metrics, self._body_limit = app, metrics, body_limit
        self.stopping = False
        self.running = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), 500

        async def send_safe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        always = scope["path"] in _ALWAYS
        try:
            self.running += not always
            if self.stopping and not always:
                headers = {"retry-after": "10", "connection": "close"}
                refusal = JSONResponse({"error": "the server is stopping"}, 503, headers)
                await refusal(scope, receive, send_safe)
            else:
                await self._app(scope, _limited(receive, self._body_limit), send_safe)
        finally:
            self.running -= not always
            # One metric per path that clients make up would be too many.
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.count_request(path, status, time.monotonic() - start)


def _limited(receive: Receive, limit: int) -> Receive:
    """Return `receive` with limits for the size of the body and the time to send it.

    The returned function raises:
        Refusal: 413 if the body is too large, 408 if it takes too long.
    """
    deadline = time.monotonic() + BODY_SECONDS
    size, complete = 0, False

    async def receive_some() -> Message:
        nonlocal size, complete
        if complete:  # what comes now is that the client goes away
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), deadline - time.monotonic())
        except asyncio.TimeoutError as error:
            raise Refusal(408, f"the body took longer than {BODY_SECONDS:g} seconds") from error
        size += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        return message

    async def receive_limited() -> Message:
        message = await receive_some()
        if size <= limit:
            return message
        # Most clients read the answer only after they have sent everything.
        while not complete and size <= _DRAINED:
            await receive_some()
        raise Refusal(413, f"the body is larger than {limit:,} bytes")

    return receive_limited
