"""Attention as one self-contained HTML file."""

from __future__ import annotations

from nmt.report.html_page import fill_page
from nmt.translate.attend import PairAttention


def render_page(pair: PairAttention) -> str:
    """Return the HTML page for a pair."""
    return fill_page("nmt.report.attention", pair.to_json(), title=pair.src)
