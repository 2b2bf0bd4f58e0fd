"""A page of HTML that shows attention: one file, which loads nothing."""

from __future__ import annotations

import html
import re
from importlib import resources

from nmt.attend.pair import PairAttention

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def render_page(pair: PairAttention) -> str:
    """Write the page: the template `page.html` with its style, its script and the weights."""
    parts = {
        "title": html.escape(pair.src),
        "style": _file("page.css"),
        "script": _file("page.js"),
        "data": script_json(pair.to_json()),
    }
    return _PLACE.sub(lambda match: parts[match[1]], _file("page.html"))


def script_json(text: str) -> str:
    """Write JSON so that it can stand in a script element.

    In JSON `<` occurs within strings alone, where it may be escaped; without it nothing can end
    the element or begin a comment (HTML standard, restrictions for contents of script elements).
    """
    return text.replace("<", "\\u003c")


def _file(name: str) -> str:
    return resources.files("nmt.attend").joinpath(name).read_text("utf-8")
