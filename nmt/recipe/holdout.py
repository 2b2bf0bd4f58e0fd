"""Pairs that are held out of the training text for validation."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nmt.check.corpora import Bools, Sentences
from nmt.config.corpora import FilesCorpus
from nmt.data.prepared import Int64s
from nmt.errors import DataError
from nmt.files import writing
from nmt.recipe.survey import read_text

_MOST = 2000
_SHARE = 20
"""At most one pair of this many."""
_SEED = 1


class Files(NamedTuple):
    """A text file for each side of two parts."""

    train_src: Path
    train_tgt: Path
    valid_src: Path
    valid_tgt: Path


def files_next_to(output: Path, languages: tuple[str, str], *, zipped: bool) -> Files:
    """Return the names of the files for a configuration, such as `recipe.train.en.gz`."""
    ending = ".gz" if zipped else ""
    return Files(
        *(
            output.with_name(f"{output.stem}.{part}.{language}{ending}")
            for part in ("train", "valid")
            for language in languages
        )
    )


def drawn_rows(sentences: Sentences) -> list[int]:
    """Draw the pairs to hold out.

    Neither their source nor their target occurs anywhere else, so nothing in the rest gives them
    away, and the rest loses nothing but them.

    Args:
        sentences: of all pairs.

    Returns:
        Their rows, at most 2,000 and at most 5 % of all.

    Raises:
        DataError: if there are none.
    """
    once = _occurs_once(sentences.src_N) & _occurs_once(sentences.tgt_N)
    candidates = np.flatnonzero(once)
    number = min(_MOST, len(once) // _SHARE, len(candidates))
    if not number:
        raise DataError(
            f"of {len(once):,} pairs, none can be held out for validation: there must be at least "
            f"{_SHARE}, and some whose sentences occur only once; give `valid_src` and `valid_tgt`"
        )
    rows = np.random.default_rng(_SEED).choice(candidates, number, replace=False)
    return [int(row) for row in rows]


def _occurs_once(hashes_N: Int64s) -> Bools:
    _, places, counts = np.unique(hashes_N, return_inverse=True, return_counts=True)
    return np.asarray(counts[places] == 1)


def divide(corpus: FilesCorpus, rows: Collection[int], files: Files) -> None:
    """Write the pairs with text on both sides to files, the given rows apart from the rest.

    Raises:
        DataError, FileError: if the corpus cannot be read, or a file cannot be written.
    """
    held_out = frozenset(rows)
    with ExitStack() as stack:
        train_src, train_tgt, *valid = [stack.enter_context(writing(path)) for path in files]
        with_text = (pair for pair in read_text(corpus) if pair.has_text)
        for row, pair in enumerate(with_text):
            src, tgt = valid if row in held_out else (train_src, train_tgt)
            src.write(pair.src.encode("utf-8") + b"\n")
            tgt.write(pair.tgt.encode("utf-8") + b"\n")
