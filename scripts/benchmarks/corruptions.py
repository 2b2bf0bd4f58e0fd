"""How well `nmt translate --guard` tells good translations from bad ones.

References count as good translations, and copies that are corrupted on purpose as bad ones. The
last rows are the model's own translations. The figures are the per cent of the lines with each
flag, and with any. References have no confidence, which is learned from the model's translations.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common import positive
from rich.console import Console
from rich.table import Table

from report import Report

_URL = "https://example.org/news?id=17"
_LOOP = 6


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="a calibrated run")
    parser.add_argument("--src", type=Path, required=True, help="source text")
    parser.add_argument("--ref", type=Path, required=True, help="its translation")
    parser.add_argument("--other", type=Path, help="text in a third language")
    parser.add_argument("--sentences", type=positive, default=1000, help="lines of the text to use")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads")
    parser.add_argument("--output", type=Path, help="file for the JSON lines")


def run(options: argparse.Namespace) -> None:
    """Corrupt the references, check them, and print the figures."""
    import nmt
    from nmt.data.lines import read_lines
    from nmt.translate.translation import FLAGS

    report = Report("guard", options.output)
    model = nmt.load(options.model, engine="nmt", threads=options.threads)
    src, ref = ([*read_lines(path)][: options.sentences] for path in (options.src, options.ref))
    other = [*read_lines(options.other)][: options.sentences] if options.other else []
    found = [(name, _flags(model, pairs)) for name, pairs in _corrupted(src, ref, other)]
    rows = []
    for name, flags in [*found, *_own(options, src, ref)]:
        counts = Counter(flag for row in flags for flag in row)
        counts["any"] = sum(map(bool, flags))
        figures = {flag: 100 * counts[flag] / max(1, len(flags)) for flag in (*FLAGS, "any")}
        rows.append({"corruption": name, "lines": len(flags), **figures})
        report.write("run", rows[-1])
    _print(rows)


def _own(
    options: argparse.Namespace, src: Sequence[str], ref: Sequence[str]
) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Yield the flags of the model's translations, those that are acceptable first."""
    import nmt
    from nmt.evaluation.calibration import are_acceptable

    model = nmt.load(options.model, threads=options.threads)
    found = model.translate(src, guard="warn", alignments=True)
    acceptable = are_acceptable([each.text for each in found], ref)
    for name, wanted in (("own, acceptable", True), ("own, not acceptable", False)):
        yield name, [f.flags for f, is_so in zip(found, acceptable, strict=True) if is_so is wanted]


def _corrupted(
    src: Sequence[str], ref: Sequence[str], other: Sequence[str]
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the name of each corruption, and the pairs to which it applies, corrupted."""
    draw = random.Random(1)
    both = [*zip(src, ref, strict=True)]
    yield "none", both
    corrupt: dict[str, Callable[[str], str]] = {
        "loop of two words": lambda text: _loop(text, 2, draw),
        "loop of one word": lambda text: _loop(text, 1, draw),
        "said twice": lambda text: f"{text} {text}",
        "second half cut off": lambda text: " ".join(text.split()[: (len(text.split()) + 1) // 2]),
        "a digit changed": lambda text: _with_other_digit(text, draw),
    }
    for name, change in corrupt.items():
        changed = [(line, change(text)) for line, text in both]
        yield name, [new for new, old in zip(changed, both, strict=True) if new != old]
    yield "the source", [(line, line) for line in src]
    yield "another line", [*zip(src, [*ref[1:], ref[0]], strict=True)]
    yield "another line's source", [*zip(src, [*src[1:], src[0]], strict=True)]
    if other:
        yield "another language", [*zip(src, other, strict=False)]
    yield "URL kept", [(f"{line} {_URL}", f"{text} {_URL}") for line, text in both]
    yield "URL dropped", [(f"{line} {_URL}", text) for line, text in both]


def _loop(text: str, size: int, draw: random.Random) -> str:
    """Return a text that gets stuck in some of its words."""
    words = text.split()
    if len(words) <= size:
        return text
    end = draw.randint(size, len(words))
    return " ".join(words[:end] + _LOOP * words[end - size : end])


def _with_other_digit(text: str, draw: random.Random) -> str:
    places = [match.start() for match in re.finditer(r"[0-9]", text)]
    if not places:
        return text
    place = draw.choice(places)
    digit = draw.choice([d for d in "123456789" if d != text[place]])
    return text[:place] + digit + text[place + 1 :]


def _flags(model: Any, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Return the flags of each pair, as if the model had translated so."""
    from nmt.config.languages import LanguagePair
    from nmt.translate.guard.guard import Guard
    from nmt.translate.source import Source
    from nmt.translate.translation import ScoredText, Translation

    one = model.engine.models[0]
    guard = Guard("warn", LanguagePair(model.config.data.src_lang, model.config.data.tgt_lang))
    src, tgt = zip(*pairs, strict=True)
    sides = (side.encode(lines) for side, lines in zip(one.tokenizers, (src, tgt), strict=True))
    found = []
    for text, links, *ids in zip(tgt, model.align(src, tgt), *sides, strict=True):
        lengths = [len(side) + 1 for side in ids]
        checks = {"short": one.lengths.is_short, "long": one.lengths.is_long}
        flags = tuple(flag for flag, check in checks.items() if check(*lengths))
        found.append(Translation([ScoredText(text, 0.0, alignment=links)], flags))
    return [each.flags for each in guard([*map(Source, src)], found)]


def _print(rows: Sequence[dict[str, Any]]) -> None:
    """Print the figures; only flags that occur have a column."""
    flags = [name for name in rows[0] if any(row[name] for row in rows)]
    table = Table(*flags)
    for row in rows:
        table.add_row(
            *(
                f"{row[name]:.1f}" if isinstance(row[name], float) else str(row[name])
                for name in flags
            )
        )
    Console(stderr=True, width=160).print(table)
