"""A server that answers the page as `nmt serve` does, with a translation that can be foreseen.

A sentence is translated by putting its words into capitals, so each word is aligned with itself.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import deque
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nmt

PAGE = Path(nmt.__file__).parent / "serve" / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_TYPES[".svg"] = "image/svg+xml"


class FakeServer:
    """A server on a port of its own.

    Attributes:
        url: of the page.
        calls: path and body of each request but those for files of the page.
        failures: answers (status, headers, body) to give to the next requests of a path.
        delays: seconds to wait before the translation of a text is sent.
        settings: what /frontend/settings returns.
    """

    def __init__(self) -> None:
        self.reset()
        handler = partial(_Handler, self)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def reset(self) -> None:
        """Forget all calls, and fail no more."""
        self.calls: list[tuple[str, Any]] = []
        self.failures: dict[str, deque[tuple[int, dict[str, str], Any]]] = {}
        self.delays: dict[str, float] = {}
        self.settings: dict[str, Any] = {
            **{"apiKeys": False, "keyRequired": False, "suggestions": False},
            **{"charLimit": 5000, "frontendTimeout": 50},
            "language": {
                "source": {"code": "auto", "name": "Auto Detect"},
                "target": {"code": "de", "name": "German"},
            },
            **{"supportedFilesFormat": [".txt"], "filesTranslation": True},
        }

    def fail(self, path: str, status: int, body: Any, **headers: str) -> None:
        """Answer the next request of a path with an error."""
        self.failures.setdefault(path, deque()).append((status, headers, body))

    def bodies(self, path: str) -> list[Any]:
        """Return the bodies of all requests of a path."""
        return [body for called, body in self.calls if called == path]

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, fake: FakeServer, *arguments: Any) -> None:
        self.fake = fake
        super().__init__(*arguments)

    def do_GET(self) -> None:
        name = "index.html" if self.path == "/" else self.path.removeprefix("/page/")
        if (PAGE / name).is_file():
            self._send(200, (PAGE / name).read_bytes(), _TYPES[Path(name).suffix])
        elif self.path.startswith("/download_file/"):
            self._send(200, b"DER HUND\n", "text/plain")
        else:
            self._answer(None)

    def do_POST(self) -> None:
        body: Any = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Type"] == "application/json":
            body = json.loads(body)
        self._answer(body)

    def _answer(self, body: Any) -> None:
        self.fake.calls.append((self.path, body))
        if failures := self.fake.failures.get(self.path):
            status, headers, answer = failures.popleft()
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            return self._send(status, data, "application/json", **headers)
        answers = {
            "/languages": lambda: LANGUAGES,
            "/frontend/settings": lambda: self.fake.settings,
            "/translate": lambda: translate(body),
            "/alternatives": lambda: alternatives(body),
            "/translate_file": lambda: {
                "translatedFileUrl": "http://elsewhere.invalid/download_file/a1.txt"
            },
        }
        if self.path not in answers:
            return self._send(404, b'{"error": "Not found"}', "application/json")
        if self.path == "/translate":
            time.sleep(self.fake.delays.get(body["q"], 0))
        data = json.dumps(answers[self.path]()).encode()
        return self._send(200, data, "application/json")

    def _send(self, status: int, data: bytes, content_type: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", "default-src 'self'")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the page no longer wants the answer
            super().handle()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


LANGUAGES = [
    {"code": "en", "name": "English", "targets": ["de", "ar"]},
    {"code": "de", "name": "German", "targets": ["en"]},
    {"code": "ar", "name": "Arabic", "targets": []},
]


def translate(body: dict[str, Any]) -> dict[str, Any]:
    """Answer POST /translate."""
    text = body["q"]
    answer: dict[str, Any] = {"translatedText": _capitals(text, body["target"])}
    if body.get("alignment"):
        sentences = re.findall(r"[^\s][^.!?\n]*[.!?]*", text)
        answer["segments"] = [_segment(each, body["target"]) for each in sentences]
    if body["source"] == "auto":
        answer["detectedLanguage"] = {"confidence": 90.0, "language": "en"}
    return answer


def _segment(src: str, target: str) -> dict[str, Any]:
    tgt = _capitals(src, target)
    words = [[word.start(), word.end()] for word in re.finditer(r"\w+", src)]
    other = words if target != "ar" else [[0, len(tgt)]] * len(words)
    return {"src": src, "tgt": tgt, "alignment": [list(p) for p in zip(words, other, strict=True)]}


def _capitals(text: str, target: str) -> str:
    return "الكلب يركض في البيت" if target == "ar" else text.upper()


def alternatives(body: dict[str, Any]) -> dict[str, Any]:
    """Answer POST /alternatives."""
    prefix, old = body["prefix"], _capitals(body["q"], body["target"])
    rest = old[len(prefix) :].partition(" ")[2]
    words = [("KATER", 0.41), ("WOLF", 0.2), (re.split(r"\W", old[len(prefix) :])[0], 0.1)]
    found = [
        {"word": word, "probability": p, "text": f"{prefix}{word} {rest}".strip()}
        for word, p in words
    ]
    found.append({"word": "", "probability": 0.01, "text": prefix.strip()})
    return {"alternatives": [{**each, "start": len(prefix)} for each in found]}
