"""Markdown around what is translated."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nmt.documents.markdown import markdown_document

from .copies import copied, shouted

SOURCE = r"""---
title: the cat
---
# the *cat* ##

> the **dog ran
> home** on a [mat](http://x.y "t"). The `cat` sat.\
> AT&amp;T http://a_b.c_d, WWW.a_b.org.

1. 1
2. the cat \* ![the cat](a.png) [on][m] <b>snake_case</b> <http://x.y>
   - [x] a *cat **sat*** on

a | b \| c
--|---
the `c\|a` | cat

Title
---

    code

```
the cat
```
<div>the cat</div>

[m]: http://x.y
"""
DONE = r"""---
title: the cat
---
# THE *CAT* ##

> THE **DOG RAN
> HOME** ON A [MAT](http://x.y "t"). THE `cat` SAT.\
> AT&amp;T http://a_b.c_d, WWW.a_b.org.

1. 1
2. THE CAT \* ![the cat](a.png) [ON][m] <b>SNAKE_CASE</b> <http://x.y>
   - [x] A *CAT **SAT*** ON

A | B \| C
--|---
THE `c\|a` | CAT

TITLE
---

    code

```
the cat
```
<div>the cat</div>

[m]: http://x.y
"""


def test_only_text_is_translated() -> None:
    document = markdown_document(SOURCE, "en")
    assert copied(document).decode() == SOURCE
    assert shouted(document).decode() == DONE


@pytest.mark.parametrize(
    ("translation", "written"),
    [
        ("1. Mai", r"1\. Mai"),
        ("# a", r"\# a"),
        ("- a", r"\- a"),
        ("> a", r"\> a"),
        ("a*b_c_ <i> [x] `y", r"a\*b_c\_ \<i> \[x\] \`y"),
        ("A&B &amp; &#1;", r"A&B \&amp; \&#1;"),
    ],
)
def test_a_translation_adds_no_markup(translation: str, written: str) -> None:
    assert markdown_document("the cat", "en").render([translation]) == written


def test_emphasis_of_nothing_is_left_out() -> None:
    document = markdown_document("the **cat** *[sat](x)*", "en")
    assert document.render(["X Y"], [[(0, 0), (2, 1)]]) == "X *[Y](x)*"
    assert document.render(["X Y"], [[(0, 0), (1, 1)]]) == "X **Y**[](x)"


PARTS = ["the cat", "*", "**", "_", "`", "[", "](x)", "![", "\n", "\n\n", "> ", "- ", "1. ", "#"]
PARTS += ["\\", "&amp;", "<b>", "</b>", "|", "\n|-|-|\n", "    ", "~~", "  \n", "\t", "<http://x>"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=14).map("".join))
def test_a_copy_is_the_same(text: str) -> None:
    assert copied(markdown_document(text, "en")).decode() == text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=10).map("".join))
def test_blocks_and_links_stay(text: str) -> None:
    def kinds(source: str) -> list[str]:
        tokens = MarkdownIt("commonmark").enable("table").parse(source)
        return [token.type for token in tokens]

    assert kinds(shouted(markdown_document(text, "en")).decode()) == kinds(text)


@pytest.mark.parametrize("piece", ["[", "*a ", "![](", "`", "> ", "<a ", "a\n", "|a", "- ", "\\"])
def test_no_text_takes_quadratic_time(piece: str) -> None:
    text = piece * (10_000 // len(piece))
    assert copied(markdown_document(text, "en")) == text.encode()
