"""A recipe as YAML with comments."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import yaml

from nmt.errors import escape
from nmt.recipe.rules import Choice

_WIDTH = 100


def render(header: Sequence[str], choices: Sequence[Choice]) -> str:
    """Return a configuration whose comments give the reasons.

    Args:
        header: lines for its beginning.
        choices: the settings; those of a section follow each other.
    """
    lines = [_comment(line) for line in header]
    section = ""
    for choice in choices:
        if choice.section != section:
            section = choice.section
            lines += ["", f"{section}:"]
        if choice.reason:
            lines.append(_comment(choice.reason, "  "))
        lines += [f"  {_entry(key, value)}" for key, value in choice.values.items()]
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: str = "") -> str:
    # Text such as the name of a file must not end the comment.
    return (
        textwrap.fill(
            escape(text),
            _WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        or f"{indent}#"
    )


def _entry(key: str, value: Any) -> str:
    """Return a setting as one line of YAML."""
    # Without allow_unicode, a file name with a bidirectional override is written in escapes.
    text = yaml.safe_dump(
        {key: value},
        default_flow_style=None if isinstance(value, dict) else False,
        sort_keys=False,
        width=float("inf"),
        allow_unicode=str(value).isprintable(),
    )
    return text.rstrip("\n")
