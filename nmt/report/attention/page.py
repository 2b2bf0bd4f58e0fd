"""A page of HTML that shows attention: one file, which loads nothing."""

from __future__ import annotations

from nmt.report.attention.pair import PairAttention
from nmt.report.html_page import fill_page


def render_page(pair: PairAttention) -> str:
    """Write the page: the template with its style, its script and the weights."""
    return fill_page("nmt.report.attention", pair.to_json(), title=pair.src)
