"""`nmt check` on corpora with one problem each."""

from __future__ import annotations

import json
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import Result

import forked
from command import run_nmt
from nmt.data.batching import Batch
from nmt.model.network import Network
from nmt.training import learner, loss

Write = Callable[..., None]


@pytest.fixture
def check(write: Write) -> Callable[..., Result]:
    """Return a function (*arguments) that runs `nmt check clean.yaml`."""
    return lambda *arguments: run_nmt("check", "clean.yaml", *arguments)


@pytest.fixture
def report(check: Callable[..., Result]) -> Callable[..., dict[str, Any]]:
    """Return a function (*arguments) that returns the JSON report, and checks the exit code."""

    def report(*arguments: str) -> dict[str, Any]:
        result = check("--json", *arguments)
        assert result.exit_code in (0, 3), result.output
        values: dict[str, Any] = json.loads(result.stdout)
        errors = [f for f in values["findings"] if f["severity"] == "error"]
        assert values["fatal"] == bool(errors) == (result.exit_code == 3)
        return values

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
    result = report()
    assert result["findings"] == []
    assert set(result) == {
        *("data", "lengths", "alignment", "duplicates", "overlap"),
        *("vocabulary", "plan", "measured", "findings", "fatal"),
    }
    assert [result["data"][part][0]["kept"] for part in ("train", "valid", "test")] == [900, 80, 60]
    for side in ("src", "tgt"):
        assert sum(result["lengths"][side]) == 900
        longest = max(len(row[side == "tgt"].replace(" ", "_")) for row in rows("train"))
        # SentencePiece's initial space, and EOS.
        assert result["lengths"][f"{side}_percentiles"][-1] == longest + 2
    assert result["lengths"]["starts"][0] == 1
    [alignment] = result["alignment"]["train"]
    assert alignment["correlation"] > 0.9
    assert alignment["shift"] is None
    assert result["vocabulary"]["used"] == result["vocabulary"]["src_pieces"]
    assert result["plan"]["parameters"] > 1000
    assert 0 <= result["plan"]["padding"] < 0.3
    pairs, src, tgt = result["plan"]["largest_batch"]
    assert pairs * max(src, tgt) <= 2000
    assert result["plan"]["epochs"] == pytest.approx(100 / result["plan"]["batches_per_epoch"])
    measured = result["measured"]
    assert measured["peak_bytes"] > 4 * 4 * result["plan"]["parameters"]
    assert measured["total_seconds"] == pytest.approx(100 * measured["step_seconds"])
    assert measured["steps"] >= 1


def test_the_report_fits_80_columns(check: Callable[..., Result]) -> None:
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
    trained = run_nmt("train", "clean.yaml", "train.max_steps=1")
    assert trained.exit_code == 0, trained.output
    assert {path: path.stat().st_mtime_ns for path in Path("cache").rglob("*")} == before


def test_of_a_stream_only_the_beginning_is_checked(check: Callable[..., Result]) -> None:
    result = check("data.streaming=true", "data.shuffle_buffer=1024", "train.max_steps=10000")
    assert result.exit_code == 0
    assert "only the first data.shuffle_buffer pairs are checked" in result.stderr
    assert "shuffled together" in result.stdout
    assert "epochs" not in result.stdout


# ---------------------------------------------------------------- findings


@pytest.mark.parametrize(("by", "at"), [(1, 500), (-2, 500), (3, 0), (-10, 300)])
def test_misaligned_lines_are_located(
    write: Write, report: Callable[..., dict[str, Any]], by: int, at: int
) -> None:
    src, tgt = map(list, zip(*rows("train"), strict=True))
    (tgt if by > 0 else src)[at:at] = ["FED CAB ABC"] * abs(by)
    write("train", list(zip(src, tgt, strict=False)))
    result = report()
    shift = result["alignment"]["train"][0]["shift"]
    assert shift["by"] == by
    assert abs(int(shift["first"].removeprefix("train.en:")) - at) <= 12
    [finding] = [f for f in result["findings"] if f["kind"] == "misaligned"]
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
    result = report()
    [finding] = [f for f in result["findings"] if f["kind"] == "misaligned"]
    assert finding["severity"] == "warning"
    assert "from about train.en:300" in finding["message"]
    assert result["alignment"]["train"][0]["shift"]["pairs"] <= 400


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
    assert [f["kind"] for f in both["findings"]] == ["misaligned", "no-validation"]
    assert both["findings"][0]["about"] == "data.train"
    assert [f["correlation"] > 0.9 for f in both["alignment"]["train"]] == [True, False]


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
    result = report("data.drop_duplicates=false")
    assert result["duplicates"] == {
        "pairs": 2,
        "example": ["train.en:101", "train.en:8"],
        "ambiguous": 1,
        "ambiguous_example": ["train.en:10", "train.en:103"],
        "copies": 1,
        "copies_example": "train.en:104",
    }
    by_kind = {f["kind"]: f for f in result["findings"] if f["kind"] != "length-outliers"}
    assert by_kind.keys() == {"duplicates", "several-translations", "copies"}
    assert all(f["severity"] == "note" for f in by_kind.values())
    assert "train.en:101 repeats train.en:8" in by_kind["duplicates"]["message"]
    dropped = report("data.drop_duplicates=true")
    assert dropped["duplicates"]["pairs"] == 0
    [finding] = [f for f in dropped["findings"] if f["kind"] == "dropped"]
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
    result = report()
    overlap = result["overlap"]["valid"]
    assert (overlap["src"], overlap["tgt"], overlap["pairs"]) == counts
    lang = "xx" if sides == 1 else "en"
    assert overlap["example"] == [f"valid.{lang}:21", f"train.{lang}:101"]
    assert result["overlap"]["test"] == {
        **dict.fromkeys(("src", "tgt", "pairs"), 0),
        "sentences": 60,
        "example": None,
    }
    finding = only(result)
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
    result = report()
    assert result["vocabulary"]["unknown"]["test"] == {
        "src": {"\u0151": "test.en:5", "\u2603": "test.en:6"},
        "tgt": {"\u00c4": "test.xx:7"},
    }
    assert result["data"]["test"][0]["src_unknown"] == 3
    src, tgt = (f for f in result["findings"] if f["kind"] == "unknown")
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
    assert [f["severity"] for f in findings] == ["note", "note"]
    assert "1 of 900 (0.11 %) pairs are dropped: empty side, first train.en:11" in str(findings[0])
    assert "too long, first train.en:12; data.max_length sets the limit" in str(findings[1])
    findings = report("data.max_length=20")["findings"]
    [dropped] = [f for f in findings if f["kind"] == "dropped" and "too long" in f["message"]]
    assert dropped["severity"] == "warning"


def test_held_out_pairs_that_training_would_drop_are_reported(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    pairs = rows("valid")
    pairs[2] = (pairs[2][0], "")
    pairs[3] = ("abc " * 70, "ABC " * 70)
    write("valid", pairs)
    findings = {f["kind"]: f for f in report()["findings"]}
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
    result = report(f"tokenizer.model={model}")
    finding = only(result)
    assert (finding["severity"], finding["kind"]) == ("warning", "vocabulary")
    assert result["vocabulary"]["used"] < result["vocabulary"]["src_pieces"] / 2


# ---------------------------------------------------------------- memory


def test_running_out_of_memory_is_a_finding(
    report: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    max_pairs = [20]

    def batch_loss(network: Network[Any], batch: Batch, *options: Any) -> Any:
        if len(batch.rows) > max_pairs[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss.batch_loss(network, batch, *options)

    monkeypatch.setattr(learner, "batch_loss", batch_loss)
    result = report()
    finding = only(result)
    assert (finding["severity"], finding["kind"]) == ("warning", "memory")
    assert "train.batch_tokens" in finding["message"]
    assert result["measured"]["steps"] > 0
    max_pairs[0] = 0
    result = report()
    finding = only(result)
    assert (finding["severity"], finding["kind"]) == ("error", "memory")
    assert result["measured"] is None


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


def test_an_empty_validation_set_is_an_error(write: Write, check: Callable[..., Result]) -> None:
    write("valid", [])
    result = check()
    assert result.exit_code == 3
    assert "valid.en + valid.xx: contains no pairs" in result.stderr


@pytest.mark.parametrize("activity", ["reading for the tokenizer", "taking a few training"])
def test_ctrl_c_stops_the_check_at_once(write: Write, activity: str) -> None:
    large = ["model.d_model=512", "model.d_ff=2048"]
    checking = forked.Process(forked.COMMAND, "check", "clean.yaml", *large)
    assert checking.stderr is not None
    try:
        for line in iter(checking.stderr.readline, b""):
            if line.decode("utf-8").startswith(activity):
                checking.send_signal(signal.SIGINT)
                break
        out, err = (text.decode("utf-8") for text in checking.communicate(timeout=60))
    finally:
        checking.kill()
    assert checking.returncode == 130, err
    assert out == ""
    assert re.fullmatch("(\nstopping .*\n)?nmt: (interrupted|stopped.*)\n", err)
    assert not list(Path("cache").glob(".*"))


# ---------------------------------------------------------------- before training


def test_training_prints_findings_before_it_starts(write: Write) -> None:
    command = ["train", "clean.yaml", "train.max_steps=2", "train.warmup_steps=50"]
    first = run_nmt(*command)
    assert first.exit_code == 0, first.output
    assert first.stdout == ""
    warning = "warning: train.warmup_steps: the warm-up takes 50 steps"
    assert first.stderr.index(warning) < first.stderr.index("step      2")
    # A resumed run does not repeat them.
    again = run_nmt(*command, "train.max_steps=3")
    assert again.exit_code == 0, again.output
    assert "warning" not in again.stderr


def test_byte_fallback_is_not_advised_for_unknown_capitals(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    # The training text has no capitals on the source side, and no X on either.
    write("valid", [("X" + src, tgt) for src, tgt in rows("valid")])
    messages = {f["kind"]: f["message"] for f in report()["findings"] if f["about"] == "data.valid"}
    assert "is lower-cased on the source side" in messages["other-style"]
    assert "are unknown: " in messages["unknown"]
    assert "byte_fallback" not in messages["unknown"]
    assert "preprocess the text in the same way as data.train" in messages["unknown"]


def test_each_named_validation_set_is_a_part(report: Callable[..., dict[str, Any]]) -> None:
    valid = "{src: valid.en, tgt: valid.xx}"
    found = report(f"data.valid={{general: {valid}, domain: {{src: train.en, tgt: train.xx}}}}")
    assert set(found["data"]) >= {"train", "valid.general", "valid.domain"}
    overlap = [one["about"] for one in found["findings"] if one["kind"] == "overlap"]
    assert overlap == ["data.valid.domain"]


def test_guided_alignment_is_measured_without_an_alignment(
    write: Write, report: Callable[..., dict[str, Any]]
) -> None:
    Path("train.links").write_text("0-0\n" * len(rows("train")), "utf-8")
    corpus = "{src: train.en, tgt: train.xx, alignments: train.links}"
    found = report(f"data.train={corpus}", "train.guided_alignment={}")
    assert found["measured"]["step_seconds"] > 0


def test_an_aligner_that_is_not_installed_is_an_error(
    check: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.training.aligners._find", lambda kind: None)
    result = check("train.guided_alignment={aligner: eflomal}")
    assert result.exit_code == 2
    assert "train.guided_alignment.aligner: eflomal is not installed" in result.output


def test_a_start_that_does_not_fit_is_an_error(check: Callable[..., Result]) -> None:
    run_nmt("train", "clean.yaml", "train.max_steps=1", "--run-dir", "run")
    result = check("train.init_from=run", "model.d_model=32")
    assert result.exit_code == 2
    assert "does not fit the configuration" in result.output


def test_patterns_that_freeze_nothing_are_refused(check: Callable[..., Result]) -> None:
    result = check("train.freeze=[encodr]")
    assert result.exit_code == 2
    assert "train.freeze: 'encodr' matches no parameter" in result.output
