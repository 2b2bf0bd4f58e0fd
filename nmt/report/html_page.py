"""Self-contained HTML pages, built from template files inside a package."""

from __future__ import annotations

import html
import re
from importlib import resources

_PLACEHOLDER = re.compile(r"\{\{([\w./]+)\}\}")


def fill_page(package: str, data: str, **texts: str) -> str:
    """Fill in the template `page.html` of a package.

    In the template, `{{page.js}}` stands for the package's file of that name,
    `{{nmt.report/style.css}}` for one of another package, `{{data}}` for the data and `{{title}}`
    for the text of that name. Inserted text is not expanded again.

    Args:
        package: the package, for example `nmt.report`.
        data: JSON for a script element. `<` is escaped, which JSON allows because `<` occurs only
            inside strings; without it, nothing can end the element or start a comment (HTML
            standard, restrictions for contents of script elements).
        texts: plain text by name; HTML-escaped.
    """
    parts = {name: html.escape(text) for name, text in texts.items()}
    parts["data"] = data.replace("<", "\\u003c")

    def replacement(placeholder: re.Match[str]) -> str:
        folder, _, name = placeholder[1].rpartition("/")
        return _read(folder or package, name) if "." in name else parts[name]

    return _PLACEHOLDER.sub(replacement, _read(package, "page.html"))


def _read(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text("utf-8")
