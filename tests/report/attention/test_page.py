"""The attention page in a browser: its contents, and pointer and keyboard control."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nmt.report.attention.page import render_page
from nmt.translate.attend import PairAttention

# Two layers of two heads. Source: "re" "ad" "it" and EOS; target: "lies" "es".
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


def test_a_recurrent_decoder_has_no_self_attention(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "attention.html"
    path.write_text(render_page(replace(PAIR, decoder=[])), "utf-8")
    browser.open(path)
    kinds = browser.run("[...document.getElementById('kind').options].map((one) => one.value)")
    assert kinds == ["cross", "encoder"]
    assert browser.errors == []


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


def heads(page: Any, *numbers: int) -> None:
    """Click the check boxes of heads, numbered from 1, or that of their mean if there are none."""
    for number in numbers or (0,):
        page.run(f"document.querySelectorAll('#heads input')[{number}].click()")


def shown(page: Any, part: int = 0) -> list[list[float]]:
    """Return the weights of a head in the heat map: cell opacities times the legend's maximum."""
    places = page.run("""[...document.querySelectorAll('#map .cells')].map((cells) =>
        [...cells.children].map((cell) =>
            ["x", "y", "fill-opacity"].map((name) => +cell.getAttribute(name))))""")
    names = ("x", "y", "width", "height")
    frame = page.run(
        f"{list(names)}.map((n) => +document.querySelector('#map .frame').getAttribute(n))"
    )
    rows, columns = len(labels(page, "row")), len(labels(page, "column"))
    cell = frame[2] / columns
    largest = float(page.run("document.getElementById('largest').textContent"))
    weights = [[0.0] * columns for _ in range(rows)]
    for x, y, opacity in places[part]:
        row, column = round((y - frame[1]) / cell), int((x - frame[0] + 0.01) / cell)
        weights[row][column] = opacity * largest
    return weights


def labels(page: Any, axis: str) -> list[str]:
    texts: list[str] = page.run(
        f"[...document.querySelectorAll('#map text[data-{axis}]')].map((t) => t.textContent)"
    )
    return texts


def reading(page: Any) -> str:
    return str(page.run("document.getElementById('reading').textContent"))


def lines(page: Any) -> list[float]:
    opacities: list[float] = page.run(
        "[...document.querySelectorAll('#lines line')]"
        ".map((line) => +line.getAttribute('stroke-opacity').slice(0, 8))"
    )
    return opacities


def corner(page: Any, element: str) -> tuple[float, float]:
    box = page.run(
        f"(({{left, top}}) => [left, top])(document.getElementById('{element}')"
        ".getBoundingClientRect())"
    )
    return box[0], box[1]


def chosen(page: Any) -> list[str]:
    names: list[str] = page.run(
        "[...document.querySelectorAll('#heads label')].filter((l) => l.control.checked)"
        ".map((l) => l.textContent)"
    )
    return names


def test_page_opens_with_the_mean_of_the_last_layer(page: Any) -> None:
    assert labels(page, "row") == ["▁lies", "▁es", "</s>"]
    assert labels(page, "column") == ["▁re", "ad", "▁</script><b>it", "</s>"]
    # Means of the two heads.
    expected = [[0.375, 0.375, 0.125, 0.125], [0, 0, 1, 0], [0, 0.25, 0, 0.75]]
    assert shown(page) == [pytest.approx(row, abs=1e-3) for row in expected]
    assert lines(page) == [weight for row in expected for weight in row if weight]
    assert page.run("document.getElementById('src').textContent") == PAIR.src
    assert page.run("document.querySelectorAll('b').length") == 0


def test_choosing_layers_heads_and_kinds(page: Any) -> None:
    heads(page, 1)
    assert shown(page) == [pytest.approx(row) for row in HEAD_1]
    choose(page, "layer", "0")
    assert shown(page) == [pytest.approx(row) for row in HEAD_2]
    choose(page, "kind", "decoder")
    assert shown(page) == [pytest.approx(row) for row in SELF]
    assert labels(page, "column") == ["<s>", "▁lies", "▁es"]
    # The encoder has only one layer.
    choose(page, "layer", "1")
    choose(page, "kind", "encoder")
    assert shown(page) == [pytest.approx(row) for row in EVEN]
    assert page.run("document.getElementById('layer').value") == "0"


def test_tokens_are_merged_into_words(page: Any) -> None:
    page.run("document.getElementById('merge').click()")
    assert labels(page, "column") == ["read", "</script><b>it", "</s>"]
    # Keys are added up: 0.375 + 0.375. Rows still sum to 1.
    expected = [[0.75, 0.125, 0.125], [0, 1, 0], [0.25, 0, 0.75]]
    assert shown(page) == [pytest.approx(row, abs=1e-3) for row in expected]
    # Queries are averaged: two uniform rows give a uniform row, in which keys are added up.
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
    assert chosen(page) == ["2"]
    pressed = page.run(
        "[...document.querySelectorAll('#overview button')].map((b) => b.ariaPressed)"
    )
    assert pressed == ["false", "true", "false", "false", "false", "false"]


def test_lines_follow_the_pointer(page: Any) -> None:
    left, top = corner(page, "lines")
    width = page.run("+document.getElementById('lines').getAttribute('width')")
    # The source is on the left, the target on the right, with the same height: 4 words of 22.
    assert page.run("[...document.querySelectorAll('#lines .side')].map((t) => t.textContent)") == [
        "source",
        "target",
    ]
    page.point(left + width - 50, top + 26 + 15)  # "lies", the first word on the right
    assert lines(page) == [0.375, 0.375, 0.125, 0.125]
    assert reading(page) == "▁lies attends to ▁re 0.38, ad 0.38, ▁</script><b>it 0.13"
    page.point(left + 50, top + 26 + 22 + 5)  # "ad", the second on the left
    assert lines(page) == [0.375, 0.25]
    assert reading(page) == "ad receives 0.63 in all"
    assert corner(page, "lines") == (left, top)  # the description moves nothing
    page.point(left, top - 30)
    assert len(lines(page)) == 7
    assert reading(page) == ""


def test_both_sides_are_equally_tall(page: Any) -> None:
    ends = page.run(
        "[...document.querySelectorAll('#lines line')]"
        ".map((l) => ['x1', 'y1', 'x2', 'y2'].map((name) => +l.getAttribute(name)))"
    )
    heights = sorted({round(y2 - 26, 2) for _, _, _, y2 in ends})
    assert heights == [round((place + 0.5) * 88 / 3, 2) for place in range(3)]
    assert all(x1 < x2 for x1, _, x2, _ in ends)


def test_heat_map_follows_the_pointer(page: Any) -> None:
    box = page.run(
        "(({left, top, height}) => [left, top, height])"
        "(document.querySelector('#map .frame').getBoundingClientRect())"
    )
    cell = box[2] / 3
    page.point(box[0] + 2.5 * cell, box[1] + 1.5 * cell)
    assert reading(page) == "▁es takes 1.000 of its attention from ▁</script><b>it"
    near = page.run("[...document.querySelectorAll('#map .near')].map((t) => t.textContent)")
    assert near == ["▁es", "▁</script><b>it"]


def test_each_head_has_its_own_colour(page: Any) -> None:
    assert chosen(page) == ["mean"]
    heads(page, 2, 1)
    assert chosen(page) == ["1", "2"]
    assert shown(page, 0) == [pytest.approx(row, abs=1e-3) for row in HEAD_1]
    assert shown(page, 1) == [pytest.approx(row, abs=1e-3) for row in HEAD_2]
    for group, paint in (("#map .cells", "fill"), ("#lines .lines", "stroke")):
        colours = page.run(
            f"[...document.querySelectorAll('{group}')].map((g) => getComputedStyle(g).{paint})"
        )
        assert len(set(colours)) == len(colours) == 2
    assert len(lines(page)) == len(
        [w for head in (HEAD_1, HEAD_2) for row in head for w in row if w]
    )
    assert "head 1" in page.run("document.getElementById('legend').textContent")
    page.run("document.getElementById('map-frame').focus()")
    page.press("ArrowDown")
    assert reading(page).startswith("▁lies takes head 1: 0.500, head 2: 0.250 of its attention")
    # The mean is chosen alone, and again once no head is left.
    heads(page, 1)
    assert chosen(page) == ["2"]
    heads(page, 2)
    assert chosen(page) == ["mean"]
    heads(page, 1, 0)
    assert chosen(page) == ["mean"]


def test_word_boundary_marks_are_light(page: Any) -> None:
    marks = page.run(
        "[...document.querySelectorAll('#map .start')]"
        ".map((t) => [t.textContent, +getComputedStyle(t).fillOpacity])"
    )
    assert marks == [["▁", 0.3]] * 4


@pytest.mark.parametrize("figure", ["map", "lines"])
def test_figures_are_described(page: Any, figure: str) -> None:
    heads(page, 1)
    attributes = page.run(
        f"['role', 'aria-label'].map((n) => document.getElementById('{figure}').getAttribute(n))"
    )
    name = {"map": "Heat map", "lines": "Lines"}[figure]
    assert attributes == ["img", f"{name}: Attention, target to source, layer 2, head 1"]
    text = page.run(
        f"document.getElementById(document.getElementById('{figure}')"
        ".getAttribute('aria-describedby')).textContent"
    )
    assert text.startswith("3 positions attend to 4 (head 1). ▁lies: ▁re 0.50, ad 0.25, ")


@pytest.mark.parametrize("figure", ["map", "lines"])
def test_figures_are_saved(browser: Any, tmp_path: Path, figure: str) -> None:
    path = tmp_path / "attention.html"
    path.write_text(render_page(PAIR), "utf-8")
    browser.open(path, dark=True)
    heads(browser, 1, 2)
    (tmp_path / "saved").mkdir()
    saved = browser.download(f"save-{figure}", tmp_path / "saved")
    assert saved.name == f"attention-cross-layer-2-{figure}.svg"
    text = saved.read_text("utf-8")
    root = ElementTree.fromstring(text)
    title, description, back, caption, *_ = root
    assert (title.text or "").endswith("target to source, layer 2, head 1, head 2")
    assert (description.text or "").startswith("3 positions attend to 4")
    assert "".join(caption.itertext()) == "Attention, target to source, layer 2, head 1, head 2"
    # The file is self-contained and uses the colours for paper.
    assert not any(mark in text for mark in ("var(", "class=", "<style", "href"))
    assert back.get("fill") == "rgb(255, 255, 255)"
    assert {"rgb(0, 114, 178)", "rgb(200, 78, 0)"} <= set(re.findall(r'"(rgb\([^"]+\))"', text))
    words = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(PAIR.src_tokens + PAIR.tgt_out) <= set(words)
    # The page is unchanged.
    assert browser.run("document.querySelectorAll('.paper').length") == 0
    assert (
        len(browser.run(f"[...document.querySelectorAll('#{figure} desc')].map((d) => d.id)")) == 1
    )
    assert browser.errors == []


def test_keyboard_control(page: Any) -> None:
    reached = []
    for _ in range(17):
        page.press("Tab")
        reached.append(page.run("((e) => e.id || e.ariaLabel || e.value)(document.activeElement)"))
    assert reached[:8] == ["kind", "layer", "mean", "0", "1", "merge", "map-frame", "save-map"]
    assert reached[8:10] == ["layer 1, head 1", "layer 1, head 2"]
    assert reached[14:16] == ["lines-frame", "save-lines"]
    page.run("document.querySelectorAll('#overview button')[1].focus()")
    page.press(" ")
    assert chosen(page) == ["2"]
    page.run("document.getElementById('map-frame').focus()")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.press(key)
    assert reading(page) == "▁es takes 0.000 of its attention from ad"
    page.press("Escape")
    assert reading(page) == ""
    page.run("document.getElementById('lines-frame').focus()")
    page.press("ArrowDown")
    assert reading(page) == "▁re receives 0.25 in all"
    page.press("ArrowDown")
    assert reading(page) == "ad receives 1.00 in all"
    page.press("ArrowRight")
    page.press("ArrowUp")
    assert reading(page).startswith("▁lies attends to ad 0.50")


def test_every_control_has_a_label(page: Any) -> None:
    unnamed = page.run(
        "[...document.querySelectorAll('select, input')].filter((c) => !c.labels.length).length"
    )
    assert unnamed == 0


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (420, False)])
def test_sixty_tokens_fit_the_window(browser: Any, tmp_path: Path, width: int, dark: bool) -> None:
    size = 60
    tokens = [f"▁word{place}" for place in range(size)]
    even = [[round(1 / size, 5)] * size] * size
    words = list(range(size))
    sides = [tokens, words] * 3
    path = tmp_path / "attention.html"
    layers = [[even] * 2] * 2
    path.write_text(render_page(PairAttention("x", "y", *sides, layers, layers, layers)), "utf-8")
    browser.open(path, width, dark=dark)
    # A figure may scroll sideways within its frame, but not the page.
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert len(shown(browser)) == size
    # Labels are large enough to read.
    assert browser.run("+document.getElementById('map').getAttribute('font-size')") >= 10
    # Text contrasts with the background in both colour schemes.
    colors = browser.run(
        "['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name])"
    )
    light = [sum(map(int, color[4:-1].split(","))) / 3 for color in colors]
    assert (light[0] > 200 and light[1] < 40) if dark else (light[0] < 40 and light[1] > 240)
    assert browser.errors == []
