"""The decoding cache of the Transformer: keys, values and the hypotheses they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class KeyValues:
    """Keys and values of one attention sub-layer.

    Attributes:
        k_BHMK: keys.
        v_BHMK: values; their width may differ.
    """

    k_BHMK: Tensor
    v_BHMK: Tensor

    def select(self, sentences_N: Tensor) -> None:
        """Keep these sentences, in this order."""
        self.k_BHMK = self.k_BHMK.index_select(0, sentences_N)
        self.v_BHMK = self.v_BHMK.index_select(0, sentences_N)


class Past(KeyValues):
    """Keys and values of the positions decoded so far, with room for more.

    Attention reads the whole buffers, because a product with a slice would copy it first. The
    mask must exclude unfilled slots.
    """

    def reorder(self, sentences_N: Tensor | None, beams_NW: Tensor) -> None:
        """Keep these sentences, or all if None; the hypotheses of a sentence share its buffers."""
        if sentences_N is not None:
            self.select(sentences_N)

    def make_room(self, size: int) -> None:
        """Grow to at least `size` slots; new slots are zero."""
        more = size - self.k_BHMK.shape[2]
        if more > 0:
            self.k_BHMK = F.pad(self.k_BHMK, (0, 0, 0, more))
            self.v_BHMK = F.pad(self.v_BHMK, (0, 0, 0, more))

    def write(self, new: KeyValues, start: int) -> None:
        """Write keys and values to the slots from `start` on."""
        slots = slice(start, start + new.k_BHMK.shape[2])
        self.k_BHMK[:, :, slots] = new.k_BHMK
        self.v_BHMK[:, :, slots] = new.v_BHMK


@dataclass
class Cell:
    """The state of a recurrent sub-layer.

    Attributes:
        c_BWD: one vector per hypothesis.
    """

    c_BWD: Tensor

    def reorder(self, sentences_N: Tensor | None, beams_NW: Tensor) -> None:
        """Keep these sentences, or all if None, and for each these hypotheses."""
        rows_N = torch.arange(len(beams_NW), device=beams_NW.device)
        rows_N = rows_N if sentences_N is None else sentences_N
        self.c_BWD = self.c_BWD[rows_N[:, None], beams_NW]


@dataclass
class DecoderState:
    """The state of a Transformer's decoder: W hypotheses for each of B sentences.

    In attention, all hypotheses of a sentence keep the tokens they have read in one row of the
    cache, in reading order. A mask marks which tokens belong to the history of which hypothesis.
    Reordering the beam therefore moves no keys or values, and the hypotheses share the source.

    Attributes:
        position: index of the next position.
        used: number of filled slots in the cache.
        past: what each decoder layer keeps of the tokens read so far: keys and values, or the cell
            of a recurrent sub-layer.
        history_BWM: bool, whether a cached token is in the history of a hypothesis.
        memory: keys and values of the source, one per decoder layer.
        src_mask: bool [B, 1, 1, S].
    """

    position: int
    used: int
    past: list[Past | Cell]
    history_BWM: Tensor
    memory: list[KeyValues]
    src_mask: Tensor

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep sentences and hypotheses; see `nmt.model.network.State`."""
        kept_N = None if is_all(sentences_N, len(self.history_BWM)) else sentences_N
        for past in self.past:
            past.reorder(kept_N, beams_NW)
        if kept_N is not None:
            for keys_values in self.memory:
                keys_values.select(sentences_N)
            self.src_mask = self.src_mask.index_select(0, sentences_N)
        self.history_BWM = self.history_BWM[sentences_N[:, None], beams_NW]

    def make_room(self) -> None:
        """Add a slot to the history of each hypothesis; the caller advances `used`."""
        buffers = [past for past in self.past if isinstance(past, Past)]
        if not buffers:
            return
        width, size = self.history_BWM.shape[1:]
        end = self.used + width
        if end > size:
            # Grow by eight positions at a time: kernels are built for each new size.
            size = self.used + 8 * width
            for past in buffers:
                past.make_room(size)
            self.history_BWM = F.pad(self.history_BWM, (0, size - self.history_BWM.shape[2]))
        eye_WW = torch.eye(width, dtype=torch.bool, device=self.history_BWM.device)
        self.history_BWM[:, :, self.used : end] = eye_WW


def is_all(indices_N: Tensor, size: int) -> bool:
    """Return whether the indices select all `size` items in their present order."""
    return len(indices_N) == size and torch.equal(
        indices_N, torch.arange(size, device=indices_N.device)
    )
