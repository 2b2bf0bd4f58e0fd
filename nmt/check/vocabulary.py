"""The check of the vocabulary: how much of it training uses, and which text it does not know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.check.corpora import chunks
from nmt.check.finding import Finding, share
from nmt.data.prepared import Prepared
from nmt.data.tokenizer import Tokenizer, Tokenizers

_MANY_UNKNOWN = 0.01
_UNKNOWN_ROWS = 200
_EXAMPLES = 5


@dataclass(frozen=True)
class Unknown:
    """Unknown characters, or unknown words if every single character is known.

    Attributes:
        src: the most frequent in the first rows that have any, each with an occurrence as
            `file:line`.
        tgt: the same for the target side.
    """

    src: dict[str, str]
    tgt: dict[str, str]


@dataclass(frozen=True)
class Vocabulary:
    """How many pieces of the vocabulary the training pairs use.

    Attributes:
        src_pieces: size of the source vocabulary without special pieces.
        tgt_pieces: size of the target vocabulary; equal to `src_pieces` if it is joint.
        src_used: number of pieces that the source side uses.
        tgt_used: number of pieces that the target side uses.
        used: number of pieces of a joint vocabulary that either side uses; None if not joint.
        unknown: examples of unknown text in each part of the data.
    """

    src_pieces: int
    tgt_pieces: int
    src_used: int
    tgt_used: int
    used: int | None
    unknown: dict[str, Unknown]


def used_vocabulary(parts: Mapping[str, Prepared], tokenizers: Tokenizers) -> Vocabulary:
    """Count the pieces used in training, and collect examples of unknown text in each part."""
    used: list[npt.NDArray[np.bool_]] = []
    unknown = {}
    for name, prepared in parts.items():
        usages = [_Usage(tokenizer) for tokenizer in tokenizers]
        for rows in chunks(prepared):
            for usage, ids in zip(usages, prepared.rows(rows), strict=True):
                usage.add(rows, ids)
        if name == "train":
            used = [usage.used() for usage in usages]
        unknown[name] = Unknown(
            *(usage.unknown(prepared, side) for side, usage in enumerate(usages))
        )
    src, tgt = used
    return Vocabulary(
        src_pieces=len(src),
        tgt_pieces=len(tgt),
        src_used=int(src.sum()),
        tgt_used=int(tgt.sum()),
        used=int((src | tgt).sum()) if tokenizers.joint else None,
        unknown=unknown,
    )


class _Usage:
    """Collects which pieces one side uses, and which rows have unknown tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._used = np.zeros(tokenizer.vocab_size, np.bool_)
        self._unknown_rows: list[int] = []

    def add(self, rows: range, ids: Sequence[npt.NDArray[np.int32]]) -> None:
        """Add the token ids of some rows."""
        flat = np.concatenate(ids)
        self._used[flat] = True
        if len(self._unknown_rows) < _UNKNOWN_ROWS:
            owners = np.repeat(np.arange(rows.start, rows.stop), [len(row) for row in ids])
            self._unknown_rows += np.unique(owners[flat == self._tokenizer.unk_id]).tolist()

    def used(self) -> npt.NDArray[np.bool_]:
        """Return for each piece that is not special whether it was used."""
        return np.delete(self._used, self._tokenizer.special_ids)

    def unknown(self, prepared: Prepared, side: int) -> dict[str, str]:
        """Return the most frequent unknown characters or words, with the first place of each."""
        rows = self._unknown_rows[:_UNKNOWN_ROWS]
        texts = prepared.texts(rows)[side]
        for split in (list, str.split):  # characters first, then words
            counts = Counter(unit for text in texts for unit in split(text))
            candidates = [unit for unit, _ in counts.most_common() if not unit.isspace()]
            ids = self._tokenizer.encode(candidates)
            examples = [
                unit
                for unit, row in zip(candidates, ids, strict=True)
                if self._tokenizer.unk_id in row
            ][:_EXAMPLES]
            if examples:
                break
        return {
            unit: prepared.origin(
                next(row for row, text in zip(rows, texts, strict=True) if unit in text), side
            )
            for unit in examples
        }


def vocabulary_findings(
    vocabulary: Vocabulary, parts: Mapping[str, Prepared], restyled: Set[tuple[str, str]]
) -> Iterator[Finding]:
    """Yield a finding for each side of each part that has unknown tokens.

    Args:
        vocabulary: result of `used_vocabulary`.
        parts: parts of the data by name.
        restyled: (part, side), such as (`data.valid`, `src`), where either this text or data.train
            is lower-cased or tokenised, but not both.
    """
    for name, prepared in parts.items():
        for side in ("src", "tgt"):
            tokens, unknown = (
                sum(getattr(corpus, f"{side}_{what}") for corpus in prepared.report.corpora)
                for what in ("tokens", "unknown")
            )
            if not unknown:
                continue
            examples = getattr(vocabulary.unknown[name], side)
            listing = ", ".join(f"{unit} ({place})" for unit, place in examples.items())
            way_out = (
                "preprocess the text in the same way as data.train"
                if (f"data.{name}", side) in restyled
                else "tokenizer.byte_fallback=true encodes them as bytes"
            )
            yield Finding(
                "warning" if unknown > _MANY_UNKNOWN * tokens else "note",
                "unknown",
                f"data.{name}",
                f"{share(unknown, tokens)} {'source' if side == 'src' else 'target'} tokens are "
                f"unknown: {listing}; {way_out}",
            )
