"""Translated files that wait to be downloaded."""

from __future__ import annotations

import re
import secrets
import time
from typing import NamedTuple

from nmt.serve.settings import FILE_SECONDS, MAX_FILE_BYTES


class TranslatedFile(NamedTuple):
    """A file, and what its reader should call it."""

    name: str
    content: bytes
    until: float
    """When it is forgotten, by the monotonic clock."""


class TranslatedFiles:
    """Keeps files in memory, for some minutes, under names that nobody can guess."""

    def __init__(self) -> None:
        self._files: dict[str, TranslatedFile] = {}

    def add(self, name: str, target: str, content: bytes) -> str:
        """Keep a file.

        Args:
            name: that of the source file, which may be anything.
            target: the language of the content.
            content: the translation.

        Returns:
            The name under which `find` finds it.
        """
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", name.rpartition(".")[0])[-60:] or "file"
        key = f"{secrets.token_urlsafe(18)}.txt"
        until = time.monotonic() + FILE_SECONDS
        self._files[key] = TranslatedFile(f"{stem}.{target}.txt", content, until)
        self._forget()
        return key

    def find(self, key: str) -> TranslatedFile | None:
        """Return a file, unless it has been forgotten."""
        self._forget()
        return self._files.get(key)

    def _forget(self) -> None:
        """Drop files that are too old, and the oldest if all are too large."""
        now, size = time.monotonic(), sum(len(file.content) for file in self._files.values())
        for key, file in list(self._files.items()):  # oldest first
            if file.until > now and size <= MAX_FILE_BYTES:
                break
            size -= len(self._files.pop(key).content)
