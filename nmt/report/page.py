"""A report as one HTML file that needs nothing else and asks no network for anything."""

from __future__ import annotations

from nmt.report.gather import Report
from nmt.report.html_page import fill_page


def render(report: Report) -> str:
    """Write a report as an HTML page.

    All text reaches the page as JSON, and its script makes text of it, never markup.
    """
    return fill_page("nmt.report", report.to_json())
