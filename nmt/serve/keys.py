"""API keys, and how often a client may ask.

A file of keys has one per line: `ID SALT HASH [REQUESTS-PER-MINUTE]`, where HASH is the SHA-256 of
salt and secret in hexadecimal. A key is `nmt_ID_SECRET`. Its secret has 256 random bits, which
nobody can guess, so that a slow hash, as for passwords, would only slow down the server.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from nmt.data.lines import read_lines
from nmt.errors import DataError

_LINE = re.compile(r"([0-9a-f]{8}) ([0-9a-f]{32}) ([0-9a-f]{64})(?: ([1-9]\d{0,8}))?")
_KEY = re.compile(r"nmt_([0-9a-f]{8})_([0-9a-f]{64})")
_CLIENTS_KEPT = 10_000


class Key(NamedTuple):
    """A line of a file of keys."""

    id: str
    salt: str
    hash: str
    per_minute: int | None
    """Requests per minute; None if the file does not say."""


def new_key(per_minute: int | None = None) -> tuple[str, str]:
    """Return a new key, and its line for the file.

    Args:
        per_minute: how many requests it allows per minute.
    """
    name, salt, secret = secrets.token_hex(4), secrets.token_hex(16), secrets.token_hex(32)
    line = f"{name} {salt} {_hash(salt, secret)}" + (f" {per_minute}" if per_minute else "")
    return f"nmt_{name}_{secret}", line


def _hash(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}{secret}".encode()).hexdigest()


class Keys:
    """The keys of a file.

    Args:
        path: the file; blank lines, and those that start with #, are ignored.

    Raises:
        DataError: if a line is not a key, or repeats one.
        FileError: if the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._keys: dict[str, Key] = {}
        for number, line in enumerate(read_lines(path), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if not (match := _LINE.fullmatch(line.strip())):
                raise DataError(f"{path}:{number}: not a line that `new_key` has printed")
            name, salt, digest, per_minute = match.groups()
            if name in self._keys:
                raise DataError(f"{path}:{number}: the key {name} is there twice: remove one")
            self._keys[name] = Key(name, salt, digest, int(per_minute) if per_minute else None)

    def find(self, text: str) -> Key | None:
        """Return the key that a client has given, or None if it is not valid."""
        match = _KEY.fullmatch(text)
        key = self._keys.get(match[1]) if match else None
        if match and key and hmac.compare_digest(_hash(key.salt, match[2]), key.hash):
            return key
        return None


class RateLimiter:
    """Counts the requests of clients.

    A client may make its requests of a minute at once; it then regains them evenly.
    """

    def __init__(self) -> None:
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, per_minute: int) -> float:
        """Count a request, and return 0; or the seconds until the client may make it."""
        now = time.monotonic()
        left, since = self._clients.get(client, (float(per_minute), now))
        left = min(float(per_minute), left + (now - since) * per_minute / 60)
        allowed = left >= 1
        self._clients[client] = (left - 1 if allowed else left, now)
        self._clients.move_to_end(client)
        if len(self._clients) > _CLIENTS_KEPT:
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - left) * 60 / per_minute
