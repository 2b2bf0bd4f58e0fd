"""Lexical shortlists: the target tokens that a source token is likely to be translated with.

A run keeps its shortlist in `RUN/shortlist/`, a directory with a manifest. The ids belong to the
tokenizers of the run, not to its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nmt.data.tokenizer import Tokenizers
from nmt.errors import FileError
from nmt.files import as_file_error, read_bounded
from nmt.runs.layout import has_shortlist
from nmt.runs.manifest import problems, save_directory

MAX_BYTES = 1 << 30
_FILE = "table.safetensors"
Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Shortlist:
    """The target tokens that translations may contain.

    Attributes:
        always: int32 ids that every translation may contain, EOS among them, ascending [N].
        likely: int32 ids for each source token [S, K], filled up with -1.
    """

    always: Int32s
    likely: Int32s

    def of(self, src_ids: Sequence[int], prefix: Sequence[int] = ()) -> Int32s:
        """Return the ids that translations of a sentence may contain, ascending.

        Args:
            src_ids: the sentence.
            prefix: target ids that its translations begin with; they are added.
        """
        rows = self.likely[np.asarray(src_ids, np.int64)].ravel()
        found = np.concatenate([self.always, rows[rows >= 0], np.asarray(prefix, np.int32)])
        return np.unique(found)

    def vmap(self, tokenizers: Tokenizers) -> str:
        """Return the content of CTranslate2's vmap.txt.

        Each line is a source piece, a tab, and target pieces separated by spaces. The line without
        a source piece lists what is always allowed. Pieces that contain a separator are left out.
        """
        src, tgt = tokenizers.src.vocabulary(), tokenizers.tgt.vocabulary()
        rows = [("", self.always.tolist()), *zip(src, self.likely.tolist(), strict=True)]
        lines = []
        for piece, ids in rows:
            names = [tgt[i] for i in ids if i >= 0 and not _has_separator(tgt[i])]
            if names and not _has_separator(piece):
                lines.append(f"{piece}\t{' '.join(names)}\n")
        return "".join(lines)


def _has_separator(piece: str) -> bool:
    return any(character in piece for character in " \t\r\n")


def save_shortlist(shortlist: Shortlist, run: Path) -> None:
    """Write a run's shortlist, in place of an earlier one.

    Raises:
        FileError: if it cannot be written.
    """
    content = save({"always": shortlist.always, "likely": shortlist.likely})
    directory = run / "shortlist"
    with as_file_error(directory):
        save_directory(directory, lambda folder: (folder / _FILE).write_bytes(content))


def load_shortlist(run: Path, tokenizers: Tokenizers) -> Shortlist:
    """Load a run's shortlist.

    Raises:
        FileError: if there is none, it is damaged, or it does not fit the tokenizers.
    """
    directory = run / "shortlist"
    if not has_shortlist(run):
        raise FileError(f"{run}: has no shortlist: `nmt shortlist {run}` learns one")
    damaged = partial(_damaged, run)
    for problem in problems(directory):
        raise damaged(problem)
    path = directory / _FILE
    try:
        tables = load(read_bounded(path, MAX_BYTES))
        always, likely = tables["always"], tables["likely"]
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise damaged(f"{path}: not a shortlist") from error
    sizes = tokenizers.src.vocab_size, tokenizers.tgt.vocab_size
    if not _fits(always, likely, *sizes) or tokenizers.tgt.eos_id not in always:
        raise damaged(f"{path}: not a shortlist for the tokenizers of this run")
    return Shortlist(always, likely)


def _fits(always: Int32s, likely: Int32s, src_size: int, tgt_size: int) -> bool:
    if any(table.dtype != np.int32 for table in (always, likely)):
        return False
    if always.ndim != 1 or likely.ndim != 2 or len(likely) != src_size:
        return False
    in_range = (always >= 0).all() and (always < tgt_size).all()
    return bool(in_range and (likely >= -1).all() and (likely < tgt_size).all())


def _damaged(run: Path, problem: str) -> FileError:
    return FileError(problem, f"`nmt shortlist {run}` learns the shortlist again")
