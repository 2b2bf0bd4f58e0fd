"""Findings: what a user should know about a configuration or its corpora before training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One line for the user.

    Attributes:
        severity: an error makes training pointless, a warning makes it worse than it could be, a
            note is for information.
        kind: one word that identifies the check, for programs.
        about: the configuration key, such as `data.train`.
        message: the problem, its place and the way out.
    """

    severity: Severity
    kind: str
    about: str
    message: str


def share(part: int, whole: int) -> str:
    """Format a count with its percentage, such as `12 of 29,000 (0.04 %)`."""
    percent = 100 * part / max(whole, 1)
    if 0 < percent < 0.01:
        return f"{part:,} of {whole:,} (under 0.01 %)"
    return f"{part:,} of {whole:,} ({percent:{'.1f' if percent >= 1 else '.2g'}} %)"
