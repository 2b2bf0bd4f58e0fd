"""HTML around what is translated."""

from __future__ import annotations

import html
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.documents.markup import html_document
from nmt.translate.words import word_spans


@pytest.mark.parametrize(
    ("page", "segments"),
    [
        ("<p>One <b>two</b>.</p><p>Three", ["One two.", "Three"]),
        ("a &lt; b &amp; c&nbsp;d", ["a < b & c\u00a0d"]),
        ("one<br>two<br/>three", ["one two three"]),
        ("<script>if (a<b) x()</script><style>p > a {}</style>text", ["text"]),
        ("<p translate=no>Name <i>of</i> it</p> rest", ["rest"]),
        ("<!-- note --><!doctype html><p>line\n  two</p>", ["line two"]),
        ("<p title='a>b' class=c>x</P>", ["x"]),
        ("1 < 2 and 3 > 2", ["1 < 2 and 3 > 2"]),
        ("<p translate = 'NO'>Name <i>of</x> it <p>a</p> b</p> rest", ["rest"]),
        ("<script>'</scripts><b>'</SCRIPT >text", ["text"]),
        ('<p title="a>b" / data-x=a\'b>x</p>', ["x"]),
        ("one <!-- two > three", ["one"]),
        ("one <a href='x>two</a>", ["one"]),
        ("Use <code>a &lt; <b>b</code> now", ["Use a < b now"]),
        ("<pre>one</pre><p class='x notranslate'>two</p> 3", ["3"]),
        ("<a><img>one</a> <!-- two --><td>three", ["one", "three"]),
        ("", []),
    ],
)
def test_text_between_tags_is_translated(page: str, segments: list[str]) -> None:
    assert html_document(page).segments == segments


@pytest.mark.parametrize(  # html.parser needs minutes for some of these
    "piece",
    ["<a ", "<!--", "a<", "<", "</", "<![", "<?", "<script>", "<a b='", "<p>a", "&#38", "<a  "],
)
def test_no_page_takes_quadratic_time(piece: str) -> None:
    html_document(piece * (200_000 // len(piece)))
    opened = "<p translate=no>" + "<i>" * 20_000 + "</x>" * 20_000 + "</p>"
    assert html_document(f"{opened}end").segments == ["end"]


def test_tags_stay_and_translations_are_escaped() -> None:
    page = "<p class=\"a\">One &amp; <a href='x?a=1&amp;b'>two</a></p><!-- note -->"
    done = html_document(page).render(["<script>alert(1)</script> a&b"], [[(0, 0), (2, 1)]])
    assert done == (
        '<p class="a">&lt;script&gt;alert(1)&lt;/script&gt; '
        "<a href='x?a=1&amp;b'>a&amp;b</a></p><!-- note -->"
    )


def test_code_is_copied() -> None:
    page = "<p>Use <code class=x>a&amp;b</code> <b translate=no>now</b>!"
    done = html_document(page).render(["Jetzt A&B benutzen!"], [[(2, 0), (1, 1), (0, 2), (3, 3)]])
    assert done == "<p><b translate=no>now</b> <code class=x>a&amp;b</code> benutzen!"


class Tags(HTMLParser):
    """Lists all but the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[object] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)


PIECES = [
    "<p>",
    "</p>",
    "<b x='1'>",
    "</b>",
    "<br/>",
    "<",
    ">",
    "&",
    "&lt;",
    "&#60;",
    "a",
    " ",
    "<!",
]
PIECES += ["--", "-->", "<!--", "'", '"', "<script>", "</script>", "=", "/", "img", "<img onerror="]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_translations_add_no_tags(page: str) -> None:
    document = html_document(page)
    done = document.render(["<script>x</script>&<"] * len(document.segments))
    assert Tags(done).found == Tags(page).found
    assert html_document(document.render(document.segments)).segments == document.segments


def test_a_translation_in_parts_is_the_whole() -> None:
    document = html_document("<ul><li>one</li>\n<li>two</li></ul>")
    parts = [*document.parts(0, ["1"]), *document.parts(1, ["2"])]
    assert "".join(parts) == document.render(["1", "2"])
    assert html.unescape(parts[0]) == "<ul><li>1"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_a_copy_is_the_same(page: str) -> None:
    document = html_document(page, sentences_of="en")
    links = [[(n, n) for n in range(len(word_spans(text)))] for text in document.segments]
    assert document.render(document.segments, links) == page
