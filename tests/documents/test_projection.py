"""Markup in translations."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.documents.inline import (
    Close,
    Empty,
    Fixed,
    Open,
    Piece,
    balanced,
    raw_of,
    spaced,
    text_of,
    trimmed,
)
from nmt.documents.projection import project
from nmt.translate.words import Links, word_spans

TAGS = st.sampled_from("abc").flatmap(
    lambda name: st.sampled_from(
        [Open(f"<{name}>"), Close(f"</{name}>"), Empty(f"<{name}/>"), Fixed("x1", f"[{name}]")]
    )
)
TEXTS = st.text("uv .\n&", min_size=1, max_size=6).map(lambda text: [*spaced(text)])
PIECES = st.lists(st.one_of(TEXTS, TAGS.map(lambda tag: [tag])), max_size=10).map(
    lambda parts: balanced([piece for part in parts for piece in part], name_of)
)


def name_of(tag: str) -> str:
    return tag.strip("</>")


def source(text: str) -> list[Piece]:
    """Return the pieces of a text with `<b>`, `</b>`, `<br/>` and `[code]`."""
    pieces: list[Piece] = []
    for place, part in enumerate(re.split(r"(<[^>]*>|\[.*?\])", text)):
        if place % 2 == 0:
            pieces += spaced(part)
        elif part.startswith("["):
            pieces.append(Fixed(part[1:-1], part))
        elif part.endswith("/>"):
            pieces.append(Empty(part))
        else:
            pieces.append(Close(part) if part.startswith("</") else Open(part))
    return balanced(pieces, name_of)


def diagonal(text: str) -> Links:
    return [(number, number) for number in range(len(word_spans(text)))]


@pytest.mark.parametrize(
    ("text", "translation", "links", "expected"),
    [
        ("the <b>cat</b> sat", "die Katze saß", "0-0 1-1 2-2", "die <b>Katze</b> saß"),
        ("the <b>cat</b> sat", "saß die Katze", "2-0 0-1 1-2", "saß die <b>Katze</b>"),
        ("a <b>b</b> <i>c</i>", "X Y Z", "2-0 0-1 1-2", "<i>X</i> Y <b>Z</b>"),
        ("a <b>b c</b>", "X Y Z", "1-0 0-1 2-2", "<b>X</b> Y Z"),  # the first of two runs
        ("a <b>b c d</b>", "X Y Z W", "1-0 2-1 0-2 3-3", "<b>X Y</b> Z W"),
        ("a <b>b <i>c</i></b>", "Z Y X", "2-0 1-1 0-2", "<b><i>Z</i> Y</b> X"),
        ("one<br/>two", "eins zwei", "0-0 1-1", "eins <br/>zwei"),
        ("one <br/>two", "zwei eins", "1-0 0-1", "zwei eins<br/>"),
        ("a <br/> b", "X Y", "1-0 0-1", "X Y<br/>"),
        ("a <br/> b <i>c</i>", "X Y Z", "0-0 2-1 1-2", "X <br/> <i>Y</i> Z"),
        ("see <a>this</a>", "schau", "0-0", "schau<a></a>"),
        ("use [foo] now", "jetzt Foo nutzen", "2-0 1-1 0-2", "jetzt [foo] nutzen"),
        ("use [foo] now", "nutze jetzt", "0-0 2-1", "nutze [foo] jetzt"),
        ("see [foo].", "schau Foo!", "0-0 1-1 1-2", "schau [foo]!"),
        ("see <b>cat</b>.", "X Y!", "0-0 1-1 1-2", "X <b>Y</b>!"),
        ("<b>a</b>b c", "X Y", "0-0 1-1", "<b>X</b> Y"),  # the word is divided
        ("a <b>b</b>", "", "", "<b></b>"),
        ("a <b>b</b> c", "X Y Z", "", "X <b>Y</b> Z"),
    ],
)
def test_tags_follow_their_words(text: str, translation: str, links: str, expected: str) -> None:
    pairs = [(int(one), int(two)) for one, two in (link.split("-") for link in links.split())]
    assert raw_of(project(source(text), translation, pairs)) == expected


@settings(max_examples=200, deadline=None)
@given(PIECES)
def test_a_copy_is_the_same(pieces: list[Piece]) -> None:
    before, core, after = trimmed(pieces)
    assert raw_of([*before, *core, *after]) == raw_of(pieces)
    text = text_of(core)
    assert raw_of(project(core, text, diagonal(text))) == raw_of(core)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.text("UV .", max_size=16), st.data())
def test_tags_are_nested_as_before_and_each_is_there_once(
    pieces: list[Piece], translation: str, data: st.DataObject
) -> None:
    translation = translation.strip()
    num_src, num_tgt = len(word_spans(text_of(pieces))), len(word_spans(translation))
    numbers = st.integers(0, max(0, num_src - 1))
    links = [(data.draw(numbers), tgt) for tgt in range(num_tgt) if num_src]
    done = project(pieces, translation, links)
    assert family(done) == family(pieces)
    if not any(isinstance(piece, Fixed) for piece in pieces):
        assert text_of(done).split() == translation.split()


def family(pieces: list[Piece]) -> list[tuple[str, ...]]:
    """Return the tags, each with those that it is in."""
    found, opened = [], []
    for piece in pieces:
        if isinstance(piece, Open):
            opened.append(piece.tag)
            found.append(tuple(opened))
        elif isinstance(piece, Close):
            assert name_of(opened.pop()) == name_of(piece.tag)
        elif isinstance(piece, Empty | Fixed):
            found.append((*opened, piece.tag))
    assert not opened
    return sorted(found)


def test_long_text_does_not_take_quadratic_time() -> None:
    pieces = source(" ".join(f"<b>w{number}</b> <i>x</i>" for number in range(1000)))
    assert raw_of(project(pieces, text_of(pieces), diagonal(text_of(pieces)))) == raw_of(pieces)
    words = [f"y{number}" for number in range(2_000)]
    project(pieces, " ".join(words), [(1_999 - number, number) for number in range(2_000)])
    deep = source("<a>" * 1000 + "x" + "</a>" * 1000)
    project(deep, "y " * 1000, [(0, number) for number in range(1000)])
