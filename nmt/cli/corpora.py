"""nmt treebank and demo-text."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.app import log

Prefix = Annotated[
    Path, typer.Argument(metavar="PREFIX", help="Path and prefix of the output files.")
]


class Leaves(str, Enum):
    """What represents a word in a linearised tree."""

    XX = "XX"
    tags = "tags"
    words = "words"


class Part(str, Enum):
    """A part of the built-in corpus."""

    train = "train"
    valid = "valid"
    test = "test"


def treebank(
    prefix: Prefix,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Trees in Penn Treebank brackets, plain or .gz; - is the standard input.",
        ),
    ],
    leaves: Annotated[
        Leaves,
        typer.Option(help="What stands for a word: XX, its part-of-speech tag or the word itself."),
    ] = Leaves.XX,
) -> None:
    """Convert a treebank into a parsing corpus.

    Writes PREFIX.src (sentences), PREFIX.tgt (linearised trees) and PREFIX.trees (references for
    nmt evaluate --metrics bracket-f1), line by line.
    """
    from nmt.parsing.trees import write_pairs

    number = write_pairs(files, prefix, leaves.value)
    log(f"{prefix}: {number} trees")


def demo_text(
    part: Annotated[Part, typer.Argument(metavar="train|valid|test", help="The part to write.")],
    prefix: Prefix,
) -> None:
    """Write a part of the built-in corpus as PREFIX.en and PREFIX.de."""
    from nmt.data.phrasebook import SRC_LANG, TGT_LANG, pairs
    from nmt.files import write_lines

    for lang, side in ((SRC_LANG, "src"), (TGT_LANG, "tgt")):
        write_lines((getattr(pair, side) for pair in pairs(part.value)), Path(f"{prefix}.{lang}"))
