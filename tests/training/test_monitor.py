"""Messages of a training run, and metrics.jsonl."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.config.schema import Config
from nmt.console import Console
from nmt.errors import FileError
from nmt.signals import StopFlag
from nmt.training.monitor import Monitor, preparing

from .conftest import TinyRun

MakeConfig = Callable[..., Config]
MakeRun = Callable[..., TinyRun]


def plain_console() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=40), out


def test_metrics_have_the_documented_fields(make_config: MakeConfig, tiny_run: MakeRun) -> None:
    keys = {"save_every": 2, "average": "last", "average_count": 2, "log_every": 2}
    run = tiny_run().train(make_config(valid=True, max_steps=4, **keys))
    train, valid, average = run.metrics("train"), run.metrics("valid"), run.metrics("average")
    assert [record["step"] for record in train] == [2, 4]
    assert [record["step"] for record in valid + average] == [4, 4]
    fields = {"kind", "step", "epoch", "loss", "ppl", "lr", "grad_norm", "tokens_per_s", "seconds"}
    for record in train:
        assert record.keys() == fields
    for record in valid + average:
        assert record.keys() == {"kind", "step", "loss", "ppl", "bleu", "chrf"}
    assert train[1]["lr"] == pytest.approx(0.003 * 4 / 10)
    assert 0 < train[0]["seconds"] < train[1]["seconds"]


def test_a_record_covers_the_steps_since_the_previous_one(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    """Loss and perplexity are means over tokens, so those of two steps lie between theirs."""
    each = tiny_run("each").train(make_config(max_steps=4)).metrics("train")
    pairs = tiny_run("pairs").train(make_config(max_steps=4, log_every=2)).metrics("train")
    for two, (first, second) in zip(pairs, [each[:2], each[2:]], strict=True):
        assert min(first["loss"], second["loss"]) < two["loss"] < max(first["loss"], second["loss"])
        assert min(first["ppl"], second["ppl"]) < two["ppl"] < max(first["ppl"], second["ppl"])
        assert two["grad_norm"] == second["grad_norm"]


def test_records_after_the_resumed_step_are_removed(tmp_path: Path) -> None:
    console, _ = plain_console()
    lines = [{"kind": "train", "step": step, "loss": 1.0} for step in (1, 2, 3)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text + '{"kind": "train", "st', "utf-8")
    monitor = Monitor(tmp_path, console, step=2, max_steps=9)
    monitor.log("train", 3, {"loss": 2.0})
    kept = (tmp_path / "metrics.jsonl").read_text("utf-8").split("\n")
    assert [json.loads(line) for line in kept if line] == [*lines[:2], {**lines[2], "loss": 2.0}]


@pytest.mark.parametrize("garbage", [b"\xff\xfe\n", b"3\n", b"[]\n", b'{"step": null}\n', b"\n"])
def test_lines_that_are_not_records_are_removed(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(garbage + b'{"step": 1}\n')
    Monitor(tmp_path, plain_console()[0], step=2, max_steps=9)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"step": 1}\n'


FIGURES = {
    "epoch": 12,
    "loss": 5.12345,
    "ppl": 168.2345,
    "lr": 0.00035149,
    "grad_norm": 0.5982,
    "tokens_per_s": 13655.4,
    "seconds": 3723.4,
}


def test_lines_outside_a_terminal_are_not_wrapped_or_styled(tmp_path: Path) -> None:
    console, out = plain_console()
    with Monitor(tmp_path, console, 0, 9) as monitor:
        monitor.advance(1, {"loss": 2.0})
        monitor.doing("validating")
        monitor.log("train", 7, FIGURES)
        monitor.log("valid", 7, {"loss": 0.5, "ppl": 1.649, "bleu": 25.0, "chrf": 0.002062})
        monitor.print_line("[red]as it is[/red] " * 5)
    assert out.getvalue() == (
        "train step      7  loss 5.123  ppl 168.2  lr 0.000351  norm 0.598  13,655 tok/s  "
        "epoch 12  1:02:03\n"
        "valid step      7  loss 0.500  ppl 1.649  BLEU 25.0  chrF 0.0\n"
        + "[red]as it is[/red] " * 5
        + "\n"
    )


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("ppl", 9512.3, "ppl 9512"),
        ("ppl", 3.2e8, "ppl 3.20e+08"),
        ("ppl", 1.0, "ppl 1.000"),
        ("grad_norm", 1234.5, "norm 1.23e+03"),
        ("grad_norm", math.nan, "norm nan"),
        ("lr", 1e-5, "lr 1e-05"),
        ("seconds", 65.4, "1:05"),
    ],
)
def test_figures_are_short(tmp_path: Path, name: str, value: float, shown: str) -> None:
    console, out = plain_console()
    Monitor(tmp_path, console, 0, 9).show("train", 3, {name: value})
    assert out.getvalue() == f"train step      3  {shown}\n"


def rows_of(text: str) -> list[str]:
    """Return the lines shown by a terminal of 80 columns, without escape sequences."""
    return [row for row in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)) if row]


def test_nothing_is_wider_than_the_terminal(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with Monitor(tmp_path, console, 3, 100_000) as monitor:
        figures = {name: FIGURES[name] for name in ("loss", "tokens_per_s", "epoch")}
        monitor.advance(99_999, figures)
        monitor.log("train", 99_999, FIGURES)
        monitor.log("valid", 99_999, {"loss": 1.5, "ppl": 4.5, "bleu": 25.0, "chrf": 48.1})
    rows = rows_of(out.getvalue())
    assert max(map(len, rows)) <= 80
    assert "train step  99999  loss 5.123  ppl 168.2  lr 0.000351  norm 0.598  13,655 tok/s" in rows
    assert any(
        re.search(r"99999/100000 .*loss 5.123  13,655 tok/s  epoch 12 .*left", r) for r in rows
    )
    assert json.loads((tmp_path / "metrics.jsonl").read_text("utf-8").split("\n")[0]) == {
        "kind": "train",
        "step": 99_999,
        **FIGURES,
    }


def test_a_terminal_has_a_progress_line(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with Monitor(tmp_path, console, 3, 9) as monitor:
        monitor.advance(4)
        monitor.doing("validating")
    assert "step 4/9" in out.getvalue()
    assert "validating" in out.getvalue()


def test_first_figures_are_printed_early(make_config: MakeConfig, tiny_run: MakeRun) -> None:
    keys = {"log_every": 20, "save_every": 12}
    run = tiny_run().train(make_config(max_steps=12, **keys))
    assert re.findall(r"train step +(\d+)", run.log) == ["1", "10"]
    run.log = ""
    run.train(make_config(max_steps=23, **keys))
    assert re.findall(r"train step +(\d+)", run.log) == ["13", "20", "22"]
    assert [record["step"] for record in run.metrics("train")] == [20]


def test_the_first_line_names_the_step_at_which_training_starts(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    run = tiny_run().train(make_config(max_steps=2))
    assert run.log.startswith(f"{run.path}: a new run of 2 steps\n")
    run.log = ""
    run.train(make_config(max_steps=3))
    assert run.log.startswith(f"{run.path}: resuming from step 2 of 3\n")


def test_an_unwritable_metrics_file_is_an_error(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path, plain_console()[0], 0, 9)
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(FileError, match=r"metrics\.jsonl: cannot be written"):
        monitor.log("train", 1, {"loss": 1.0})


def test_preparation_prints_a_line_for_each_activity() -> None:
    console, out = plain_console()
    with preparing(console, StopFlag()) as report:
        for what, pairs in [("[a]", 0), ("[a]", 10), ("b", 5), ("b", 1000)]:
            report(what, pairs)
    assert out.getvalue() == "[a]\nb: 5 pairs\n"


def test_preparation_prints_a_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("nmt.training.monitor.time.monotonic", lambda: now[0])
    console, out = plain_console()
    with preparing(console, StopFlag()) as report:
        for now[0], pairs in [(0.0, 0), (3.0, 1000), (6.0, 2000), (7.0, 3000)]:
            report("a", pairs)
    assert out.getvalue() == "a\na: 2,000 pairs\n"


def test_preparation_on_a_terminal_is_one_line() -> None:
    out = io.StringIO()
    with preparing(Console(file=out, force_terminal=True, width=80), StopFlag()) as report:
        report("reading", 3)
    assert "reading: 3 pairs" in out.getvalue()
