"""The recipes in configs/ reach their scores: `nmt reproduce`, which takes minutes to hours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from command import NMT

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.slow


def nmt(*arguments: str | Path) -> str:
    """Run a command, and return its standard output."""
    command = [*NMT, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def reproduce(run: Path, recipe: str, folder: str = "") -> None:
    """Prove a recipe, with text from a folder of the shared data."""
    if folder and not (DATA / folder).is_dir():
        pytest.skip(f"no data in {DATA / folder}")
    text = ["--data", DATA / folder] if folder else []
    assert nmt("reproduce", ROOT / "configs" / recipe, "--run-dir", run, *text).endswith("PASS\n")


def test_demo(tmp_path: Path) -> None:
    reproduce(tmp_path / "run", "demo.yaml")
    # The last layer gives the links of `nmt translate --alignments`; the README reports 10.1 %.
    last = nmt("alignment-error", tmp_path / "run").rstrip("\n").split("\n")[-1]
    assert float(last.split()[1]) <= 15.0


def test_multi30k(tmp_path: Path) -> None:
    reproduce(tmp_path / "run", "multi30k-en-de.yaml", "multi30k")
    compare_with_ctranslate2(tmp_path / "run", DATA / "multi30k" / "test_2016_flickr.en.gz")


def compare_with_ctranslate2(run: Path, text: Path) -> None:
    """Check that the exported model gives the same translations, with scores within 1e-3."""
    pytest.importorskip("ctranslate2")
    exported = run.with_name("exported")
    nmt("export", run, "--to", "ctranslate2", "-o", exported)
    search = ["--beam-size", "4", "--length-penalty", "0", "--scores"]
    ours = nmt("translate", run, text, *search).rstrip("\n").split("\n")
    theirs = nmt("translate", exported, text, *search, "--engine", "ctranslate2")
    for line, other in zip(ours, theirs.rstrip("\n").split("\n"), strict=True):
        (score, best), (other_score, other_best) = line.split("\t"), other.split("\t")
        assert best == other_best
        assert abs(float(score) - float(other_score)) < 1e-3


@pytest.mark.parametrize(
    ("recipe", "folder"),
    [
        ("multi30k-en-de-rnn.yaml", "multi30k"),
        ("multi30k-en-de-conv.yaml", "multi30k"),
        ("multi30k-tok-en-de.yaml", "multi30k/tok"),
        ("tatoeba-en-de.yaml", "tatoeba-en-de"),
    ],
)
def test_others(tmp_path: Path, recipe: str, folder: str) -> None:
    reproduce(tmp_path / "run", recipe, folder)


def test_parsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    treebank = DATA / "treebank-gum"
    if not treebank.is_dir():
        pytest.skip(f"no data in {treebank}")
    monkeypatch.chdir(tmp_path)
    Path("gum").mkdir()
    for part in ("train", "dev", "test"):
        nmt("treebank", "--leaves", "words", f"gum/{part}", treebank / f"{part}.ptb.gz")
    reproduce(Path("run"), "parsing-gum.yaml")
