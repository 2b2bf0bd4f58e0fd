"""A console for everything that is not a result; it shows text literally."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import rich.console
from rich.text import Text

from nmt.errors import escape


class Console(rich.console.Console):
    """A rich console that treats strings as plain text and escapes them.

    Text such as `[red]` or `:warning:` from a corpus or a file is shown literally, whether it is
    printed or in a table. Spinners, progress bars and `Text` do not escape their strings: pass
    them `plain(text)`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as Text; rich calls this for each string."""
        return super().render_str(escape(text), **options)

    def print_line(self, text: str) -> None:
        """Print one line without wrapping it; the terminal wraps it."""
        self.print(text, soft_wrap=True)

    def activity(self, text: str) -> AbstractContextManager[object]:
        """Show an activity: on a terminal while the context lasts, otherwise as a line."""
        if self.is_terminal:
            return self.status(plain(text))
        self.print_line(text)
        return nullcontext()


def plain(text: str, style: str = "") -> Text:
    """Return text for places where rich would interpret a string as markup."""
    return Text(escape(text), style=style)
