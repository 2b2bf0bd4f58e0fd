"""Translation under guard: engines, formats, resuming, several processes, commands."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import nmt
from command import run_nmt
from nmt.errors import ConfigError
from nmt.translate.flaws import FlaggedLines
from nmt.translate.formats import JsonLayout, Layout, TextLayout
from nmt.translate.guard.guard import WithoutCapitals
from nmt.translate.resume import translate_file
from nmt.translate.source import Source
from nmt.translate.translation import Translation

ODD = [*["the cat sat on a mat 123", "home www.a.org", "dog", "", "ran ran ran ran"], "café 5"] * 4


@pytest.fixture(scope="module")
def model(trained_run: Path) -> nmt.Model:
    return nmt.load(trained_run, engine="nmt", threads=1)


@pytest.fixture(params=["text", "json"])
def layout(request: pytest.FixtureRequest) -> Layout:
    return TextLayout() if request.param == "text" else JsonLayout("src", guard=True, scores=True)


def written(lines: list[str], layout: Layout) -> list[str]:
    return lines if isinstance(layout, TextLayout) else [json.dumps({"src": x}) for x in lines]


@pytest.mark.parametrize("mode", ["warn", "retry", "blank"])
def test_a_resumed_job_has_the_same_lines_and_counts(
    model: nmt.Model,
    lines: list[str],
    layout: Layout,
    mode: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)
    text = written([*lines[:12], *ODD, *lines[:6]], layout)

    def run(name: str, *, stop_after: int = 0, resume: bool = False) -> tuple[Any, ...]:
        batches = 0

        def poll() -> None:
            nonlocal batches
            batches += 1
            if batches == stop_after:
                raise KeyboardInterrupt

        options = {"beam_size": 2, "batch_tokens": 60}
        translator = model.translator(
            options, guard=mode, token_scores=True, poll=poll, warn=lambda message: None
        )
        path = tmp_path / name
        translate_file(translator, text, layout, path, resume=resume, log=lambda message: None)
        return path.read_bytes(), translator.flagged.summary(), batches

    *whole, batches = run("whole")
    assert "flagged" in whole[1]
    for stop_after in (2, batches // 2, batches - 1):
        with pytest.raises(KeyboardInterrupt):
            run("parts", stop_after=stop_after)
        assert run("parts", resume=True)[:2] == tuple(whole)
        (tmp_path / "parts").unlink()


def test_flags_are_in_the_python_interface(model: nmt.Model) -> None:
    plain = model.translate(ODD)
    warned = model.translate(ODD, guard="warn")
    assert [each.text for each in warned] == [each.text for each in plain]
    assert warned[1].flags
    assert model.translate("", guard="blank").flags == ()
    blanked = model.translate(ODD, guard="blank")
    assert all(bool(each.flags) <= (each.text == "") for each in blanked)
    with pytest.raises(ConfigError, match="`guard`: 'x' is none of warn, retry, blank"):
        model.translate("the cat", guard="x")


def test_retrying_never_adds_flags(model: nmt.Model, lines: list[str]) -> None:
    before, after = (model.translate([*ODD, *lines], guard=mode) for mode in ("warn", "retry"))
    for one, other in zip(before, after, strict=True):
        assert len(other.flags) <= len(one.flags)


class Pair:
    """One of two processes, as a thread."""

    size = 2

    def __init__(self, rank: int, values: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self._values, self._barrier = rank, values, barrier

    def gather(self, value: Any) -> list[Any]:
        self._values[self.rank] = value
        self._barrier.wait(60)
        values = list(self._values)
        self._barrier.wait(60)
        return values


def test_two_processes_find_the_same(model: nmt.Model) -> None:
    values: list[Any] = [None, None]
    found: list[Any] = [None, None]
    barrier = threading.Barrier(2)

    def translate(rank: int) -> None:
        peers = Pair(rank, values, barrier)
        found[rank] = list(model.translator({}, guard="retry", peers=peers).translate(ODD))

    threads = [threading.Thread(target=translate, args=[rank]) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = model.translate(ODD, guard="retry")
    for one in found:
        assert [(each.text, each.flags) for each in one] == [(e.text, e.flags) for e in alone]


def test_the_summary_names_flags_and_lines() -> None:
    lines = FlaggedLines()
    lines.add(1, ())
    assert lines.summary() == ""
    lines.add(2, ("numbers",))
    assert lines.summary() == "1 of 2 translations is flagged: numbers 1; line 2"
    lines.add(3, ("short", "numbers"))
    assert lines.summary() == ("2 of 3 translations are flagged: short 1, numbers 2; lines 2, 3")
    assert lines.summary("segment").endswith("; segments 2, 3")


def test_a_document_under_guard(trained_run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>the cat</p><p>See https://example.com/a.</p>", "utf-8")
    done = run_nmt("translate", trained_run, page, "--guard", "blank", "--guard-fails")
    assert done.exit_code == 3
    assert "<p></p>" in done.stdout
    assert "; segment" in done.stderr
    assert "line" not in done.stderr


def test_the_command(trained_run: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"src": line}) + "\n" for line in ODD[:6]), "utf-8")
    command = ["translate", trained_run, source, "--format", "jsonl", "--threads", 1]
    done = run_nmt(*command, "--guard", "warn")
    assert done.exit_code == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    assert "addresses" in records[1]["flags"]
    assert "confidence" not in records[1]
    assert "guard: " in done.stderr
    done = run_nmt(*command, "--guard", "blank", "--guard-fails")
    assert done.exit_code == 3
    assert len(done.stdout.split("\n")) == 7
    assert "translations are flagged" in done.stderr
    done = run_nmt(*command, "--guard-fails")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "add --guard warn" in done.stderr


def test_a_calibrated_run_has_a_confidence(trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    source, reference = (trained_run.parent / f"test.{side}" for side in ("src", "tgt"))
    text = ["evaluate", run, "--calibration", "--src", source, "--ref", reference, "--json"]
    assert "`nmt calibrate` learns it" in run_nmt(*text).stderr
    done = run_nmt("calibrate", run)
    assert (done.exit_code, "there is none" in done.stderr) == (2, True)  # no data.valid
    config = run / "config.yaml"
    train = [str(trained_run.parent / f"train.{side}") for side in ("src", "tgt")]
    valid = f"  valid:\n  - {{kind: files, src: {train[0]}, tgt: {train[1]}}}\n"
    config.write_text(config.read_text("utf-8").replace("  valid: []\n", valid), "utf-8")
    done = run_nmt("calibrate", run, "--threads", 1)
    assert done.exit_code == 0, done.stderr
    assert "expected calibration error" in done.stdout
    [figures] = [json.loads(line) for line in run_nmt(*text).stdout.split("\n")[:-1]]
    assert sum(row["size"] for row in figures["bins"]) == 30
    done = run_nmt(*text, "--output", tmp_path / "out")
    assert (done.exit_code, "leave out --output" in done.stderr) == (2, True)
    blank = tmp_path / "blank"
    blank.write_text("\nthe cat\n", "utf-8")
    done = run_nmt("evaluate", run, "--calibration", "--src", blank, "--ref", blank)
    assert done.stdout.endswith(", 1 sentences\n")
    found = nmt.load(run, threads=1).translate(["the cat sat."], guard="warn")
    assert found[0].confidence is not None
    assert 0 < found[0].confidence < 1


def test_lines_in_capitals_are_searched_again(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    search = WithoutCapitals.search

    def noting(retry: WithoutCapitals, sources: Sequence[Source]) -> list[Translation]:
        seen.extend(source.text for source in sources)
        return search(retry, sources)

    monkeypatch.setattr(WithoutCapitals, "search", noting)
    model = nmt.load(trained_run, threads=1)
    lines = ["THE CAT SAT 1957", "the cat sat 1957"]  # it loses the number
    model.translate(lines, guard="warn")
    assert seen == []
    model.translate(lines, guard="retry")
    assert seen == lines[:1]
