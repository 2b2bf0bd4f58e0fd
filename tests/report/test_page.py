"""The page is one file, safe with any text, and works in a browser."""

from __future__ import annotations

import html.parser
import io
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import nmt.report
from browser import Browser
from nmt.console import Console
from nmt.report.gather import Report, RunReport, Text, gather
from nmt.report.page import render

HOSTILE = "</script><script>document.title='owned'</script><!--<b>ü\u2028漢&amp;\"'"


@pytest.fixture(scope="module")
def report(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Three runs, the last without translations."""
    folder = tmp_path_factory.mktemp("runs")
    runs = [make_run(folder / name, shift) for shift, name in enumerate(("a/x", "b/x", "c/ü<i>"))]
    config = (runs[2] / "config.yaml").read_text("utf-8")
    (runs[2] / "config.yaml").write_text(config.replace("test.src", "gone"), "utf-8")
    return gather(runs, Text(), Console(file=io.StringIO()))


def hostile(report: Report) -> Report:
    """Return the report with markup in every text that comes from outside."""
    first = report.runs[0]
    assert first.quality
    texts = {"src": HOSTILE, "reference": HOSTILE, "translation": HOSTILE}
    samples = [
        replace(sample, **texts, pieces=[HOSTILE] * len(sample.pieces))
        for sample in first.quality.samples
    ]
    quality = replace(first.quality, samples=samples, text=HOSTILE)
    changed = replace(
        first,
        name=HOSTILE,
        src_lang=HOSTILE,
        notes=[HOSTILE],
        config={HOSTILE: HOSTILE},
        quality=quality,
    )
    return replace(report, runs=[changed, *report.runs[1:]])


class _Elements(html.parser.HTMLParser):
    """Collects the elements of a page and the contents of its script elements."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements[-1:] and self.elements[-1][0] == "script":
            self.scripts[-1] += data


def parse(page: str) -> _Elements:
    elements = _Elements()
    elements.feed(page)
    return elements


def test_page_is_self_contained(report: Report) -> None:
    elements = parse(render(report))
    for tag, attributes in elements.elements:
        assert tag not in ("img", "iframe", "object", "embed", "base")
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:,") == "data:,"
    assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|innerHTML", render(report))
    policies = [a.get("content") or "" for t, a in elements.elements if t == "meta"]
    assert any("default-src 'none'" in policy for policy in policies)


def test_text_cannot_escape_from_the_data(report: Report) -> None:
    harmless, changed = parse(render(report)), parse(render(hostile(report)))
    assert changed.elements == harmless.elements
    data = json.loads(changed.scripts[0])
    assert data["runs"][0]["notes"] == [HOSTILE]
    assert changed.scripts[1] == harmless.scripts[1]


def test_templates_are_part_of_the_wheel() -> None:
    folder = Path(nmt.report.__file__).parent
    root = folder.parents[1]
    names = ["page.html", "style.css", "charts.js", "pieces.js", "seeds.js", "page.js"]
    for name in names:
        assert resources.files("nmt.report").joinpath(name).is_file()
    # The wheel contains all files of the package except those that git ignores.
    build = (root / "pyproject.toml").read_text("utf-8")
    assert '[tool.hatch.build.targets.wheel]\npackages = ["nmt"]\n' in build
    assert "exclude" not in build
    if (root / ".git").exists():
        ignored = subprocess.run(
            ["git", "check-ignore", *(str(folder / name) for name in names)],
            cwd=root,
            capture_output=True,
            text=True,
        )
        assert ignored.stdout == ""


# ---------------------------------------------------------------- in a browser


@pytest.fixture
def page(report: Report, browser: Browser, tmp_path: Path) -> Browser:
    """The page about the three runs."""
    return show(report, browser, tmp_path)


def show(report: Report, browser: Browser, folder: Path, **how: Any) -> Browser:
    (folder / "report.html").write_text(render(report), "utf-8")
    browser.open(folder / "report.html", **how)
    assert browser.errors == []
    assert browser.requests == [(folder / "report.html").as_uri()]
    return browser


def texts(page: Browser, selector: str) -> list[str]:
    script = f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent.trim())"
    return list(page.run(script))


def lines(page: Browser, chart: int, kind: str) -> list[list[list[float]]]:
    """Return the points of a chart's lines, in pixels from its upper left corner."""
    paths = page.run(
        f"[...document.querySelectorAll('.chart')[{chart}].querySelectorAll('.plot .line.{kind}')]"
        ".map((line) => line.getAttribute('d'))"
    )
    return [
        [[float(number) for number in point.split()] for point in re.split("[ML]", path)[1:]]
        for path in paths
    ]


def test_one_line_per_run(page: Browser) -> None:
    titles = [title.split()[0] for title in texts(page, ".chart h3")]
    assert titles == ["Loss", "Perplexity", "BLEU", "Learning", "Gradient", "Speed"]
    for chart in (0, 1):
        assert len(lines(page, chart, "train")) == len(lines(page, chart, "valid")) == 3
    assert len(lines(page, 2, "valid")) == 3
    for chart in (3, 4, 5):
        assert len(lines(page, chart, "train")) == 3
    for line in lines(page, 0, "train"):
        assert len(line) == 6
        heights = [y for _, y in line]
        assert heights == sorted(heights)  # the loss falls, and y grows downwards
    # The losses of the runs differ by a constant.
    first, second, third = lines(page, 0, "train")
    for a, b, c in zip(first, second, third, strict=True):
        assert a[1] - b[1] == pytest.approx(b[1] - c[1], abs=0.25)


def test_switch_between_step_and_time(page: Browser) -> None:
    assert set(texts(page, ".x-title")) == {"step"}
    by_step = lines(page, 2, "valid")
    page.run("document.querySelector('input[value=step]').focus(), 1")
    page.press("ArrowRight")
    assert page.run("document.querySelector('input[value=seconds]').checked")
    assert set(texts(page, ".x-title")) == {"training time (min)"}
    # All steps took 30 s, so only the numbers on the axis differ.
    assert lines(page, 2, "valid") == by_step
    numbers = texts(page, ".chart:nth-child(1) .plot text")
    assert "30" in numbers
    assert "60" not in numbers
    assert page.errors == []


def test_runs_can_be_hidden(page: Browser) -> None:
    page.run("document.querySelectorAll('input[name=run]')[1].focus(), 1")
    page.press(" ")
    assert [len(lines(page, chart, "train")) for chart in (0, 3)] == [2, 2]
    assert len(texts(page, ".chart:nth-child(4) .value")) == 2
    page.press(" ")
    assert len(lines(page, 0, "train")) == 3
    for number in range(3):
        page.run(f"document.querySelectorAll('input[name=run]')[{number}].click(), 1")
    assert texts(page, ".plot") == ["no data"] * 6
    assert page.errors == []


def test_pointer_shows_figures_in_all_charts(page: Browser) -> None:
    values = ".chart:nth-child(4) .value"
    assert texts(page, values) == [f"{run} 0.006 at step 60" for run in (1, 2, 3)]
    place = (
        "(({left, top}) => [left, top])(document.querySelector('.plot').getBoundingClientRect())"
    )
    left, top = page.run(place)
    x, _ = lines(page, 0, "train")[0][2]  # of step 30
    page.point(left + 52 + x, top + 80)
    assert texts(page, values) == [f"{run} 0.003 at step 30" for run in (1, 2, 3)]
    assert texts(page, "#position") == ["pointer at step 30"]
    assert page.run("document.querySelectorAll('.crosshair').length") == 6
    # Training was logged at steps 30 and 40, but validated at 30 and 60.
    near, far = (lines(page, 0, "train")[0][place][0] for place in (3, 4))
    page.point(left + 52 + (near + far) / 2 + 1, top + 80)
    assert texts(page, "#position") == ["pointer at step 45"]
    assert texts(page, values)[0] == "1 0.005 at step 50"
    assert texts(page, ".chart:nth-child(3) .value")[0] == "1 30 at step 60"
    page.run("document.querySelector('input[value=seconds]').click(), 1")
    page.point(left + 52 + (near + far) / 2 + 2, top + 80)
    assert texts(page, ".chart:nth-child(3) .value")[0] == "1 30 at step 60"
    page.run("document.querySelector('input[value=step]').click(), 1")
    page.point(1, 1)
    assert page.run("document.querySelectorAll('.crosshair').length") == 0
    assert texts(page, values)[0] == "1 0.006 at step 60"


def test_keyboard_moves_the_pointer(page: Browser) -> None:
    page.run("document.querySelectorAll('.plot')[3].focus(), 1")
    for key, step in [("Home", 10), ("ArrowRight", 20), ("ArrowRight", 30), ("ArrowLeft", 20)]:
        page.press(key)
        assert texts(page, "#position") == [f"pointer at step {step}"]
    text = page.run("document.querySelectorAll('.plot')[3].getAttribute('aria-valuetext')")
    assert text == ("step 20: training 1 0.002 at step 20, 2 0.002 at step 20, 3 0.002 at step 20")
    page.press("Escape")
    assert texts(page, "#position") == ["latest figures"]


def test_scores_lengths_samples_and_differences(page: Browser, report: Report) -> None:
    quality = report.runs[0].quality
    assert quality
    scores = texts(page, "#scores tbody tr:first-child td")
    bleu = quality.scores[0]
    assert scores[1] == f"{bleu.score:.1f} ± {bleu.margin:.1f}"
    assert len(texts(page, "#scores tbody tr")) == 2  # the third run has none
    assert any("gone" in note for note in texts(page, "#runs .warning"))
    assert len(texts(page, "#lengths tbody tr")) == len(quality.by_length)
    assert page.run("document.querySelectorAll('#lengths .interval').length") == (
        2 * len(quality.by_length)
    )
    assert len(texts(page, "#samples dl")) == 40
    assert texts(page, "#samples dd:nth-of-type(2)")[0] == quality.samples[0].src
    assert texts(page, "#configuration > .scroll tbody td:first-child") == ["data.test"]


def test_text_stays_text(report: Report, browser: Browser, tmp_path: Path) -> None:
    page = show(hostile(report), browser, tmp_path)
    assert page.run("document.title").startswith("Training report: </script>")
    assert texts(page, "#samples dd:nth-of-type(2)")[0] == HOSTILE
    assert page.run("document.querySelectorAll('main b, main i, main script').length") == 0


@pytest.mark.parametrize("width", [1200, 600, 360])
def test_page_fits_the_window(report: Report, browser: Browser, tmp_path: Path, width: int) -> None:
    page = show(report, browser, tmp_path, width=width, dark=width == 600)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_tables_fit_into_500_pixels(report: Report, browser: Browser, tmp_path: Path) -> None:
    long = replace(report.runs[0], name="multi30k-en-de-shared", max_steps=1_000_000, step=123_456)
    runs = [long, replace(report.runs[1], parameters=213_000_000), report.runs[2]]
    page = show(replace(report, runs=runs), browser, tmp_path, width=500)
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    widths = page.run(
        "[...document.querySelectorAll('.scroll')].map((t) => [t.scrollWidth, t.clientWidth])"
    )
    assert len(widths) == 5
    assert [needed for needed, available in widths if needed > available] == [], widths


def test_runs_in_every_state(report: Report, browser: Browser, tmp_path: Path) -> None:
    """Runs alone, without validation, with one or no line of metrics, without weights."""
    first = report.runs[0]
    empty = {name: [] for name in first.curves.valid}
    curves = replace(first.curves, valid=empty, average=empty)
    page = show(replace(report, runs=[replace(first, curves=curves)]), browser, tmp_path)
    assert len(lines(page, 0, "train")) == 1
    assert texts(page, ".chart:nth-child(3) .plot") == ["no data"]
    assert not page.run("document.querySelector('#shown').checkVisibility()")
    one_row = {name: values[:1] for name, values in first.curves.train.items()}
    for rows in (one_row, {name: [] for name in one_row}):
        bare = replace(first, curves=replace(curves, train=rows), quality=None, parameters=None)
        page = show(replace(report, runs=[bare]), browser, tmp_path)
        page.run("document.querySelector('input[value=seconds]').click(), 1")
        page.press("ArrowRight")
        assert page.errors == []


def test_seeds_are_a_line_with_a_band(report: Report, browser: Browser, tmp_path: Path) -> None:
    first, second, other = report.runs
    runs = [seed(first, 1, "x-1"), seed(second, 2, "x-2"), other]
    page = show(replace(report, runs=runs), browser, tmp_path)
    assert texts(page, ".overview .run-name") == ["1 x-… (2 seeds)", "2 c/ü<i>"]
    # The loss of the second seed is larger by one at each step.
    [line, third] = lines(page, 0, "train")
    [outline] = [
        [[float(number) for number in point.split()] for point in re.split("[ML]", path)[1:]]
        for path in page.run(
            "[...document.querySelector('.chart').querySelectorAll('[data-kind=train] .band')]"
            ".map((band) => band.getAttribute('d').slice(0, -1))"
        )
    ]
    top, bottom = outline[: len(line)], outline[len(line) :][::-1]
    for (x, middle), (left, high), (right, low), (_, two) in zip(
        line, top, bottom, third, strict=True
    ):
        assert x == left == right
        assert middle - high == pytest.approx(low - middle, abs=0.25)
        assert middle - two == pytest.approx(3 * (middle - high), abs=0.5)  # 0.5, and 2
    values = texts(page, ".chart:nth-child(1) .value")
    assert values[0] == "1 1.5 at step 60"
    assert texts(page, ".overview td:last-child")[0] == "loss 1.5 ± 0.71"
    assert ["train.seed", "[1,2]", "1"] in [
        texts(page, f"#configuration > .scroll tbody tr:nth-child({row}) td") for row in (1, 2, 3)
    ]
    for number in range(2):
        page.run(f"document.querySelectorAll('input[name=run]')[{number}].click(), 1")
    assert page.run("document.querySelectorAll('.band').length") == 0
    assert page.errors == []


def test_scores_of_seeds_have_a_mean_and_a_deviation(
    report: Report, browser: Browser, tmp_path: Path
) -> None:
    runs = [seed(report.runs[0], 1, "x-1"), seed(report.runs[1], 2, "x-2")]
    for run, bleu, ppl in zip(runs, (30.0, 32.0), (4.0, 6.0), strict=True):
        assert run.quality
        scores = [replace(run.quality.scores[0], score=bleu), *run.quality.scores[1:]]
        runs[runs.index(run)] = replace(run, quality=replace(run.quality, scores=scores, ppl=ppl))
    page = show(replace(report, runs=runs), browser, tmp_path)
    [name, bleu_text, _, _, ppl_text, *_] = texts(page, "#scores tbody td")
    assert (name, bleu_text, ppl_text) == ("x-… (2 seeds)", "31.0 ± 1.4", "5 ± 1.4")
    assert "± and bars their standard deviation" in " ".join(texts(page, "#scores .remark"))
    assert len(texts(page, "#samples details")) == 1
    # A text of its own cannot be merged, and a run without translations has none.
    assert runs[1].quality
    changed = replace(runs[1], quality=replace(runs[1].quality, fingerprint="other", by_length=[]))
    page = show(replace(report, runs=[runs[0], changed]), browser, tmp_path)
    assert texts(page, "#scores tbody td")[1].startswith("30.0 ± ")
    page = show(replace(report, runs=[runs[0], replace(runs[1], quality=None)]), browser, tmp_path)
    assert texts(page, "#scores tbody td")[1].startswith("30.0 ± ")


def test_seeds_that_are_not_finished(report: Report, browser: Browser, tmp_path: Path) -> None:
    """The line ends where the first of them ends; one may have nothing at all."""
    first = seed(report.runs[0], 1, "x-1")
    for rows in (3, 1, 0):
        train, valid, average = (
            {name: values[:rows] for name, values in columns.items()}
            for columns in (first.curves.train, first.curves.valid, first.curves.average)
        )
        curves = replace(first.curves, train=train, valid=valid, average=average)
        behind = replace(first, curves=curves, step=10 * rows, finished=False, quality=None)
        behind = seed(behind, 2, "x-2")
        page = show(replace(report, runs=[first, behind]), browser, tmp_path)
        assert [len(line) for line in lines(page, 0, "train")] == ([rows] if rows else [])
        assert texts(page, ".overview td")[2:4] == [f"{10 * rows} of 60", "not finished"]


def seed(run: RunReport, number: int, name: str) -> RunReport:
    """Return a run as it might be with another seed and the same data."""
    config = {key: value for key, value in run.config.items() if not key.startswith("data.")}
    return replace(run, config=config | {"train.seed": number}, name=name)


def test_named_validation_sets_have_charts_of_their_own(
    report: Report, browser: Browser, tmp_path: Path
) -> None:
    first = report.runs[0]
    more = {f"domain/{name}": first.curves.valid[name] for name in ("loss", "ppl", "bleu", "chrf")}
    curves = replace(first.curves, valid={**first.curves.valid, **more})
    runs = [replace(first, curves=curves, metric="domain/bleu"), report.runs[1]]
    page = show(replace(report, runs=runs), browser, tmp_path)
    titles = " ".join(texts(page, ".chart figcaption"))
    assert "Loss on domain" in titles
    assert "BLEU on domain" in titles
    assert "BLEU on domain" in " ".join(texts(page, ".overview td"))
    assert page.errors == []
