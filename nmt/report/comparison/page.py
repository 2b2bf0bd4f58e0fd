"""A comparison as one self-contained HTML file."""

from __future__ import annotations

from nmt.evaluation.compare import Comparison
from nmt.report.html_page import fill_page
from nmt.version import __version__


def render_page(comparison: Comparison) -> str:
    """Return a comparison as an HTML page, the same for the same comparison.

    All text reaches the page as JSON; its script inserts it as text nodes, never as markup.
    """
    return fill_page("nmt.report.comparison", comparison.to_json(), version=__version__)
