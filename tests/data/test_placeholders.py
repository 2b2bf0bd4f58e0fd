"""Spans that become symbols in training pairs."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config.placeholders import PlaceholderKind
from nmt.data.corpus import Pair
from nmt.data.placeholders import (
    SYMBOL,
    Finder,
    with_symbols,
)

KINDS = get_args(PlaceholderKind)


@pytest.mark.parametrize(
    ("kind", "text", "spans"),
    [
        ("urls", "See https://a.org/x?y=1, or (www.b.org).", ["https://a.org/x?y=1", "www.b.org"]),
        ("emails", "Ask a.b@c-d.org. Or x+y@z.co!", ["a.b@c-d.org", "x+y@z.co"]),
        ("numbers", "1,000.5 of 3 in B2B, 2024-05-01.", ["1,000.5", "3", "2024", "05", "01"]),
        (
            "placeholders",
            "{name} {{ x }} {{x}} ${HOME} {} {0}",
            ["{name}", "{{x}}", "${HOME}", "{}", "{0}"],
        ),
        ("placeholders", "%s %1$s %(name)d %d. 50% off, 100%", ["%s", "%1$s", "%(name)d", "%d"]),
        ("placeholders", "<0/>a<1>b</1> <br/> 3 < 4 > 2", ["<0/>", "<1>", "</1>", "<br/>"]),
        ("emoji", "Hi 😀👍🏽 👩‍👩‍👧 🇩🇪 ☂️!", ["😀", "👍🏽", "👩‍👩‍👧", "🇩🇪", "☂️"]),
        ("urls", "访问https://a.org/x了解更多。请看www.b.org。", ["https://a.org/x", "www.b.org"]),
        ("urls", "Sur «https://a.org/é», “www.b.org”؟", ["https://a.org/é", "www.b.org"]),
        ("emails", "发邮件至a@b.org联系。почта@пример.рф", ["a@b.org", "почта@пример.рф"]),
        ("numbers", "有3人和1.5倍, 2.5km", ["3", "1.5"]),
        ("placeholders", "共%d个文件, %s을", ["%d", "%s"]),
        ("urls", "SEE HTTPS://A.ORG/X, Www.B.org.", ["HTTPS://A.ORG/X", "Www.B.org"]),
        ("emails", "ASK A.B@C-D.ORG.", ["A.B@C-D.ORG"]),
        ("urls", "Literally <ph3>, not <ph99>.", ["<ph3>"]),
    ],
)
def test_spans(kind: PlaceholderKind, text: str, spans: list[str]) -> None:
    assert Finder([kind]).find(text) == spans


@pytest.mark.parametrize("part", ["1", "1.", "a.", "a@", "a@b.", "%1", "{", "<a", "www."])
def test_a_hostile_line_takes_linear_time(part: str) -> None:
    text = part * 50_000
    assert all(span in text for span in Finder(KINDS).find(text))


def many(src: str, tgt: str, kinds: tuple[PlaceholderKind, ...] = KINDS) -> list[Pair]:
    """Return a pair with many different ends, so that some are replaced and some are not."""
    ends = ["abcdefgh"[:n] for n in range(1, 9)]
    return [with_symbols(Pair(f"{src} {x}", f"{tgt} {x}", 1), Finder(kinds)) for x in ends]


def test_common_spans_of_about_half_of_the_pairs_become_symbols() -> None:
    found = many("See www.a.org, {x} 17", "Siehe www.a.org, {x} 18")
    replaced = [pair for pair in found if "www.a.org" not in pair.src]
    assert 0 < len(replaced) < len(found)
    for pair in replaced:
        ours, theirs = SYMBOL.findall(pair.src), SYMBOL.findall(pair.tgt)
        assert ours == theirs
        assert len(set(ours)) == 2
        assert pair.src.split()[-2] == "17"  # not on both sides
    assert len({pair.src.split()[1] for pair in replaced}) > 1  # their numbers are random
    assert many("a 1 1", "b 1") == [
        Pair(f"a 1 1 {e}", f"b 1 {e}", 1) for e in ["abcdefgh"[:n] for n in range(1, 9)]
    ]


def test_text_that_looks_like_a_symbol_is_none() -> None:
    for pair in many("a <ph1> {x}", "b {x}"):
        assert "a < ph1> " in pair.src
    for pair in many("a <ph1>", "b <ph1>"):
        assert pair.src[2:8] == pair.tgt[2:8]


spans = st.sampled_from(["www.a.org", "{x}", "%s", "17", "😀", "<ph2>", "a@b.org", "word", "<b>"])


@given(st.lists(spans, max_size=25), st.lists(spans, max_size=25))
def test_both_sides_have_the_same_symbols(src: list[str], tgt: list[str]) -> None:
    pair = with_symbols(Pair(" ".join(src), " ".join(tgt), 1), Finder(KINDS))
    ours, theirs = (sorted(SYMBOL.findall(text)) for text in pair[:2])
    assert ours == theirs
    assert len(pair.src.split()) == len(src) + src.count("<ph2>") * (pair.src.count("< ph2>") > 0)
