"""Where the word alignment of the training data comes from, and its errors."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config.schema import Config
from nmt.console import Console
from nmt.data.links import WordLinks
from nmt.data.prepare import prepare
from nmt.errors import ConfigError, DataError, NmtError, TrainingError
from nmt.training import aligners
from nmt.training.initial import initial_tokenizers
from nmt.training.word_alignment import align_words, check_alignments

Align = Callable[..., list[list[tuple[int, int]]]]

PROGRAM = """\
#!{python}
# Links word n of one side to word n of the other, and counts its calls.
import sys
options = dict(zip(sys.argv, sys.argv[1:]))
open({calls!r}, "a").write("x")
{fail}
if "-s" in options:
    pairs = zip(open(options["-s"], encoding="utf-8"), open(options["-t"], encoding="utf-8"))
    outputs = [open(options["-f"], "w"), open(options["-r"], "w")]
else:
    pairs = (line.split(" ||| ") for line in open(options["-i"], encoding="utf-8"))
    outputs = [sys.stdout]
for src, tgt in pairs:
    size = min(len(src.split()), len(tgt.split()))
    for output in outputs:
        print(*(f"{{i}}-{{i}}" for i in range(size)), file=output)
"""


@pytest.fixture
def align(
    make_config: Callable[..., Config], tmp_path: Path
) -> Callable[..., tuple[WordLinks, str]]:
    """Return a function that aligns pairs of text.

    Its arguments are the pairs, the lines of links, keys of the corpus and of the section. It
    returns the links and what was printed.
    """

    def run(
        pairs: list[tuple[str, str]], links: str | None = None, **keys: Any
    ) -> tuple[list[list[list[int]]], str]:
        corpus: dict[str, Any] = {}
        for side, texts in zip(("src", "tgt"), zip(*pairs, strict=True), strict=True):
            (tmp_path / side).write_text("".join(f"{text}\n" for text in texts), "utf-8")
            corpus[side] = str(tmp_path / side)
        if links is not None:
            (tmp_path / "links").write_text(links, "utf-8")
            corpus["alignments"] = str(tmp_path / "links")
        data = {"train": corpus | keys.pop("corpus", {}), **keys.pop("data", {})}
        data["cache_dir"] = str(tmp_path / "cache")
        config = make_config(data=data, guided_alignment=keys)
        check_alignments(config)
        tokenizers = initial_tokenizers(config)
        prepared = prepare(config, tokenizers, config.data.train, filtered=True)
        out = io.StringIO()
        console = Console(file=out, width=300)
        found = align_words(config, tokenizers, prepared, console, lambda *_: None)
        rows = found.take(np.arange(len(prepared)))
        return [row.tolist() for row in rows], out.getvalue()

    return run


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that installs stand-ins for programs; they write to the file returned."""
    folder = tmp_path / "bin"
    folder.mkdir()
    python = os.path.realpath(sys.executable)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(folder))
    calls = tmp_path / "calls"

    def make(*names: str, fail: str = "") -> Path:
        for name in names:
            text = PROGRAM.format(python=python, calls=str(calls), fail=fail)
            (folder / name).write_text(text, "utf-8")
            (folder / name).chmod(stat.S_IRWXU)
        return calls

    return make


PAIRS = [("ab bad.", "bad ab."), ("cab (dab)", "dab fed"), ("gab", "head jade")]


def test_links_of_a_file_with_filters_and_reversed_sides(align: Align) -> None:
    # Words: 3 w + 1. Both sides of the first pair have a full stop at linked words: 3 w + 2.
    rows, log = align(PAIRS, "0-1 1-0\n1-0\n0-0 0-1\n")
    assert rows == [[[1, 4], [4, 1]], [[4, 1]], [[1, 1], [1, 4]]]
    assert log == "guided alignment: 5 links in 3 of 3 pairs, from files\n"
    same, _ = align([("a.", "b."), ("a", "(b)")], "0-0\n0-0\n")
    assert same == [[[1, 1], [2, 2]], [[1, 1]]]
    rows, _ = align(PAIRS, "0-1 1-0\n1-0\n0-0 0-1\n", corpus={"reversed": True})
    assert rows[2] == [[1, 1], [4, 1]]
    # The last two pairs are too long, so that their links are never looked at.
    rows, _ = align(PAIRS, "0-1 1-0\n9-9\n9-9\n", data={"max_length": 9})
    assert rows == [[[1, 4], [4, 1]]]


def test_words_that_the_tokenizer_counts_differently_have_no_links(align: Align) -> None:
    # Normalization removes U+200B, which is a word by itself here.
    rows, _ = align([("a \u200b b", "a b"), ("a b", "a b")], "0-0 2-1\n0-0\n")
    assert rows == [[], [[1, 1]]]


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ("0-0\n0-0\n", "links has 2 lines, but its corpus has 3 pairs: line n must"),
        ("0-0\n0-0\n0-0\n0-0\n", "links has 4 lines, but its corpus has 3 pairs"),
        ("0-0\n0-0 1\n\n", "links:2: must be links such as 0-0 1-2, source and target word, but"),
        ("0-0\n-1-0\n\n", "links:2: must be links"),
        ("0-0\na-b\n\n", "links:2: must be links such as 0-0 1-2, source and target word"),
        ("0-0\n\n1-0\n", r"links:3: the link 1-0 has no source word 1: there are 1, separated"),
        ("0-2\n\n\n", r"links:1: the link 0-2 has no target word 2: there are 2, separated"),
    ],
)
def test_files_that_do_not_fit(align: Align, links: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        align(PAIRS, links)


def test_a_missing_file_is_an_error(align: Align) -> None:
    with pytest.raises(NmtError, match=r"nowhere: cannot be read: No such file"):
        align(PAIRS, corpus={"alignments": "nowhere"})


def test_a_pattern_cannot_have_alignments(align: Align, tmp_path: Path) -> None:
    patterns = {side: str(tmp_path / f"part*.{side}") for side in ("src", "tgt")}
    for side in ("src", "tgt"):
        (tmp_path / f"part1.{side}").write_text("a\n", "utf-8")
    with pytest.raises(NmtError, match="a corpus with alignments cannot be a pattern"):
        align(PAIRS, "\n\n\n", corpus=patterns)


@pytest.mark.parametrize(
    ("programs", "chosen"),
    [
        (["eflomal-align", "fast_align"], "eflomal"),
        (["fast_align"], "fast_align"),
    ],
)
def test_programs_align_what_has_no_file(
    align: Align, install: Callable[..., Path], programs: list[str], chosen: str
) -> None:
    calls = install(*programs)
    rows, log = align(PAIRS)
    # With punctuation apart, the first pair has three words, of which the last are full stops.
    assert rows == [[[1, 1], [4, 4], [5, 5]], [[1, 1], [3, 4]], [[1, 1]]]
    assert log.endswith(f"pairs, from {chosen}\n")
    before = calls.read_text()
    assert align(PAIRS)[0] == rows  # from the cache
    assert calls.read_text() == before


def test_a_program_that_is_missing_or_fails(align: Align, install: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="neither eflomal nor fast_align is installed: for eflo"):
        align(PAIRS)
    with pytest.raises(ConfigError, match="fast_align is not installed: there is no program"):
        align(PAIRS, aligner="fast_align")
    install("eflomal-align", fail="sys.exit('no memory')")
    with pytest.raises(TrainingError, match="eflomal-align: failed with exit code 1: no memory"):
        align(PAIRS)


def test_eflomal_itself(align: Align) -> None:
    if aligners._find("eflomal") is None:
        pytest.skip("eflomal is not installed")
    pairs = [("ab cab", "xx yy"), ("cab ab", "yy xx"), ("ab", "xx"), ("cab", "yy")] * 20
    rows, _ = align(pairs, aligner="eflomal")
    assert rows[2:4] == [[[1, 1]], [[1, 1]]]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"guided_alignment": {"run": "a", "aligner": "eflomal"}}, "run needs aligner: run"),
        ({"guided_alignment": {"aligner": "run"}}, "aligner: run needs run"),
        ({"guided_alignment": {"reverse_run": "a"}}, "reverse_run needs run"),
        ({"guided_alignment": {"aligner": "none"}}, "aligner: none needs alignments"),
        ({"guided_alignment": {"layer": 2}}, "layer is 2, but model.decoder_layers is 1"),
        ({"guided_alignment": {}, "model": {"kind": "rnn"}}, "needs model.kind: transformer"),
        (
            {"guided_alignment": {}, "data": {"streaming": True}},
            "cannot be combined with streaming",
        ),
        ({"guided_alignment": {}, "shard": True}, "cannot be combined with shard"),
        ({"data": {"train": {"demo": "train", "alignments": "x"}}}, "which nothing uses"),
    ],
)
def test_conflicts(make_config: Callable[..., Config], keys: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_config(**keys)


@pytest.mark.trains
def test_runs_align_with_their_attention(
    make_config: Callable[..., Config], align: Align, tiny_run: Callable[..., Any]
) -> None:
    run = tiny_run().train(make_config(max_steps=2))
    rows, log = align(PAIRS, run=str(run.path))
    # Each target word has one link.
    assert [sorted(tgt for _, tgt in row) for row in rows] == [[1, 4, 5], [1, 4], [1, 4]]
    assert log.endswith("from run\n")
    with pytest.raises(ConfigError, match=r"reverse_run: .*run translates en to xx, but xx to en"):
        align(PAIRS, run=str(run.path), reverse_run=str(run.path))
    backwards = make_config(max_steps=2, data={"src_lang": "xx", "tgt_lang": "en"})
    reverse = tiny_run("reverse").train(backwards)
    both, _ = align(PAIRS, run=str(run.path), reverse_run=str(reverse.path))
    assert all(both)
