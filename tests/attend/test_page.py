"""The page in a browser: what it shows, and what pointer and keys do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nmt.attend.page import render_page
from nmt.attend.pair import PairAttention

# Two layers of two heads. Source: "re" "ad" "it" and the end mark; the target: "lies" and "es".
HEAD_1 = [[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
HEAD_2 = [[0.25, 0.5, 0.0, 0.25], [0.0, 0.0, 1.0, 0.0], [0.0, 0.5, 0.0, 0.5]]
SELF = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]]
EVEN = [[0.25] * 4] * 4
PAIR = PairAttention(
    src="read </script><b>it",
    tgt="lies es",
    src_tokens=["▁re", "ad", "▁</script><b>it", "</s>"],
    src_words=[0, 0, 1, -1],
    tgt_in=["<s>", "▁lies", "▁es"],
    tgt_in_words=[-1, 0, 1],
    tgt_out=["▁lies", "▁es", "</s>"],
    tgt_out_words=[0, 1, -1],
    encoder=[[EVEN, EVEN]],
    decoder=[[SELF, SELF]] * 2,
    cross=[[HEAD_2, HEAD_2], [HEAD_1, HEAD_2]],
)


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    path = tmp_path / "attention.html"
    path.write_text(render_page(PAIR), "utf-8")
    browser.open(path)
    yield browser
    assert browser.errors == []
    assert browser.requests == [path.as_uri()]


def choose(page: Any, control: str, value: str) -> None:
    page.run(f"""{{
        const control = document.getElementById("{control}");
        control.value = "{value}";
        control.dispatchEvent(new Event("change"));
    }}""")


def shown(page: Any) -> list[list[float]]:
    """The weights behind the cells of the heat map: opacity times the legend's largest."""
    opacities = page.run(
        "[...document.querySelectorAll('#map .cell')].map((c) => +c.getAttribute('fill-opacity'))"
    )
    width = page.run("document.querySelectorAll('#map text[data-column]').length")
    largest = float(page.run("document.getElementById('largest').textContent"))
    weights = [opacity * largest for opacity in opacities]
    return [weights[start : start + width] for start in range(0, len(weights), width)]


def labels(page: Any, axis: str) -> list[str]:
    found: list[str] = page.run(
        f"[...document.querySelectorAll('#map text[data-{axis}]')].map((t) => t.textContent)"
    )
    return found


def reading(page: Any) -> str:
    return str(page.run("document.getElementById('reading').textContent"))


def lines(page: Any) -> list[float]:
    found: list[float] = page.run(
        "[...document.querySelectorAll('#lines line')]"
        ".map((line) => +line.getAttribute('stroke-opacity'))"
    )
    return found


def corner(page: Any, element: str) -> tuple[float, float]:
    box = page.run(
        f"(({{left, top}}) => [left, top])(document.getElementById('{element}')"
        ".getBoundingClientRect())"
    )
    return box[0], box[1]


def test_it_opens_with_the_mean_of_the_last_layer(page: Any) -> None:
    assert labels(page, "row") == ["▁lies", "▁es", "</s>"]
    assert labels(page, "column") == ["▁re", "ad", "▁</script><b>it", "</s>"]
    # Means of the two heads.
    expected = [[0.375, 0.375, 0.125, 0.125], [0, 0, 1, 0], [0, 0.25, 0, 0.75]]
    assert shown(page) == [pytest.approx(row, abs=1e-3) for row in expected]
    assert lines(page) == [weight for row in expected for weight in row if weight]
    assert page.run("document.getElementById('src').textContent") == PAIR.src
    assert page.run("document.querySelectorAll('b').length") == 0


def test_layers_heads_and_kinds_are_chosen(page: Any) -> None:
    choose(page, "head", "0")
    assert shown(page) == [pytest.approx(row) for row in HEAD_1]
    choose(page, "layer", "0")
    assert shown(page) == [pytest.approx(row) for row in HEAD_2]
    choose(page, "kind", "decoder")
    assert shown(page) == [pytest.approx(row) for row in SELF]
    assert labels(page, "column") == ["<s>", "▁lies", "▁es"]
    # The encoder has one layer only.
    choose(page, "layer", "1")
    choose(page, "kind", "encoder")
    assert shown(page) == [pytest.approx(row) for row in EVEN]
    assert page.run("document.getElementById('layer').value") == "0"


def test_tokens_are_merged_to_words(page: Any) -> None:
    page.run("document.getElementById('merge').click()")
    assert labels(page, "column") == ["read", "</script><b>it", "</s>"]
    # Keys are added up: 0.375 + 0.375. Rows keep the sum 1.
    expected = [[0.75, 0.125, 0.125], [0, 1, 0], [0.25, 0, 0.75]]
    assert shown(page) == [pytest.approx(row, abs=1e-3) for row in expected]
    # Queries are averaged: of two even rows an even one, whose keys are added up.
    choose(page, "kind", "encoder")
    assert shown(page) == [pytest.approx([0.5, 0.25, 0.25], abs=1e-3)] * 3


def test_all_layers_and_heads_can_be_clicked(page: Any) -> None:
    names = page.run("[...document.querySelectorAll('#overview button')].map((b) => b.ariaLabel)")
    assert names == [
        f"layer {layer}, {h}" for layer in (1, 2) for h in ("head 1", "head 2", "mean")
    ]
    page.run("document.querySelectorAll('#overview button')[1].click()")
    assert shown(page) == [pytest.approx(row) for row in HEAD_2]
    assert page.run("document.getElementById('layer').value") == "0"
    assert page.run("document.getElementById('head').value") == "1"
    pressed = page.run(
        "[...document.querySelectorAll('#overview button')].map((b) => b.ariaPressed)"
    )
    assert pressed == ["false", "true", "false", "false", "false", "false"]


def test_lines_follow_the_pointer(page: Any) -> None:
    left, top = corner(page, "lines")
    page.point(left + 60, top + 5)  # "lies", the first word at the left
    assert lines(page) == [0.375, 0.375, 0.125, 0.125]
    assert reading(page) == "▁lies attends to ▁re 0.38, ad 0.38, ▁</script><b>it 0.13"
    width = page.run("+document.getElementById('lines').getAttribute('width')")
    page.point(left + width - 60, top + 22 + 5)  # "ad", the second at the right
    assert lines(page) == [0.375, 0.25]
    assert reading(page) == "ad receives 0.63 in all"
    page.point(left, top - 30)
    assert len(lines(page)) == 7
    assert reading(page) == ""


def test_the_heat_map_follows_the_pointer(page: Any) -> None:
    box = page.run(
        "(({left, top}) => [left, top])"
        "(document.querySelectorAll('#map .cell')[6].getBoundingClientRect())"
    )
    page.point(box[0] + 5, box[1] + 5)
    assert reading(page) == "▁es takes 1.000 of its attention from ▁</script><b>it"
    near = page.run("[...document.querySelectorAll('#map .near')].map((t) => t.textContent)")
    assert near == ["▁es", "▁</script><b>it"]


def test_everything_can_be_reached_and_moved_by_keys(page: Any) -> None:
    reached = []
    for _ in range(8):
        page.press("Tab")
        reached.append(page.run("document.activeElement.id || document.activeElement.ariaLabel"))
    assert reached[:6] == ["kind", "layer", "head", "merge", "map", "lines"]
    assert reached[6:] == ["layer 1, head 1", "layer 1, head 2"]
    page.press(" ")
    assert page.run("document.getElementById('head').value") == "1"
    page.run("document.getElementById('map').focus()")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.press(key)
    assert reading(page) == "▁es takes 0.000 of its attention from ad"
    page.press("Escape")
    assert reading(page) == ""
    page.run("document.getElementById('lines').focus()")
    page.press("ArrowDown")
    assert reading(page).startswith("▁lies attends to ad 0.50")
    page.press("ArrowRight")
    assert reading(page) == "▁re receives 0.25 in all"
    page.press("ArrowDown")
    assert reading(page) == "ad receives 1.00 in all"


def test_every_control_has_a_label(page: Any) -> None:
    unnamed = page.run(
        "[...document.querySelectorAll('select, input')].filter((c) => !c.labels.length).length"
    )
    assert unnamed == 0


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (420, False)])
def test_sixty_tokens_fit(browser: Any, tmp_path: Path, width: int, dark: bool) -> None:
    size = 60
    tokens = [f"▁word{place}" for place in range(size)]
    even = [[round(1 / size, 5)] * size] * size
    words = list(range(size))
    sides = [tokens, words] * 3
    path = tmp_path / "attention.html"
    layers = [[even] * 2] * 2
    path.write_text(render_page(PairAttention("x", "y", *sides, layers, layers, layers)), "utf-8")
    browser.open(path, width, dark=dark)
    # The page itself does not scroll sideways; at most a picture in its frame does.
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert len(shown(browser)) == size
    # No label is smaller than what can be read.
    assert browser.run("+document.getElementById('map').getAttribute('font-size')") >= 10
    # Text and ground are far apart in both schemes.
    colors = browser.run(
        "['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name])"
    )
    light = [sum(map(int, color[4:-1].split(","))) / 3 for color in colors]
    assert (light[0] > 200 and light[1] < 40) if dark else (light[0] < 40 and light[1] > 240)
    assert browser.errors == []
