"""Word alignments of training pairs, and the pieces of a batch that they link.

Words are linked, not pieces, because sampling gives a word new pieces in each epoch. Pieces of
punctuation at the edges of a word are kept apart from the rest: a link of `pear.` to `Birne` is not
one of the full stop. So each word, which ends at white space, has three parts: the punctuation
before it, the word itself and the punctuation after it. Part p of word w has the number 3 w + p.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from nmt.data.pieces import SPACE
from nmt.data.prepared import Int32s, Int64s, Lists
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.errors import ConfigError, FileError

PARTS = 3
BEFORE, WORD, AFTER = range(PARTS)
NO_PART = -1

LINKS_FILE = "links.arrow"
_SCHEMA = pa.schema([("links", pa.list_(pa.field("item", pa.int32(), nullable=False)))])


class WordLinks:
    """The links of each training pair, memory-mapped.

    Args:
        directory: where `save_links` wrote them.
        key: identifies them.

    Raises:
        FileError: if the file is damaged.
    """

    def __init__(self, directory: Path, key: str) -> None:
        self.key = key
        try:
            with pa.memory_map(str(directory / LINKS_FILE)) as source:
                self._lists = Lists(pa.ipc.open_stream(source).read_all()["links"])
        except (OSError, ValueError, KeyError) as error:
            raise FileError(f"{directory}: damaged; delete it to align the data again") from error

    def take(self, rows: Int64s) -> list[Int32s]:
        """Return the links of the given rows, each int32 [links, 2]: source and target part."""
        return [flat.reshape(-1, 2) for flat in self._lists.take(rows)]

    def numbers(self) -> Int64s:
        """Return the number of links of each pair."""
        return self._lists.lengths() // 2


def save_links(chunks: Iterable[Sequence[Sequence[tuple[int, int]]]], directory: Path) -> None:
    """Write the links of pairs: numbers of a source and a target part.

    Args:
        chunks: the links of consecutive pairs, some at a time.
        directory: to write into.
    """
    with (
        pa.OSFile(str(directory / LINKS_FILE), "wb") as sink,
        pa.ipc.new_stream(sink, _SCHEMA) as writer,
    ):
        for rows in chunks:
            flat = [np.array(row, np.int32).reshape(-1) for row in rows]
            offsets = np.cumsum([0, *map(len, flat)], dtype=np.int32)
            values = np.concatenate([*flat, np.empty(0, np.int32)])
            column = pa.ListArray.from_arrays(
                pa.array(offsets), pa.array(values), type=_SCHEMA.field("links").type
            )
            writer.write_batch(pa.record_batch([column], schema=_SCHEMA))


@dataclass(frozen=True)
class PieceLinks:
    """The links between the pieces of a batch, one row for each.

    Attributes:
        places_N3: int64: pair, position that reads the target piece, and that of the source piece.
        weights_N: float32: of all links of a target piece, they sum to 1.
    """

    places_N3: Tensor
    weights_N: Tensor

    @classmethod
    def none(cls) -> PieceLinks:
        """Return the links of a batch without any."""
        return cls(torch.empty(0, 3, dtype=torch.int64), torch.empty(0))

    def of_pairs(self, pairs: slice, size: int) -> PieceLinks:
        """Return those of some pairs.

        Args:
            pairs: the pairs, which are adjacent.
            size: number of all pairs.
        """
        start, stop, _ = pairs.indices(size)
        pair_N = self.places_N3[:, 0]
        keep_N = (pair_N >= start) & (pair_N < stop)
        first = torch.tensor([start, 0, 0])
        return PieceLinks(self.places_N3[keep_N] - first, self.weights_N[keep_N])


class Linker:
    """Finds the links between the pieces of a batch.

    Args:
        links: of the words.
        tokenizers: of both sides.

    Raises:
        ConfigError: if the pieces do not show where words begin.
    """

    def __init__(self, links: WordLinks, tokenizers: Tokenizers) -> None:
        self.key, self._links = links.key, links
        self._src, self._tgt = map(PieceParts, tokenizers)

    def __call__(self, src_BS: Tensor, tgt_in_BT: Tensor, rows: Int64s) -> PieceLinks:
        """Return the links of a batch.

        Args:
            src_BS, tgt_in_BT: as in `Batch`, on the CPU.
            rows: of the pairs in the prepared data.
        """
        links = self._links.take(rows)
        return link_pieces(self._src(src_BS.numpy()), self._tgt(tgt_in_BT.numpy()), links)


class PieceParts:
    """Finds the part of a word that each piece belongs to.

    Args:
        tokenizer: of one side.

    Raises:
        ConfigError: if a piece has a space that is not its first character.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        pieces = tokenizer.vocabulary()
        if odd := next((piece for piece in pieces if SPACE in piece[1:]), None):
            raise ConfigError(
                "train.guided_alignment needs a tokenizer whose pieces begin where words do; this "
                f"one has the piece {odd!r}"
            )
        outside = {*tokenizer.special_ids, *tokenizer.control_symbols.values()}
        self._outside = np.zeros(len(pieces), np.bool_)
        self._outside[[*(outside - {tokenizer.unk_id})]] = True
        self._starts = np.array([piece.startswith(SPACE) for piece in pieces])
        self._is_space = np.array([piece == SPACE for piece in pieces])
        bare = [piece.removeprefix(SPACE) for piece in pieces]
        self._is_word = np.array([bool(text) and not _is_punctuation(text) for text in bare])

    def __call__(self, ids_BL: Int64s) -> Int64s:
        """Return the number of the part of each piece, [B, L]; NO_PART for BOS, EOS and tags.

        Args:
            ids_BL: padded ids.
        """
        inside = ~self._outside[ids_BL]
        begins = self._starts[ids_BL] | (inside.cumsum(1) == 1)
        word_BL = (begins & inside).cumsum(1) - 1
        is_word = self._is_word[ids_BL] & inside
        before = _seen(is_word, word_BL)
        after = _seen(is_word[:, ::-1], word_BL[:, ::-1])[:, ::-1]
        # All of a word that has nothing but punctuation is the word itself.
        part_BL = np.where(before == after, WORD, np.where(after, BEFORE, AFTER))
        space = self._is_space[ids_BL[:, :-1]] & (word_BL[:, :-1] == word_BL[:, 1:])
        part_BL[:, :-1] = np.where(space, part_BL[:, 1:], part_BL[:, :-1])
        return np.where(inside, PARTS * word_BL + part_BL, NO_PART)


def _seen(is_word: npt.NDArray[np.bool_], word_BL: Int64s) -> npt.NDArray[np.bool_]:
    """Return whether a piece of the word itself is at a place or to its left, in the same word."""
    places = np.broadcast_to(np.arange(is_word.shape[1]), is_word.shape)
    last = np.maximum.accumulate(np.where(is_word, places, -1), axis=1)
    seen: npt.NDArray[np.bool_] = np.take_along_axis(word_BL, last.clip(0), axis=1) == word_BL
    return seen & (last >= 0)


def _is_punctuation(text: str) -> bool:
    return all(unicodedata.category(character).startswith("P") for character in text)


def link_pieces(src_BS: Int64s, tgt_BT: Int64s, links: Sequence[Int32s]) -> PieceLinks:
    """Link the pieces of linked parts of words.

    Args:
        src_BS, tgt_BT: number of the part of each piece, ascending in each row except for NO_PART.
        links: of each pair, [links, 2].
    """
    pair_N = np.repeat(np.arange(len(links)), [len(row) for row in links])
    src_N, tgt_N = np.concatenate([*links, np.empty((0, 2), np.int32)]).T.astype(np.int64)
    size = 1 + max(int(part.max(initial=0)) for part in (src_BS, tgt_BT, src_N, tgt_N))
    src_places, src_first, num_src = _pieces_of(src_BS, pair_N * size + src_N, size)
    tgt_places, tgt_first, num_tgt = _pieces_of(tgt_BT, pair_N * size + tgt_N, size)
    count_N = num_src * num_tgt
    link_X = np.repeat(np.arange(len(pair_N)), count_N)
    number_X = np.arange(len(link_X)) - np.repeat(count_N.cumsum() - count_N, count_N)
    divisor_X = num_src[link_X]
    src_X = src_places[src_first[link_X] + number_X % divisor_X]
    tgt_X = tgt_places[tgt_first[link_X] + number_X // divisor_X]
    places_X3 = np.stack([pair_N[link_X], tgt_X % tgt_BT.shape[1], src_X % src_BS.shape[1]], 1)
    weights_X = 1 / np.bincount(tgt_X, minlength=1)[tgt_X]
    return PieceLinks(
        torch.from_numpy(places_X3.astype(np.int64)),
        torch.from_numpy(weights_X.astype(np.float32)),
    )


def _pieces_of(parts_BL: Int64s, keys_N: Int64s, size: int) -> tuple[Int64s, Int64s, Int64s]:
    """Return where the pieces of given parts are.

    Returns:
        The places, in the flattened array, of all pieces that belong to a part; the index in it of
        the first piece of each given part, and the number of its pieces.
    """
    places = np.flatnonzero(parts_BL != NO_PART)
    pairs, columns = np.divmod(places, parts_BL.shape[1])
    keys = pairs * size + parts_BL[pairs, columns]
    first_N = np.searchsorted(keys, keys_N, "left")
    return places, first_N, np.searchsorted(keys, keys_N, "right") - first_N
