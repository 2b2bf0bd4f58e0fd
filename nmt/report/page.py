"""A report as one self-contained HTML file."""

from __future__ import annotations

from nmt.report.gather import Report
from nmt.report.html_page import fill_page


def render(report: Report) -> str:
    """Return a report as an HTML page.

    All text reaches the page as JSON; its script inserts it as text nodes, never as markup.
    """
    return fill_page("nmt.report", report.to_json())
