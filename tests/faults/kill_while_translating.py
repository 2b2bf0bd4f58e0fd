"""Kills a bulk translation at each fsync, write, rename and deletion in turn, and resumes it.

Called with a run directory in an empty folder. Every translation is a child that is forked with
the model in memory. Prints the deaths.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import nmt.decode.translator
from nmt.decode.bulk import finished, translate_file
from nmt.decode.layouts import JsonLayout, Layout, TextLayout
from nmt.decode.translator import TranslateOptions, Translator
from nmt.trained_model import load_model

WORDS = ["the", "cat", "dog", "sat", "on", "a", "mat", "ran", "home", ""]


def translate(
    translator: Translator, layout: Layout, path: Path, resume: bool, death: int = -1
) -> str | None:
    """Translate in a child that dies at an operation; return at which, if it did."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        die_at(death, writer)
        lines = Path("in").read_bytes().decode("utf-8").split("\n")[:-1]
        if not (resume and finished(path)):
            translate_file(translator, lines, layout, path, resume=resume, say=lambda _: None)
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        where = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return where
    assert os.waitstatus_to_exitcode(status) == 0
    return None


def die_at(number: int, writer: int) -> None:
    """Have this process die at an operation on files, counted from 0; writes have two halves."""
    left = number

    def step(what: str) -> None:
        nonlocal left
        if left == 0:
            os.write(writer, what.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def dying(owner: Any, name: str, half: Callable[..., object] | None = None) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def operation(*args: Any, **kwargs: Any) -> Any:
            paths = [str(path) for path in args if isinstance(path, Path)]
            step(" ".join(["before", name, *paths]))
            if half and left == 0:
                half(*args)
            if half:
                step(f"half-way in {name}")
            return function(*args, **kwargs)

        setattr(owner, name, operation)

    dying(os, "fsync")
    dying(Path, "replace")
    dying(Path, "unlink")
    dying(
        Path, "write_text", lambda path, text, *_: path.write_bytes(text.encode()[: len(text) // 2])
    )


def resume_until_done(translator: Translator, layout: Layout, path: Path, death: int) -> list[str]:
    """Start and resume a translation that dies each time at the same operation."""
    deaths = []
    while where := translate(translator, layout, path, bool(deaths), death):
        deaths.append(where)
        assert len(deaths) < 100
    return deaths


def main() -> None:
    torch.set_num_threads(1)
    # Windows of ten lines or so, whose batches hold several: other batches would round otherwise.
    nmt.decode.translator._BATCHES_AHEAD = 1
    models = [load_model(sys.argv[1])]
    translator = Translator(models, TranslateOptions(batch_tokens=50, beam_size=2, nbest=2))
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
        # From here on each life gets as far as a window.
        for death in (9, 13):
            assert len(resume_until_done(translator, layout, cut, death)) > 1
            assert [path.name for path in cut.parent.iterdir()] == [name]
            assert cut.read_bytes() == whole.read_bytes()
            cut.unlink()


if __name__ == "__main__":
    main()
