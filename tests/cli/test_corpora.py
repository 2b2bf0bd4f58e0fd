"""`nmt demo-text`, and `nmt alignment-error` on its corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import run_nmt
from nmt.data.phrasebook import SPLITS, pairs


@pytest.mark.parametrize("part", SPLITS)
def test_the_demo_corpus_is_written_to_files(tmp_path: Path, part: str) -> None:
    assert run_nmt("demo-text", part, tmp_path / part).exit_code == 0
    for lang, side in (("en", "src"), ("de", "tgt")):
        text = "".join(f"{getattr(pair, side)}\n" for pair in pairs(part))
        assert (tmp_path / f"{part}.{lang}").read_bytes() == text.encode()


def test_alignment_error_prints_a_row_per_layer(trained_run: Path) -> None:
    result = run_nmt("alignment-error", trained_run)
    assert result.exit_code == 0, result.stderr
    heading, row, end = result.stdout.split("\n")
    assert (heading, end) == ("layer  AER %  precision %  recall %", "")
    layer, error, precision, recall = map(float, row.split())
    assert layer == 1
    # With one kind of link the error rate is 1 - F1; the figures are rounded.
    assert abs(error - (100 - 2 * precision * recall / (precision + recall))) < 0.2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["alignment-error", "nodir"], 4, "nodir"),
        (["demo-text", "tests", "x"], 2, "'tests' is not one of 'train', 'valid', 'test'"),
        (["demo-text", "test", "nodir/x"], 4, "nmt: nodir/x.en: cannot be written: No such"),
    ],
)
def test_errors(arguments: list[str], code: int, message: str) -> None:
    result = run_nmt(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in " ".join(result.stderr.replace("│", " ").split())
