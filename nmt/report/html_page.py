"""Pages of HTML from a room's files: one file each, which loads nothing."""

from __future__ import annotations

import html
import re
from importlib import resources

_PLACE = re.compile(r"\{\{([\w.]+)\}\}")


def fill_page(room: str, data: str, **texts: str) -> str:
    """Fill in the template `page.html` of a package.

    In it `{{page.js}}` stands for the package's file of that name, `{{data}}` for the data, and
    `{{title}}` for a text of that name. What is filled in is not looked through again.

    Args:
        room: the package, for example `nmt.report`.
        data: JSON for a script element. In JSON `<` occurs within strings alone, where it may be
            escaped; without it nothing can end the element or begin a comment (HTML standard,
            restrictions for contents of script elements).
        texts: plain text, which is escaped.
    """
    folder = resources.files(room)
    parts = {name: html.escape(text) for name, text in texts.items()}
    parts["data"] = data.replace("<", "\\u003c")

    def part(place: re.Match[str]) -> str:
        name = place[1]
        return folder.joinpath(name).read_text("utf-8") if "." in name else parts[name]

    return _PLACE.sub(part, folder.joinpath("page.html").read_text("utf-8"))
