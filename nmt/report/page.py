"""A report as one HTML file that needs nothing else and asks no network for anything."""

from __future__ import annotations

from importlib import resources

from nmt.report.gather import Report

_PARTS = ("style.css", "charts.js", "page.js")


def render(report: Report) -> str:
    """Write a report as an HTML page.

    All text reaches the page as JSON, and its script makes text of it, never markup.
    """
    page = _read("page.html")
    for name in _PARTS:
        page = page.replace(f"/* {name} */", _read(name))
    # Inside a script element only `<` can mean anything to HTML; in JSON it stands in strings.
    return page.replace("/* data */", report.to_json().replace("<", "\\u003c"))


def _read(name: str) -> str:
    return resources.files("nmt.report").joinpath(name).read_text("utf-8")
