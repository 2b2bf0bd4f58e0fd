"""What clients do to a server, and how it ends."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi")

from nmt.serve import http_server, middleware

from .harness import Answer, Running, serving, wait_until


@pytest.fixture
def running() -> Iterator[Running]:
    with serving(queue_limit=20, body_limit=100_000) as running:
        yield running


class Asked(threading.Thread):
    """A request in a thread."""

    def __init__(self, running: Running, q: object) -> None:
        super().__init__(daemon=True)
        self._running, self._q = running, q
        self.answer: Answer
        self.start()

    def run(self) -> None:
        self.answer = self._running.client.translate(self._q)

    def result(self) -> Answer:
        self.join(60)
        return self.answer


def raw_request(q: str) -> bytes:
    body = json.dumps({"q": q, "source": "en", "target": "de"}).encode()
    head = f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def is_closed(connection: socket.socket) -> bool:
    """Wait for the end of a connection; return whether it comes."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(1 << 16):
            pass
    return True


def test_a_large_body(running: Running) -> None:
    for body in (b"x" * 10_000_000, b"x" * 100_001):
        answer = running.client.ask("/translate", body)
        assert answer.status == 413
        assert answer.body == {"error": "the body is larger than 100,000 bytes"}
    with running.client.connect() as chunked:
        chunked.sendall(
            b"POST /translate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(20):
            chunked.sendall(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        chunked.sendall(b"0\r\n\r\n")
        assert chunked.recv(100).startswith(b"HTTP/1.1 413")


def test_a_full_queue(running: Running) -> None:
    running.workers.gate.clear()
    first = Asked(running, "first")
    wait_until(lambda: running.workers.batches)
    second = Asked(running, ["waits"] * 9)
    wait_until(lambda: b"nmt_waiting_lines 9" in running.client.ask("/metrics").body)
    refused = running.client.translate(["too many"] * 2)
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert running.client.ask("/health").status == 200
    running.workers.gate.set()
    assert first.result().status == second.result().status == 200


def test_a_client_that_goes_away(running: Running) -> None:
    running.workers.gate.clear()
    first = Asked(running, "first")
    wait_until(lambda: running.workers.batches)
    with running.client.connect() as gone:
        gone.sendall(raw_request("gone"))
        wait_until(lambda: b"nmt_waiting_lines 1" in running.client.ask("/metrics").body)
    wait_until(lambda: b"nmt_waiting_lines 0" in running.client.ask("/metrics").body)
    last = Asked(running, "last")
    wait_until(lambda: b"nmt_waiting_lines 1" in running.client.ask("/metrics").body)
    running.workers.gate.set()
    assert first.result().status == last.result().status == 200
    assert running.workers.batches == [["first"], ["last"]]


def test_a_request_that_takes_too_long() -> None:
    with serving(timeout=0.1) as running:
        running.workers.gate.clear()
        answer = running.client.translate("slow")
        assert answer.status == 504
        assert answer.body == {"error": "not done within 0.1 seconds"}
        asked = {"q": "slow", "source": "en", "target": "de"}
        assert b"event: error" in running.client.ask("/translate_stream", asked).body


def test_processes_that_die(running: Running) -> None:
    running.workers.deaths = 1
    assert running.client.translate("a").body == {"translatedText": "A"}
    running.workers.deaths = 2
    answer = running.client.translate("a")
    assert answer.status == 500
    assert answer.body == {"error": "the process that translated was killed, twice"}
    assert running.client.translate("a").status == 200


def test_slow_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.2)
    with serving() as running:
        silent, head, body, second = (running.client.connect() for _ in range(4))
        with silent, head, body, second:
            head.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            body.sendall(raw_request("a")[:-5])
            second.sendall(raw_request("a"))
            assert second.recv(1000).startswith(b"HTTP/1.1 200")
            second.sendall(b"GET /health HT")  # the next request on the same connection
            assert running.client.ask("/health").status == 200
            assert body.recv(1000).startswith(b"HTTP/1.1 408")
            for connection in (silent, head, body, second):
                assert is_closed(connection)


def test_a_second_request_that_comes_with_the_first_has_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "HEADER_SECONDS", 0.2)
    with serving() as running, running.client.connect() as connection:
        running.workers.gate.clear()
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + raw_request("second"))
        wait_until(lambda: running.workers.batches)
        time.sleep(0.5)
        running.workers.gate.set()
        answers = b""
        while b"SECOND" not in answers:
            read = connection.recv(1000)
            assert read
            answers += read


def test_slow_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEADER_SECONDS", 0.5)
    monkeypatch.setattr(http_server, "READ_SECONDS", 0.5)
    limits = {"char_limit": 10**8, "body_limit": 10**8, "split_sentences": False}
    with serving(**limits) as running, contextlib.ExitStack() as opened:
        slow, stuck = (opened.enter_context(running.client.connect()) for _ in range(2))
        for connection in (slow, stuck):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            connection.sendall(raw_request("x" * 5_000_000))
        size = 0
        while size < 5_000_000:
            time.sleep(0.05 if size < 1 << 20 else 0)  # for longer than a client may be idle
            read = slow.recv(1 << 16)
            assert read
            size += len(read)
        wait_until(lambda: not running.server.server_state.connections)


def test_many_connections() -> None:
    with serving(connections=10) as running, contextlib.ExitStack() as opened:
        running.workers.gate.clear()
        busy = Asked(running, "busy")
        wait_until(lambda: running.workers.batches)
        many = [opened.enter_context(running.client.connect()) for _ in range(50)]
        assert running.client.ask("/health").status == 200
        assert is_closed(many[0])  # those that wait longest make room
        running.workers.gate.set()
        assert busy.result().status == 200


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\0\0", b"GET / HTTP/9\r\n\r\n", b"\r\n" * 99_999]
)
def test_garbage(running: Running, garbage: bytes) -> None:
    with running.client.connect() as connection:
        with contextlib.suppress(OSError):  # the server may have closed it
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
        assert is_closed(connection)
    assert running.client.ask("/health").status == 200


def test_a_stop_answers_what_was_accepted(running: Running) -> None:
    running.workers.gate.clear()
    accepted = Asked(running, "accepted")
    wait_until(lambda: running.workers.batches)
    running.server.handle_exit(15, None)
    refused = running.client.translate("too late")
    assert refused.status == 503
    assert refused.body == {"error": "the server is stopping"}
    assert running.client.ask("/health").status == 200
    running.workers.gate.set()
    assert accepted.result().body == {"translatedText": "ACCEPTED"}

    def refuses() -> bool:
        with contextlib.suppress(OSError), running.client.connect():
            return False
        return True

    wait_until(refuses)


def test_a_second_signal_stops_at_once(running: Running) -> None:
    running.workers.gate.clear()
    with running.client.connect() as connection:
        connection.sendall(raw_request("unfinished"))
        wait_until(lambda: running.workers.batches)
        for _ in range(2):
            running.server.handle_exit(2, None)
        assert is_closed(connection)


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """An answer is sent in two parts; Nagle's algorithm would delay the second one by 40 ms."""
    with http_server.listen("127.0.0.1", 0) as listener:
        with socket.create_connection(listener.getsockname()):
            listener.setblocking(True)
            accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
