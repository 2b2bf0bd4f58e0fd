"""What torchrun tells the processes that it starts, read without importing torch."""

from __future__ import annotations

import os


def world_size() -> int:
    """Return how many processes torchrun has started to work together; 1 without it."""
    return _number("WORLD_SIZE", 1) if "RANK" in os.environ else 1


def rank() -> int:
    """Return the number of this process among them, from 0."""
    return _number("RANK", 0) if world_size() > 1 else 0


def local_world_size() -> int:
    """Return how many of them are on this machine; 1 without torchrun."""
    return _number("LOCAL_WORLD_SIZE", 1)


def local_rank() -> int:
    """Return the number of this process among those on this machine, from 0."""
    return _number("LOCAL_RANK", 0)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default
