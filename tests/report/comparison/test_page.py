"""The page is one file, safe with any text, and works in a browser."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import pytest

from browser import Browser
from nmt.evaluation.compare import Comparison, compare
from nmt.report.comparison.page import render_page

HOSTILE = "</script><script>document.title='owned'</script><!--<b>ü\u2028漢&amp;\"'"
REF = ["The cat sat on the mat.", "Who ate 3 of the 7 cakes?", HOSTILE]
BETTER = [*REF[:2], "nothing"]
WORSE = ["The cat sat.", "Who ate 3 of the 7 cakes?", HOSTILE]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    systems = [("base", WORSE), (HOSTILE, BETTER), ("a-third-with-a-long-name.de", WORSE)]
    return compare(systems, [REF], ["x", HOSTILE, HOSTILE], samples=20, trials=20)


class _Elements(html.parser.HTMLParser):
    """Collects the elements of a page, and the contents of its script elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script":
            self.scripts.append(data)


def test_page_is_self_contained_and_text_stays_text(comparison: Comparison) -> None:
    page = render_page(comparison)
    parsed = _Elements(page)
    assert [tag for tag, _ in parsed.elements].count("script") == 2
    for tag, attributes in parsed.elements:
        assert tag not in ("img", "iframe", "object", "embed", "base", "b")
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:,") == "data:,"
    assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|innerHTML", page)
    assert "{{" not in page
    assert json.loads(parsed.scripts[0]) == json.loads(comparison.to_json())


# ---------------------------------------------------------------- in a browser


def texts(page: Browser, selector: str) -> list[str]:
    script = f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent.trim())"
    return list(page.run(script))


def test_page_in_a_browser(comparison: Comparison, browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_page(comparison), "utf-8")
    browser.open(path)
    assert browser.errors == []
    assert browser.requests == [path.as_uri()]
    assert browser.run("document.title") == (
        f"Comparison: base, {HOSTILE}, a-third-with-a-long-name.de"
    )
    assert browser.run("document.querySelectorAll('main b, main script').length") == 0
    assert texts(browser, "#scores tbody td:first-child")[:2] == [
        "1 base (baseline)",
        f"2 {HOSTILE}",
    ]
    bleu = comparison.scores["BLEU"]
    assert texts(browser, "#scores tbody td:nth-child(2)")[0] == (
        f"{bleu[0].score:.1f} ± {bleu[0].margin:.1f}"
    )
    # The third system is the baseline.
    assert texts(browser, "#scores tbody tr:nth-child(3) td:nth-child(n + 4)")[:3] == [
        *("0.0", "1.000", "1.000")
    ]
    assert len(texts(browser, "#groups h3")) == 4
    assert browser.run("document.querySelectorAll('#groups .charts svg .mark').length") > 12
    second, third = comparison.pairs
    assert len(second.wins) == len(second.losses) == 1
    assert texts(browser, "#pairs section:nth-child(1) dl")[1].count(HOSTILE) == 3
    assert third.wins == third.losses == []
    assert texts(browser, "#pairs section:nth-child(2) dl, #pairs section:nth-child(2) h3") == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_page_fits_the_window(
    comparison: Comparison, browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_page(comparison), "utf-8")
    browser.open(path, width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
