"""Batches of pairs of similar length under a token budget, in an order fixed by seed and epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nmt.config.schema import Config
from nmt.data.drawing import Ids, Seeds, drawn, is_drawn
from nmt.data.links import Linker, PieceLinks
from nmt.data.prefetch import prefetch
from nmt.data.prepared import Int64s, Prepared
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.device import upload

_BATCHES_AHEAD = 8
_WINDOW = 64  # number of planned batches that are sampled together


@dataclass(frozen=True)
class Batch:
    """Sentence pairs as padded tensors (int64, on the CPU until `to`)."""

    src_BS: Tensor
    """Source ids and EOS."""
    tgt_in_BT: Tensor
    """Decoder input: BOS and the target ids."""
    tgt_out_BT: Tensor
    """Labels: the target ids and EOS."""
    tgt_places_N: Tensor
    """Places of the labels that are not padding in the flattened `tgt_out_BT`, ascending."""
    num_src_tokens: int
    """Source tokens, including EOS, excluding padding."""
    num_tgt_tokens: int
    """Target tokens, including EOS, excluding padding."""
    rows: Int64s
    """Row of each pair in the prepared data, (B,)."""
    source: Prepared | None = None
    """The prepared data."""
    epoch: int = 0
    """The epoch that it belongs to."""
    number: int = 0
    """Its number in the epoch; later batches have larger ones."""
    links: PieceLinks | None = None
    """The word alignment, if training is guided by one."""

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with its tensors on a device; see `nmt.device.upload`."""
        tensors = [self.src_BS, self.tgt_in_BT, self.tgt_out_BT, self.tgt_places_N]
        if self.links:
            tensors += [self.links.places_N3, self.links.weights_N]
        src_BS, tgt_in_BT, tgt_out_BT, tgt_places_N, *links = upload(tensors, device)
        return replace(
            self,
            src_BS=src_BS,
            tgt_in_BT=tgt_in_BT,
            tgt_out_BT=tgt_out_BT,
            tgt_places_N=tgt_places_N,
            links=PieceLinks(*links) if links else None,
        )

    def origins(self) -> Iterator[str]:
        """Yield where the source sides of the pairs come from, as `file:line`."""
        assert self.source is not None
        return (self.source.origin(int(row)) for row in self.rows)

    def halves(self, src_pad_id: int, tgt_pad_id: int) -> tuple[Batch, Batch]:
        """Split a batch of at least two pairs, and drop padding that is no longer needed."""
        middle = len(self.rows) // 2
        return (
            self._part(slice(None, middle), src_pad_id, tgt_pad_id),
            self._part(slice(middle, None), src_pad_id, tgt_pad_id),
        )

    def _part(self, pairs: slice, src_pad_id: int, tgt_pad_id: int) -> Batch:
        src_lengths = (self.src_BS[pairs] != src_pad_id).sum(dim=1)
        tgt_lengths = (self.tgt_out_BT[pairs] != tgt_pad_id).sum(dim=1)
        src_width, tgt_width = int(src_lengths.max()), int(tgt_lengths.max())
        tgt_out_BT = self.tgt_out_BT[pairs, :tgt_width]
        return replace(
            self,
            src_BS=self.src_BS[pairs, :src_width],
            tgt_in_BT=self.tgt_in_BT[pairs, :tgt_width],
            tgt_out_BT=tgt_out_BT,
            tgt_places_N=places_of_tokens(tgt_out_BT, tgt_pad_id),
            num_src_tokens=int(src_lengths.sum()),
            num_tgt_tokens=int(tgt_lengths.sum()),
            rows=self.rows[pairs],
            links=self.links.of_pairs(pairs, len(self.rows)) if self.links else None,
        )


class BatchOrder:
    """The rows in each batch of an epoch, a pure function of the arguments and the epoch.

    Pairs are shuffled, sorted by the length of their longer side and then by the difference
    between the sides, and cut into batches, which are shuffled. The position of the first cut is
    random, so that epochs have different batches. An epoch contains a corpus of weight 2 twice,
    and a random half of a corpus of weight 0.5, a different half in each epoch.

    Args:
        src_lengths: source tokens of each row, EOS included, (rows,).
        tgt_lengths: target tokens of each row, EOS included, (rows,).
        corpus_sizes: number of rows of each corpus; the rows of a corpus are adjacent.
        weights: how often each pair of each corpus occurs in an epoch.
        batch_tokens: maximum number of tokens of a batch on each side, padding included. A pair
            longer than this forms a batch by itself.
        seed: seed of the random numbers.
    """

    def __init__(
        self,
        src_lengths: Int64s,
        tgt_lengths: Int64s,
        *,
        corpus_sizes: Sequence[int],
        weights: Sequence[float],
        batch_tokens: int,
        seed: int,
    ) -> None:
        self._src_lengths = src_lengths
        self._tgt_lengths = tgt_lengths
        ends = itertools.accumulate(corpus_sizes)
        self._corpora = list(zip(ends, corpus_sizes, weights, strict=True))
        self._batch_tokens = batch_tokens
        self._seed = seed

    @classmethod
    def of(cls, prepared: Prepared, batch_tokens: int, seed: int) -> BatchOrder:
        """Return the order of prepared data."""
        return cls(
            prepared.input_lengths,
            prepared.tgt_lengths,
            corpus_sizes=prepared.corpus_sizes,
            weights=prepared.weights,
            batch_tokens=batch_tokens,
            seed=seed,
        )

    def epoch(self, number: int) -> list[Int64s]:
        """Return the batches of an epoch, each an array of row numbers."""
        rng = np.random.default_rng([self._seed, number])
        rows = rng.permutation(self._visits(rng))
        rows = rows[self._by_length(rows, int(rng.integers(2)))]
        batches = np.split(rows, self._cuts(rows, rng.uniform(0, self._batch_tokens)))
        return [batches[place] for place in rng.permutation(len(batches))]

    def _visits(self, rng: np.random.Generator) -> Int64s:
        """Return every row as often as its corpus is weighted, in corpus order."""
        parts = []
        for end, size, weight in self._corpora:
            rows = np.arange(end - size, end)
            whole = int(weight)
            parts += [rows] * whole
            # Even with a tiny weight a corpus contributes one pair, so that no epoch is empty.
            count = min(size, max(round((weight - whole) * size), 1 - whole))
            parts.append(rng.choice(rows, count, replace=False))
        return np.concatenate(parts)

    def _by_length(self, rows: Int64s, phase: int) -> Int64s:
        src, tgt = self._src_lengths[rows], self._tgt_lengths[rows]
        longer, difference = np.maximum(src, tgt), src - tgt
        # The difference alternately rises and falls, so that the length of the shorter side does
        # not jump where the length of the longer side changes inside a batch.
        return np.lexsort((np.where((longer + phase) % 2, difference, -difference), longer))

    def _cuts(self, rows: Int64s, first_budget: float) -> list[int]:
        """Return the position at which each batch after the first begins."""
        cuts = []
        size = longest = 0
        budget = first_budget
        lengths = np.maximum(self._src_lengths[rows], self._tgt_lengths[rows]).tolist()
        for place, length in enumerate(lengths):
            longest = max(longest, length)
            if size and (size + 1) * longest > budget:
                cuts.append(place)
                size, longest, budget = 0, length, self._batch_tokens
            size += 1
        return cuts


class Epochs:
    """The batches of every epoch of prepared training data.

    Args:
        prepared: the pairs.
        tokenizers, config, linker: as in `batches`.
    """

    sample: Prepared
    """The pairs; of a stream, some."""

    def __init__(
        self,
        prepared: Prepared,
        tokenizers: Tokenizers,
        config: Config,
        linker: Linker | None = None,
    ) -> None:
        self.sample, self._tokenizers, self._config = prepared, tokenizers, config
        self._linker = linker
        self._order = BatchOrder.of(prepared, config.train.batch_tokens, config.train.seed)

    @property
    def key(self) -> str:
        """Identifies the text and its word alignment."""
        return f"{self.sample.key} {self._linker.key}" if self._linker else self.sample.key

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from a number on; see `batches`."""
        return batches(
            self.sample,
            self._tokenizers,
            self._order,
            self._config,
            epoch,
            start,
            linker=self._linker,
        )


def batches(
    prepared: Prepared,
    tokenizers: Tokenizers,
    order: BatchOrder,
    config: Config,
    epoch: int,
    start: int = 0,
    *,
    ahead: int = _BATCHES_AHEAD,
    linker: Linker | None = None,
) -> Iterator[Batch]:
    """Yield the batches of an epoch, made ahead of time in a background thread.

    With `data.augment`, some texts change; with `tokenizer.sampling_alpha`, each pair gets a random
    segmentation; with `data.terms`, some sources get terms; with `data.context`, sources keep a
    part of their context; and with `train.objective: denoise`, they get noise. All depend on seed,
    epoch and position in the epoch only. Since they change the lengths, `_WINDOW` planned batches
    at a time are drawn together and cut into batches again. What would exceed `data.max_length` is
    not done: a text does not change, a side keeps its deterministic segmentation, and a source gets
    neither terms nor noise.

    Args:
        prepared: the pairs.
        tokenizers: provide the special ids and the sampling.
        order: the order of the same pairs.
        config: `tokenizer`, `max_length`, `augment`, `context` and `terms` of `data`, and `seed`,
            `batch_tokens`, `objective` and `denoise` of `train` are used.
        epoch: number of the epoch.
        start: number of the first batch. Earlier batches are skipped, at no cost without
            anything drawn in each epoch; otherwise they are made and discarded.
        ahead: number of batches to make ahead; it does not change them.
        linker: finds the word alignment of a batch, if there is one.
    """
    plan = order.epoch(epoch)
    made: Iterator[Batch]
    if is_drawn(config):
        drawn = _drawn_batches(prepared, tokenizers, config, plan, epoch)
        made = itertools.islice(drawn, start, None)
    else:
        made = (collate(*prepared.rows(rows), tokenizers, rows) for rows in plan[start:])
    numbered = (
        replace(
            batch,
            source=prepared,
            epoch=epoch,
            number=number,
            links=linker(batch.src_BS, batch.tgt_in_BT, batch.rows) if linker else None,
        )
        for number, batch in enumerate(made, start)
    )
    return prefetch(numbered, ahead)


def collate(
    src_ids: Sequence[Ids], tgt_ids: Sequence[Ids], tokenizers: Tokenizers, rows: Int64s
) -> Batch:
    """Return a batch of sentences with BOS, EOS and padding added.

    Args:
        src_ids: ids of each source sentence, without BOS and EOS.
        tgt_ids: ids of each target sentence, without BOS and EOS.
        tokenizers: provide the special ids.
        rows: row of each pair in the prepared data, (B,).
    """
    src, tgt = tokenizers
    src_BS, num_src_tokens = _padded(src_ids, src, [], [src.eos_id])
    tgt_in_BT, _ = _padded(tgt_ids, tgt, [tgt.bos_id], [])
    tgt_out_BT, num_tgt_tokens = _padded(tgt_ids, tgt, [], [tgt.eos_id])
    # Made here rather than on a GPU, which would have to tell the program how many there are.
    places_N = places_of_tokens(tgt_out_BT, tgt.pad_id)
    return Batch(src_BS, tgt_in_BT, tgt_out_BT, places_N, num_src_tokens, num_tgt_tokens, rows)


def places_of_tokens(ids_BT: Tensor, pad_id: int) -> Tensor:
    """Return the places of the ids that are not padding, in the flattened tensor."""
    return (ids_BT.flatten() != pad_id).nonzero()[:, 0]


def _drawn_batches(
    prepared: Prepared,
    tokenizers: Tokenizers,
    config: Config,
    plan: list[Int64s],
    epoch: int,
) -> Iterator[Batch]:
    for window, start in enumerate(range(0, len(plan), _WINDOW)):
        rows = np.concatenate(plan[start : start + _WINDOW])
        seeds = Seeds.of(config.train.seed, epoch, window)
        src_ids, tgt_ids = drawn(prepared, rows, tokenizers, config, seeds)
        order = BatchOrder(
            _lengths(src_ids),
            _lengths(tgt_ids),
            corpus_sizes=[len(rows)],
            weights=[1.0],
            batch_tokens=config.train.batch_tokens,
            seed=seeds.batches,
        )
        for places in order.epoch(0):
            src, tgt = ([side[place] for place in places] for side in (src_ids, tgt_ids))
            yield collate(src, tgt, tokenizers, rows[places])


def _lengths(rows: Sequence[Ids]) -> Int64s:
    """Return the number of tokens of each row, EOS included."""
    return np.array([len(ids) + 1 for ids in rows])


def _padded(
    rows: Sequence[Ids], tokenizer: Tokenizer, before: list[int], after: list[int]
) -> tuple[Tensor, int]:
    """Return padded ids (rows, longest row) with `before` and `after` added, and their number."""
    lengths = np.array([len(before) + len(ids) + len(after) for ids in rows])
    ids_BL = np.full((len(rows), lengths.max()), tokenizer.pad_id, np.int64)
    flat = np.concatenate([part for ids in rows for part in (before, ids, after)])
    ids_BL[np.arange(lengths.max()) < lengths[:, None]] = flat
    return torch.from_numpy(ids_BL), int(lengths.sum())
