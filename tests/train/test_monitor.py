"""What a training reports, and metrics.jsonl."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from nmt.config import Config
from nmt.errors import FileError
from nmt.train.monitor import Monitor, preparing
from nmt.train.signals import StopFlag

from .conftest import TinyRun

MakeConfig = Callable[..., Config]
MakeRun = Callable[..., TinyRun]


def plain() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=40), out


def test_metrics_have_the_documented_fields(make_config: MakeConfig, tiny_run: MakeRun) -> None:
    keys = {"save_every": 2, "average": "last", "average_count": 2, "log_every": 2}
    run = tiny_run().train(make_config(valid=True, max_steps=4, **keys))
    train, valid, mean = run.metrics("train"), run.metrics("valid"), run.metrics("mean")
    assert [record["step"] for record in train] == [2, 4]
    assert [record["step"] for record in valid + mean] == [4, 4]
    fields = {"kind", "step", "epoch", "loss", "ppl", "lr", "grad_norm", "tokens_per_s", "seconds"}
    for record in train:
        assert record.keys() == fields
    for record in valid + mean:
        assert record.keys() == {"kind", "step", "loss", "ppl", "bleu", "chrf"}
    assert train[1]["lr"] == pytest.approx(0.003 * 4 / 10)
    assert 0 < train[0]["seconds"] < train[1]["seconds"]


def test_a_line_of_metrics_is_over_the_steps_since_the_line_before(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    """The perplexity is a mean over tokens, so that of two steps lies between theirs."""
    each = tiny_run("each").train(make_config(max_steps=4)).metrics("train")
    pairs = tiny_run("pairs").train(make_config(max_steps=4, log_every=2)).metrics("train")
    for two, (first, second) in zip(pairs, [each[:2], each[2:]], strict=True):
        assert min(first["loss"], second["loss"]) < two["loss"] < max(first["loss"], second["loss"])
        assert min(first["ppl"], second["ppl"]) < two["ppl"] < max(first["ppl"], second["ppl"])
        assert two["grad_norm"] == second["grad_norm"]


def test_lines_of_steps_that_a_crash_took_go(tmp_path: Path) -> None:
    console, _ = plain()
    lines = [{"kind": "train", "step": step, "loss": 1.0} for step in (1, 2, 3)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text + '{"kind": "train", "st', "utf-8")
    monitor = Monitor(tmp_path, console, step=2, max_steps=9)
    monitor.log("train", 3, {"loss": 2.0})
    kept = (tmp_path / "metrics.jsonl").read_text("utf-8").split("\n")
    assert [json.loads(line) for line in kept if line] == [*lines[:2], {**lines[2], "loss": 2.0}]


@pytest.mark.parametrize("garbage", [b"\xff\xfe\n", b"3\n", b"[]\n", b'{"step": null}\n', b"\n"])
def test_lines_that_are_no_metrics_go(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(garbage + b'{"step": 1}\n')
    Monitor(tmp_path, plain()[0], step=2, max_steps=9)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"step": 1}\n'


def test_plain_lines_are_not_folded_marked_up_or_coloured(tmp_path: Path) -> None:
    console, out = plain()
    with Monitor(tmp_path, console, 0, 9) as monitor:
        monitor.advance(1)
        monitor.doing("validating")
        monitor.log("train", 7, {"loss": 2.18749, "lr": 0.00035149, "tokens_per_s": 5012.4})
        monitor.say("[red]as it is[/red] " * 5)
    assert out.getvalue() == (
        "train step      7  loss 2.187  lr 0.0003515  tokens_per_s 5012\n"
        + "[red]as it is[/red] " * 5
        + "\n"
    )


def test_a_terminal_has_a_progress_line(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with Monitor(tmp_path, console, 3, 9) as monitor:
        monitor.advance(4)
        monitor.doing("validating")
    assert "step 4/9" in out.getvalue()
    assert "validating" in out.getvalue()


def test_metrics_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path, plain()[0], 0, 9)
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(FileError, match=r"metrics\.jsonl: cannot be written"):
        monitor.log("train", 1, {"loss": 1.0})


def test_preparation_prints_a_line_when_the_work_changes() -> None:
    console, out = plain()
    with preparing(console, StopFlag()) as report:
        for what, pairs in [("[a]", 0), ("[a]", 10), ("b", 5), ("b", 1000)]:
            report(what, pairs)
    assert out.getvalue() == "[a]: 0 pairs\nb: 5 pairs\n"


def test_preparation_prints_a_line_after_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("nmt.train.monitor.time.monotonic", lambda: now[0])
    console, out = plain()
    with preparing(console, StopFlag()) as report:
        for now[0], pairs in [(0.0, 0), (3.0, 1000), (6.0, 2000), (7.0, 3000)]:
            report("a", pairs)
    assert out.getvalue() == "a: 0 pairs\na: 2,000 pairs\n"


def test_preparation_on_a_terminal_is_one_line() -> None:
    out = io.StringIO()
    with preparing(Console(file=out, force_terminal=True, width=80), StopFlag()) as report:
        report("reading", 3)
    assert "reading: 3 pairs" in out.getvalue()
