"""The recipes in configs/ reach the scores in their headers; each trains for minutes to an hour."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MULTI30K = ROOT.parent / "shared" / "data" / "multi30k"

pytestmark = pytest.mark.slow


def trained_bleu(run: Path, config: str, *overrides: str) -> float:
    """Train a recipe and score it on its test set."""
    nmt = [sys.executable, "-c", "from nmt.cli import app; app()"]
    path = str(ROOT / "configs" / config)
    subprocess.run([*nmt, "train", path, *overrides, "--run-dir", str(run)], check=True)
    done = subprocess.run(
        [*nmt, "evaluate", str(run), "--metrics", "bleu", "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(json.loads(done.stdout)[0]["score"])


def test_the_demo_reaches_90_bleu(tmp_path: Path) -> None:
    assert trained_bleu(tmp_path / "run", "demo.yaml") >= 90.0


@pytest.mark.skipif(not MULTI30K.is_dir(), reason=f"no data in {MULTI30K}")
def test_multi30k_reaches_36_bleu(tmp_path: Path) -> None:
    corpora = [
        f"data.{part}={{src: {MULTI30K / name}.en.gz, tgt: {MULTI30K / name}.de.gz}}"
        for part, name in (("train", "train"), ("valid", "val"), ("test", "test_2016_flickr"))
    ]
    assert trained_bleu(tmp_path / "run", "multi30k-en-de.yaml", *corpora) >= 36.0
