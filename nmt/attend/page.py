"""A page of HTML that shows attention: one file, which loads nothing."""

from __future__ import annotations

from nmt.attend.pair import PairAttention
from nmt.html_page import fill_page


def render_page(pair: PairAttention) -> str:
    """Write the page: the template with its style, its script and the weights."""
    return fill_page("nmt.attend", pair.to_json(), title=pair.src)
