"""The tokens of a term that hypotheses must contain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Alternative(NamedTuple):
    """One of the forms of a term."""

    tokens: tuple[int, ...]
    """At least one."""
    ends_anywhere: bool = False
    """Whether any token may follow it, rather than only one that begins a word."""


Term = Sequence[Alternative]
"""The forms of a term, one of which is required; at least one."""
