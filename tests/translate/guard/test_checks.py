"""Loops, copied sources and omissions."""

from __future__ import annotations

import pytest

from nmt.config.languages import LanguagePair
from nmt.translate.guard.checks import is_copied, omits, repeats


@pytest.mark.parametrize(
    ("src", "tgt"),
    [
        ("I saw him.", "Ich sah sah sah sah ihn."),
        ("I saw him.", "Ich sah ihn, ich sah ihn."),
        ("The law of the population.", "Das Gesetz der Stadt der Stadt der Stadt der Stadt."),
        ("I saw him.", "मैंने उसे देखा देखा देखा देखा"),
        ("See www.a.org.", "我们我们我们我们我们我们我们迟到了"),
        ("Why?", "Waaaaaaaaaaaaaaaaarum?"),
        ("A port.", "Sportortortortortortortort"),
        ("We were late.", "我们我们我们我们我们我们我们迟到了"),
        ("He came home.", "Er kam nach Hause. Er kam nach Hause."),
    ],
)
def test_loops(src: str, tgt: str) -> None:
    assert repeats(src, tgt)


@pytest.mark.parametrize(
    ("src", "tgt"),
    [
        ("I saw him.", "Ich sah ihn."),
        ("No, no, no, no!", "Nein, nein, nein, nein!"),
        ("Very, very good.", "Sehr, sehr gut."),
        ("That that is, is.", "Was ist, ist."),
        ("Haaaaaaaaaaaaaaaaah!", "Haaaaaaaaaaaaaaaaah!"),
        ("He laughed: hahahaha.", "哈哈哈哈哈哈"),
        ("10億", "1,000,000,000"),
        ("one billion", "1000000000"),
        ("The aunt's mother", "चाचा चाची की नानी ने"),
        ("Wait ... ......", "Warte ... ........."),
        ("Mr President, Mr President of the Court", "M. le Président, M. le Président de la Cour"),
        ("", ""),
    ],
)
def test_no_loops(src: str, tgt: str) -> None:
    assert not repeats(src, tgt)


@pytest.mark.parametrize(
    ("src", "tgt"),
    [
        ("He lives in Boston.", "He lives in Boston."),
        ("WHERE ARE YOU NOW?", "WHERE ARE YOU NOW?"),
        (
            "The dog that barked at night is gone now, Tom.",
            "The dog that barked at night is gone, Tom.",
        ),
        ("他今天没来", "他今天没来"),
    ],
)
def test_copies(src: str, tgt: str) -> None:
    assert is_copied(src, tgt, LanguagePair("en", "de"))


@pytest.mark.parametrize(
    ("src", "tgt"),
    [
        ("Tom Jackson", "Tom Jackson"),
        ("New York Times, 3 May 2001", "New York Times, 3 May 2001"),
        ("42", "42"),
        ("in Berlin", "in Berlin"),
        ("Tom and Mary are in Berlin now.", "Tom und Maria sind nun in Berlin."),
        ("Hello!", "Hallo!"),
        ("", ""),
    ],
)
def test_no_copies(src: str, tgt: str) -> None:
    assert not is_copied(src, tgt, LanguagePair("en", "de"))


def test_names_in_a_shared_script_without_capitals_may_be_copied() -> None:
    name, sentence = "東京大学", "国会図書館は東京都千代田区にあります"
    assert not is_copied(name, name, LanguagePair("ja", "zh"))
    assert is_copied(name, name, LanguagePair("ja", "en"))
    assert is_copied(sentence, sentence, LanguagePair("ja", "zh"))


def test_omissions() -> None:
    src, tgt = "We met him yesterday, and then all of us went home.", "Wir trafen ihn."
    assert omits(src, tgt, [(0, 0), (1, 1), (2, 2), (12, 3)])
    assert not omits(src, tgt, [(number, number) for number in range(0, 13, 3)])
    assert not omits("We met.", "Wir", [])
    assert not omits(src, "我们昨天见了他 然后都回家了。", [(0, 0)])
