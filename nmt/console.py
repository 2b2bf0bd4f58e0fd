"""The terminal, for everything that is not a result: a console that shows text as it is."""

from __future__ import annotations

from typing import Any

import rich.console
from rich.text import Text

from nmt.errors import escape


class Console(rich.console.Console):
    """A rich console that takes strings for plain text and escapes them.

    A name such as `[red]` or `:warning:` in a corpus or a file shows as it is. That holds for
    strings that are printed and for those in tables. A spinner, a progress bar and a `Text` would
    take theirs unescaped: give them `plain(text)`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a string renderable; rich calls this for each one."""
        return super().render_str(escape(text), **options)

    def say(self, text: str) -> None:
        """Print one line, which the terminal wraps."""
        self.print(text, soft_wrap=True)


def plain(text: str, style: str = "") -> Text:
    """Make text renderable where rich would take a string for markup."""
    return Text(escape(text), style=style)
