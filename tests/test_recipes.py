"""The recipes in configs/ reach the scores in their headers; each takes minutes to hours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from command import NMT

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"

# Processors round differently, which changes a training run as much as another seed.
TOLERANCE = 1.5

pytestmark = pytest.mark.slow


def header_score(config: str) -> float:
    """Return the score in the header of a recipe, which follows a sacreBLEU signature."""
    header = re.split(r"^data:", (ROOT / "configs" / config).read_text("utf-8"), flags=re.M)[0]
    [score] = re.findall(r"version:\S+(?:\n# *)? = ([0-9.]+)", header)
    return float(score)


def nmt(*arguments: str | Path) -> str:
    """Run a command, and return its standard output."""
    command = [*NMT, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def script(*arguments: str | Path) -> str:
    """Run a script, and return its standard output."""
    name, *rest = map(str, arguments)
    env = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    command = [str(ROOT / "scripts" / name), *rest]
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout


def train(run: Path, config: str, *overrides: str) -> None:
    nmt("train", ROOT / "configs" / config, *overrides, "--run-dir", run)


def score_of(run: Path, *options: str | Path) -> float:
    return float(json.loads(nmt("evaluate", run, *options, "--json"))[0]["score"])


def corpora(folder: Path, infix: str = "") -> list[str]:
    """Return overrides that name the parts of Multi30k in a folder."""
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}")
    return [
        f"data.{part}={{src: {folder / name}{infix}.en.gz, tgt: {folder / name}{infix}.de.gz}}"
        for part, name in (("train", "train"), ("valid", "val"), ("test", "test_2016_flickr"))
    ]


def test_the_demo_reaches_its_scores(tmp_path: Path) -> None:
    train(tmp_path / "run", "demo.yaml")
    assert score_of(tmp_path / "run") >= header_score("demo.yaml") - TOLERANCE
    # The last layer gives the links of `nmt translate --alignments`; the README reports 10.1 %.
    last = script("alignment-error", tmp_path / "run").rstrip("\n").split("\n")[-1]
    assert float(last.split()[1]) <= 15.0


def test_multi30k(tmp_path: Path) -> None:
    config = "multi30k-en-de.yaml"
    train(tmp_path / "run", config, *corpora(DATA / "multi30k"))
    assert score_of(tmp_path / "run") >= header_score(config) - TOLERANCE
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


@pytest.mark.parametrize("config", ["multi30k-en-de-rnn.yaml", "multi30k-en-de-conv.yaml"])
def test_multi30k_with_earlier_architectures(tmp_path: Path, config: str) -> None:
    train(tmp_path / "run", config, *corpora(DATA / "multi30k"))
    assert score_of(tmp_path / "run") >= header_score(config) - TOLERANCE


def test_multi30k_tokenised(tmp_path: Path) -> None:
    config = "multi30k-tok-en-de.yaml"
    train(tmp_path / "run", config, *corpora(DATA / "multi30k" / "tok", ".lc.norm.tok"))
    assert score_of(tmp_path / "run", "--tokenize", "none") >= header_score(config) - TOLERANCE


def test_parsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    treebank = DATA / "treebank-gum"
    if not treebank.is_dir():
        pytest.skip(f"no data in {treebank}")
    monkeypatch.chdir(tmp_path)
    Path("gum").mkdir()
    for part in ("train", "dev", "test"):
        script("treebank", "--leaves", "words", f"gum/{part}", treebank / f"{part}.ptb.gz")
    train(Path("run"), "parsing-gum.yaml")
    options = ["--metrics", "bracket-f1", "--src", "gum/test.src", "--ref", "gum/test.trees"]
    assert score_of(Path("run"), *options) >= header_score("parsing-gum.yaml") - TOLERANCE
