"""uvicorn with limits for connections, and a stop that answers what was accepted."""

from __future__ import annotations

import asyncio
import logging
import socket
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from nmt.errors import ConfigError
from nmt.serve.middleware import Middleware
from nmt.serve.settings import HEADER_SECONDS, READ_SECONDS, Settings

_SEND_BUFFER = 1 << 17


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: if the address cannot be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"`host` {host}, `port` {port}: cannot listen there: {error.strerror}; 0 takes a free "
            "port"
        ) from error
    listener.setblocking(False)
    # Large buffers would hide for minutes that a client reads, but slowly.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    # An answer is sent in two parts; else the second one waits 40 ms for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class Server(uvicorn.Server):
    """Stops on SIGTERM and SIGINT once the requests that it has accepted are answered.

    Until then it answers new ones with 503. A second signal ends it at once.

    Args:
        app: the application in its middleware.
        settings: those of the server.
    """

    def __init__(self, app: Middleware, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_protocol(settings.connections),
                ws="none",
                log_config=None,
                log_level="error",  # not of every malformed request
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,  # of connections; requests are answered by then
            )
        )
        logging.getLogger("python_multipart").setLevel(logging.ERROR)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        if self._app.stopping:
            self.should_exit = self.force_exit = True
        self._app.stopping = True

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end."""
        ended = self._app.stopping and not self._app.running
        return await super().on_tick(counter) or ended


class _WatchingReaders(H11Protocol):
    """Closes a connection whose client reads none of its answer for `READ_SECONDS`."""

    _timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        self._stop_expecting()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_expecting()
        super().connection_lost(exc)

    def _expect_reading(self, unsent: int = 0) -> None:
        left = self.transport.get_write_buffer_size()
        if left == unsent:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(READ_SECONDS, self._expect_reading, left)

    def _stop_expecting(self) -> None:
        if self._timer:
            self._timer.cancel()


def _protocol(max_connections: int) -> type[H11Protocol]:
    """Return uvicorn's protocol with limits that it lacks.

    A client has `HEADER_SECONDS` for the head of a request. If there are too many connections, the
    oldest one without a request is closed.
    """
    idle: dict[H11Protocol, asyncio.TimerHandle] = {}

    class Protocol(_WatchingReaders):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()
            if len(self.connections) > max_connections:
                oldest = next(iter(idle))  # at worst this one
                oldest.transport.abort()
                oldest._forget()  # type: ignore[attr-defined]

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch_if_idle()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self.transport.is_closing():
                self._watch_if_idle()  # it is not if the next request has come already

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _watch_if_idle(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self._watch()
            else:
                self._forget()

        def _watch(self) -> None:
            if self not in idle:
                idle[self] = self.loop.call_later(HEADER_SECONDS, self._expire)

        def _expire(self) -> None:
            del idle[self]
            if self.flow.write_paused:  # the client is still reading the last answer
                self._watch()
            else:
                self.transport.abort()

        def _forget(self) -> None:
            if timer := idle.pop(self, None):
                timer.cancel()

    return Protocol
