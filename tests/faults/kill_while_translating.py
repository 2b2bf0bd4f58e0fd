"""Kill a translation into a file at each fsync, write, rename and deletion in turn, and resume it.

Run this in an empty folder, with a run directory as argument. Each translation is a child process,
forked with the model in memory. The script prints the operations at which the children were killed.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import deadly
import torch

import nmt.files
import nmt.translate.translator
from nmt.config.search import SearchOptions
from nmt.runs.model import load_model
from nmt.translate.formats import JsonLayout, Layout, TextLayout
from nmt.translate.partial_output import is_finished
from nmt.translate.resume import translate_file
from nmt.translate.torch_engine import Networks
from nmt.translate.translator import Translator

WORDS = ["the", "cat", "dog", "sat", "on", "a", "mat", "ran", "home", ""]
OPERATIONS = [
    deadly.Operation(os, "fsync"),
    deadly.Operation(Path, "replace"),
    deadly.Operation(Path, "unlink"),
    deadly.Operation(nmt.files, "write_text"),
]


def translate(
    translator: Translator, layout: Layout, path: Path, resume: bool, death: int = -1
) -> str | None:
    """Translate in a child that is killed at an operation; return the operation, if it was."""

    def bulk() -> None:
        lines = Path("in").read_bytes().decode("utf-8").split("\n")[:-1]
        if not (resume and is_finished(path)):
            translate_file(translator, lines, layout, path, resume=resume, log=lambda _: None)

    return deadly.run(bulk, OPERATIONS, death)


def resume_until_done(translator: Translator, layout: Layout, path: Path, death: int) -> list[str]:
    """Start and resume a translation that is killed each time at the same operation."""
    deaths = []
    while where := translate(translator, layout, path, bool(deaths), death):
        deaths.append(where)
        assert len(deaths) < 100
    return deaths


def main() -> None:
    torch.set_num_threads(1)
    # Windows of about ten lines in batches of several; other batches would round differently.
    nmt.translate.translator._BATCHES_AHEAD = 1
    models = [load_model(sys.argv[1])]
    translator = Translator(Networks(models), SearchOptions(batch_tokens=50, beam_size=2, nbest=2))
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(0, 5))) for _ in range(40)]
    Path("in").write_text("".join(f'{{"src": "{text}"}}\n' for text in texts), "utf-8")
    for layout, name in [
        (JsonLayout("src", nbest=True, scores=True), "out.gz"),
        (TextLayout(nbest=True), "out"),
    ]:
        whole, cut = Path("whole") / name, Path("cut") / name
        whole.parent.mkdir(exist_ok=True)
        cut.parent.mkdir(exist_ok=True)
        assert translate(translator, layout, whole, resume=False) is None
        number = 0
        while where := translate(translator, layout, cut, resume=False, death=number):
            print(where)
            assert translate(translator, layout, cut, resume=True) is None
            assert [path.name for path in cut.parent.iterdir()] == [name], where
            assert cut.read_bytes() == whole.read_bytes(), where
            cut.unlink()
            number += 1
        cut.unlink()
        # These children survive long enough to finish a window.
        for death in (9, 13):
            assert len(resume_until_done(translator, layout, cut, death)) > 1
            assert [path.name for path in cut.parent.iterdir()] == [name]
            assert cut.read_bytes() == whole.read_bytes()
            cut.unlink()


if __name__ == "__main__":
    main()
