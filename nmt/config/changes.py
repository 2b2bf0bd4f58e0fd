"""The keys in which two configurations differ."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from nmt.config.schema import Config


def changes(before: Config, now: Config) -> dict[str, tuple[Any, Any]]:
    """Return the old and new values of the dotted keys that differ.

    Corpora of data.train count by their weights only, and those of data.valid not at all: files may
    move, so their content is compared instead.
    """
    was, is_now = (flatten(one.model_dump(mode="json")) for one in (before, now))
    return {
        key: (was.get(key), is_now.get(key))
        for key in {**was, **is_now}
        if was.get(key) != is_now.get(key)
        and not re.match(r"data\.valid\.|data\.train\..*(?<!\.weight)$", key)
    }


def is_among(key: str, names: Iterable[str]) -> bool:
    """Return whether a dotted key is one of some keys, or below one of them."""
    return any(key == name or key.startswith(name + ".") for name in names)


def flatten(value: Any, prefix: str = "", *, lists: bool = True) -> dict[str, Any]:
    """Flatten nested dicts into one with dotted keys.

    Args:
        value: the dict.
        prefix: what its keys begin with.
        lists: flatten lists, too, with numbers as keys; otherwise they stay as they are.
    """
    if not isinstance(value, dict | list if lists else dict):
        return {prefix: value}
    children = value.items() if isinstance(value, dict) else enumerate(value)
    return {
        key: leaf
        for name, child in children
        for key, leaf in flatten(
            child, f"{prefix}.{name}" if prefix else str(name), lists=lists
        ).items()
    }
