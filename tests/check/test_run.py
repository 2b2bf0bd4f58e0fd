"""`nmt check` on corpora with one problem each."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from nmt.cli import app
from nmt.data.batching import Batch
from nmt.model.network import Network
from nmt.training import learner, loss

# The shell may have started this process with Ctrl-C ignored, which children inherit.
_CHECK = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from nmt.cli import app
app(["check", "clean.yaml", *sys.argv[1:]])
"""

Write = Callable[..., None]


@pytest.fixture
def check(write: Write) -> Callable[..., Result]:
    """(arguments): `nmt check clean.yaml` with more arguments."""
    return lambda *arguments: CliRunner().invoke(app, ["check", "clean.yaml", *arguments])


@pytest.fixture
def report(check: Callable[..., Result]) -> Callable[..., dict[str, Any]]:
    """(arguments): the report as JSON, after checking that the exit code agrees with it."""

    def report(*arguments: str) -> dict[str, Any]:
        result = check("--json", *arguments)
        assert result.exit_code in (0, 3), result.output
        found: dict[str, Any] = json.loads(result.stdout)
        errors = [one for one in found["findings"] if one["severity"] == "error"]
        assert found["fatal"] == bool(errors) == (result.exit_code == 3)
        return found

    return report


def rows(part: str) -> list[tuple[str, str]]:
    sides = (Path(f"{part}.{lang}").read_text("utf-8").split("\n")[:-1] for lang in ("en", "xx"))
    return list(zip(*sides, strict=True))


def only(report: dict[str, Any]) -> dict[str, str]:
    [finding] = report["findings"]
    assert set(finding) == {"severity", "kind", "about", "message"}
    return dict(finding)


# ---------------------------------------------------------------- a clean corpus


def test_a_clean_corpus_has_no_findings(report: Callable[..., dict[str, Any]]) -> None:
    found = report()
    assert found["findings"] == []
    assert set(found) == {
        *("data", "lengths", "alignment", "duplicates", "overlap"),
        *("vocabulary", "plan", "measured", "findings", "fatal"),
    }
    assert [found["data"][part][0]["kept"] for part in ("train", "valid", "test")] == [900, 80, 60]
    for side in ("src", "tgt"):
        assert sum(found["lengths"][side]) == 900
        longest = max(len(row[side == "tgt"].replace(" ", "_")) for row in rows("train"))
        # SentencePiece's initial space, and EOS.
        assert found["lengths"][f"{side}_percentiles"][-1] == longest + 2
    assert found["lengths"]["starts"][0] == 1
    [alignment] = found["alignment"]["train"]
    assert alignment["correlation"] > 0.9
    assert alignment["shift"] is None
    assert found["vocabulary"]["used"] == found["vocabulary"]["src_pieces"]
    assert found["plan"]["parameters"] > 1000
    assert 0 <= found["plan"]["padding"] < 0.3
    pairs, src, tgt = found["plan"]["largest_batch"]
    assert pairs * max(src, tgt) <= 2000
    assert found["plan"]["epochs"] == pytest.approx(100 / found["plan"]["batches_per_epoch"])
    measured = found["measured"]
    assert measured["peak_bytes"] > 4 * 4 * found["plan"]["parameters"]
    assert measured["total_seconds"] == pytest.approx(100 * measured["step_seconds"])
    assert measured["steps"] >= 1


def test_the_report_fits_into_80_columns(check: Callable[..., Result]) -> None:
    result = check()
    assert result.exit_code == 0
    lines = result.stdout.split("\n")
    assert max(map(len, lines)) <= 80
    for expected in ("train.en + train.xx", "█", "correlation", "parameters", "100 steps"):
        assert expected in result.stdout
    assert "No findings." in result.stdout
    assert not Path("runs").exists()


def test_training_uses_the_data_prepared_by_the_check(check: Callable[..., Result]) -> None:
    assert check().exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in Path("cache").rglob("*")}
    trained = CliRunner().invoke(app, ["train", "clean.yaml", "train.max_steps=1"])
    assert trained.exit_code == 0, trained.output
    assert {path: path.stat().st_mtime_ns for path in Path("cache").rglob("*")} == before


# ---------------------------------------------------------------- findings


@pytest.mark.parametrize(("by", "at"), [(1, 500), (-2, 500), (3, 0), (-10, 300)])
def test_misaligned_lines_are_located(
    write: Write, report: Callable[..., dict[str, Any]], by: int, at: int
) -> None:
    src, tgt = map(list, zip(*rows("train"), strict=True))
    (tgt if by > 0 else src)[at:at] = ["FED CAB ABC"] * abs(by)
    write("train", list(zip(src, tgt, strict=False)))
    found = report()
    shift = found["alignment"]["train"][0]["shift"]
    assert shift["by"] == by
    assert abs(int(shift["first"].removeprefix("train.en:")) - at) <= 12
    [finding] = [one for one in found["findings"] if one["kind"] == "misaligned"]
    assert finding["severity"] == "error"
    assert f"target line n {'+' if by > 0 else '-'} {abs(by)}" in finding["message"]


def test_a_short_misaligned_stretch_is_a_warning(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    draw = random.Random(0)
    lengths = [draw.randint(1, 30) for _ in range(6000)]
    shifted = [*lengths[:3000], 7, *lengths[3000:3250], *lengths[3251:]]
    pairs = [("a" * src, "B" * tgt) for src, tgt in zip(lengths, shifted, strict=True)]
    write("train", pairs)
    found = report()
    [finding] = [one for one in found["findings"] if one["kind"] == "misaligned"]
    assert finding["severity"] == "warning"
    assert "from about train.en:300" in finding["message"]
    assert found["alignment"]["train"][0]["shift"]["pairs"] <= 400


def test_unrelated_sides_are_an_error_in_any_part_and_corpus(
    write: Write, folder: Path, report: Callable[..., dict[str, Any]]
) -> None:
    src, tgt = map(list, zip(*rows("valid"), strict=True))
    random.Random(3).shuffle(tgt)
    write("valid", list(zip(src, tgt, strict=True)))
    finding = only(report())
    assert (finding["severity"], finding["kind"]) == ("error", "misaligned")
    assert finding["about"] == "data.valid"
    assert (
        "valid.en + valid.xx: the lengths of the two sides are not correlated" in finding["message"]
    )
    (folder / "clean.yaml").write_text(
        (folder / "clean.yaml")
        .read_text("utf-8")
        .replace("valid: {src: valid.en, tgt: valid.xx}", "")
        .replace("train: {src: train.en, tgt: train.xx}", "train: [{src: train.en, tgt: train.xx}]")
        .replace("train.xx}]", "train.xx}, {src: valid.en, tgt: valid.xx}]"),
        "utf-8",
    )
    both = report()
    assert [one["kind"] for one in both["findings"]] == ["misaligned", "no-validation"]
    assert both["findings"][0]["about"] == "data.train"
    assert [one["correlation"] > 0.9 for one in both["alignment"]["train"]] == [True, False]


def test_pairs_with_unlikely_lengths_are_listed(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    pairs = rows("train")
    pairs[41] = ("abc def gab cab had bed fab deb bad dab", "A")
    write("train", pairs)
    finding = only(report())
    assert (finding["severity"], finding["kind"]) == ("note", "length-outliers")
    assert "1 of 900 (0.11 %)" in finding["message"]
    assert "train.en:42 (40 to 2 tokens)" in finding["message"]


def test_repetitions_are_counted_with_examples(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    pairs = rows("train")
    pairs[100:100] = [pairs[7], pairs[7], (pairs[9][0], pairs[10][1]), ("ABC", "ABC")]
    write("train", pairs)
    found = report("data.drop_duplicates=false")
    assert found["duplicates"] == {
        "pairs": 2,
        "example": ["train.en:101", "train.en:8"],
        "ambiguous": 1,
        "ambiguous_example": ["train.en:10", "train.en:103"],
        "copies": 1,
        "copies_example": "train.en:104",
    }
    by_kind = {one["kind"]: one for one in found["findings"] if one["kind"] != "length-outliers"}
    assert by_kind.keys() == {"duplicates", "several-translations", "copies"}
    assert all(one["severity"] == "note" for one in by_kind.values())
    assert "train.en:101 repeats train.en:8" in by_kind["duplicates"]["message"]
    dropped = report("data.drop_duplicates=true")
    assert dropped["duplicates"]["pairs"] == 0
    [finding] = [one for one in dropped["findings"] if one["kind"] == "dropped"]
    assert "2 of 904" in finding["message"]
    assert "duplicate, first train.en:101" in finding["message"]


@pytest.mark.parametrize(
    ("leaked", "sides", "severity", "counts"),
    [
        (1, 2, "warning", (1, 1, 1)),
        (41, 2, "error", (41, 41, 41)),
        (3, 0, "warning", (3, 0, 0)),
        (3, 1, "warning", (0, 3, 0)),
    ],
)
def test_overlap_is_counted_by_side(
    write: Write,
    report: Callable[..., dict[str, Any]],
    leaked: int,
    sides: int,
    severity: str,
    counts: tuple[int, int, int],
) -> None:
    valid = rows("valid")
    for place, (src, tgt) in enumerate(rows("train")[100 : 100 + leaked], 20):
        valid[place] = (
            src if sides in (0, 2) else src + "a",
            tgt if sides in (1, 2) else tgt + "A",
        )
    write("valid", valid)
    found = report()
    overlap = found["overlap"]["valid"]
    assert (overlap["src"], overlap["tgt"], overlap["pairs"]) == counts
    lang = "xx" if sides == 1 else "en"
    assert overlap["example"] == [f"valid.{lang}:21", f"train.{lang}:101"]
    assert found["overlap"]["test"] == {
        **dict.fromkeys(("src", "tgt", "pairs"), 0),
        "sentences": 60,
        "example": None,
    }
    finding = only(found)
    assert (finding["severity"], finding["kind"]) == (severity, "overlap")
    assert finding["about"] == "data.valid"


def test_unknown_characters_are_listed_with_their_place(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    test = rows("test")
    test[4] = ("bad cab ab \u0151 dab", test[4][1])
    test[5] = ("bad ab cab \u0151 \u2603 dad", test[5][1])
    test[6] = (test[6][0], test[6][1] + "\u00c4")
    write("test", test)
    found = report()
    assert found["vocabulary"]["unknown"]["test"] == {
        "src": {"\u0151": "test.en:5", "\u2603": "test.en:6"},
        "tgt": {"\u00c4": "test.xx:7"},
    }
    assert found["data"]["test"][0]["src_unknown"] == 3
    src, tgt = (one for one in found["findings"] if one["kind"] == "unknown")
    assert (
        (src["severity"], src["about"]) == (tgt["severity"], tgt["about"]) == ("note", "data.test")
    )
    assert "source tokens are unknown: \u0151 (test.en:5), \u2603 (test.en:6)" in src["message"]
    assert "1 of " in tgt["message"]
    assert "\u00c4 (test.xx:7)" in tgt["message"]


def test_dropped_pairs_are_reported_with_a_line(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    pairs = rows("train")
    pairs[10] = ("", "ABC")
    pairs[11] = ("abc " * 100, "ABC " * 100)
    write("train", pairs)
    findings = report("data.max_length=100")["findings"]
    assert [one["severity"] for one in findings] == ["note", "note"]
    assert "1 of 900 (0.11 %) pairs are dropped: empty side, first train.en:11" in str(findings[0])
    assert "too long, first train.en:12; data.max_length sets the limit" in str(findings[1])
    findings = report("data.max_length=20")["findings"]
    [dropped] = [f for f in findings if f["kind"] == "dropped" and "too long" in f["message"]]
    assert dropped["severity"] == "warning"


def test_held_out_pairs_that_training_filters_would_drop(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    pairs = rows("valid")
    pairs[2] = (pairs[2][0], "")
    pairs[3] = ("abc " * 70, "ABC " * 70)
    write("valid", pairs)
    findings = {one["kind"]: one for one in report()["findings"]}
    assert findings["empty-sides"]["severity"] == "warning"
    assert "first valid.en:3;" in findings["empty-sides"]["message"]
    assert findings["too-long"]["severity"] == "note"
    assert "first valid.en:4;" in findings["too-long"]["message"]


def test_a_vocabulary_for_other_text_is_a_warning(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    greek = [("".join(map(chr, range(945, 969))), "".join(map(chr, range(913, 929))))] * 60
    clean = rows("train")
    write("train", clean + greek)
    report()
    [model] = Path("cache").glob("tokenizer-*/spm.model")
    write("train", clean)
    found = report(f"tokenizer.model={model}")
    finding = only(found)
    assert (finding["severity"], finding["kind"]) == ("warning", "vocabulary")
    assert found["vocabulary"]["used"] < found["vocabulary"]["src_pieces"] / 2


# ---------------------------------------------------------------- memory


def test_running_out_of_memory_is_a_finding(
    report: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [20]

    def batch_loss(network: Network[Any], batch: Batch, *options: Any) -> Any:
        if len(batch.rows) > room[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss.batch_loss(network, batch, *options)

    monkeypatch.setattr(learner, "batch_loss", batch_loss)
    found = report()
    finding = only(found)
    assert (finding["severity"], finding["kind"]) == ("warning", "memory")
    assert "train.batch_tokens" in finding["message"]
    assert found["measured"]["steps"] > 0
    room[0] = 0
    found = report()
    finding = only(found)
    assert (finding["severity"], finding["kind"]) == ("error", "memory")
    assert found["measured"] is None


def test_a_model_too_large_for_memory_is_a_finding(
    report: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: torch.optim.Adam, closure: None = None) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    finding = only(report())
    assert (finding["severity"], finding["kind"]) == ("error", "memory")
    assert finding["about"] == "model"


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["data.valid.tgt=test.xx"], 3, "valid.en has 80 lines, but test.xx has 60"),
        (["data.max_length=2"], 3, "no pairs are left after filtering"),
        (["data.test.src=missing"], 4, "missing: cannot be read"),
        (["train.device=gpu"], 2, "device 'gpu': not available"),
        (["train.max_step=1"], 2, "did you mean max_steps"),
    ],
)
def test_errors(
    check: Callable[..., Result], arguments: list[str], code: int, expected: str
) -> None:
    result = check("--json", *arguments)
    assert result.exit_code == code, result.output
    assert expected in result.stderr
    assert result.stdout == ""


def test_an_empty_validation_set(write: Write, check: Callable[..., Result]) -> None:
    write("valid", [])
    result = check()
    assert result.exit_code == 3
    assert "valid.en + valid.xx: contains no pairs" in result.stderr


@pytest.mark.parametrize("activity", ["reading for the tokenizer", "taking a few training"])
def test_ctrl_c_stops_it_at_once(write: Write, activity: str) -> None:
    checking = subprocess.Popen(
        [sys.executable, "-c", _CHECK, "model.d_model=512", "model.d_ff=2048"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert checking.stderr is not None
    try:
        for line in iter(checking.stderr.readline, ""):
            if line.startswith(activity):
                checking.send_signal(signal.SIGINT)
                break
        out, err = checking.communicate(timeout=60)
    finally:
        checking.kill()
    assert checking.returncode == 130, err
    assert out == ""
    assert re.fullmatch("(\nstopping .*\n)?nmt: (interrupted|stopped.*)\n", err)
    assert not list(Path("cache").glob(".*"))


# ---------------------------------------------------------------- before training


def test_training_prints_findings_before_it_starts(write: Write) -> None:
    command = ["train", "clean.yaml", "train.max_steps=2", "train.warmup_steps=50"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert first.stdout == ""
    found = first.stderr.index(
        "warning: train.warmup_steps: the warm-up of 50 steps is not shorter"
    )
    assert found < first.stderr.index("step      2")
    # A resumed run has printed them before.
    again = CliRunner().invoke(app, [*command, "train.max_steps=3"])
    assert again.exit_code == 0, again.output
    assert "warning" not in again.stderr


def test_unknown_capitals_do_not_lead_to_advice_about_bytes(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    # The training text has no capitals on the source side, and no X on either.
    write("valid", [("X" + src, tgt) for src, tgt in rows("valid")])
    found = {one["kind"]: one for one in report()["findings"] if one["about"] == "data.valid"}
    assert "is lower-cased on the source side" in found["other-style"]["message"]
    assert "are unknown: " in found["unknown"]["message"]
    assert "byte_fallback" not in found["unknown"]["message"]
    assert "preprocess the text in the same way as data.train" in found["unknown"]["message"]
