"""The settings of a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt.translate.guard.guard import GuardMode


@dataclass(frozen=True)
class Settings:
    """How a server listens, what it runs, and what it refuses."""

    models: list[str | Path]
    """As `path` of `nmt.load`."""
    host: str = "127.0.0.1"
    port: int = 5000
    """0 takes a free one."""
    pivot: str | None = None
    """The language over which pairs without a model of their own are translated."""
    workers: int = 1
    """Processes; each has all models."""
    computing: dict[str, Any] = field(default_factory=dict)
    """`engine`, `compute`, `device` and `threads` of `nmt.load`, for each process."""
    search: dict[str, Any] = field(default_factory=dict)
    """Search options, as in `nmt.api.Model.translate`."""
    split_sentences: bool = True
    """Translate each sentence of a line separately."""
    guard: GuardMode | None = None
    """How translations are checked, unless a request says it; see `nmt.translate.guard.guard`."""
    allow_origin: list[str] | None = None
    """Sites whose pages may use the server; `*` means all."""
    char_limit: int = 200_000
    """Characters in a request, over all its strings."""
    batch_limit: int = 2000
    """Strings in a request."""
    body_limit: int = 2_000_000
    """Bytes of a request."""
    queue_limit: int = 20_000
    """Segments that wait; one client may have half of them."""
    timeout: float = 120.0
    """Seconds that a request may take."""
    connections: int = 500
    rate_limit: int | None = None
    """Requests per minute of a client."""
    api_keys: Path | None = None
    """The file of `nmt.serve.keys`."""


HEADER_SECONDS = 10.0
"""Time to send the head of a request."""
BODY_SECONDS = 30.0
"""Time to send its body."""
READ_SECONDS = 30.0
"""Time after which a client that reads nothing of an answer is gone."""
FILE_SECONDS = 600.0
"""How long a translated file can be downloaded."""
MAX_FILE_BYTES = 100_000_000
"""Bytes of translated files kept at a time."""
MAX_ALTERNATIVES = 20
MAX_GLOSSARY = 500
"""Rows of a glossary in a request."""
