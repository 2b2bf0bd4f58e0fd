"""Batches of pairs of similar length under a token budget, in an order fixed by seed and epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.config.augment import AugmentConfig
from nmt.config.data import DataConfig
from nmt.config.denoise import MASK
from nmt.config.schema import Config
from nmt.data.augment import TextPair, augmented
from nmt.data.context import span_of_context, with_less_context
from nmt.data.infilling import infilled
from nmt.data.links import Linker, PieceLinks
from nmt.data.prefetch import prefetch
from nmt.data.prepared import Int64s, Prepared
from nmt.data.terms import behind_source, draw_terms
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.device import upload

Ids = Sequence[int] | npt.NDArray[np.int32]

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


def is_drawn(config: Config) -> bool:
    """Return whether the ids of pairs are drawn again in each epoch."""
    data, denoises = config.data, config.train.objective == "denoise"
    text = data.terms or data.augment or data.context
    return bool(config.tokenizer.sampling_alpha or text or denoises)


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
        entropy = [config.train.seed, epoch, window]
        seeds = np.random.SeedSequence(entropy).generate_state(8).tolist()
        src_ids, tgt_ids = drawn(prepared, rows, tokenizers, config, [*seeds[:2], *seeds[3:]])
        order = BatchOrder(
            _lengths(src_ids),
            _lengths(tgt_ids),
            corpus_sizes=[len(rows)],
            weights=[1.0],
            batch_tokens=config.train.batch_tokens,
            seed=seeds[2],
        )
        for places in order.epoch(0):
            src, tgt = ([side[place] for place in places] for side in (src_ids, tgt_ids))
            yield collate(src, tgt, tokenizers, rows[places])


def drawn(
    prepared: Prepared,
    rows: Int64s,
    tokenizers: Tokenizers,
    config: Config,
    seeds: Sequence[int],
) -> tuple[list[Ids], list[Ids]]:
    """Return source and target ids of some rows, with all that is drawn: see `batches`.

    Args:
        prepared, tokenizers, config: as in `batches`.
        rows: the rows.
        seeds: seven: for the segmentation of sources, that of targets, the choice of terms, their
            segmentation, noise, changes of the text, and context.
    """
    (src_texts, tgt_texts), (src_ids, tgt_ids) = prepared.texts(rows), prepared.rows(rows)
    if size := config.data.context:
        src_ids = with_less_context(src_ids, size, tokenizers.src, seeds[6])
    src: list[Ids] = [*src_ids]
    tgt: list[Ids] = [*tgt_ids]
    if config.data.augment:
        pairs = [*zip(src_texts, tgt_texts, strict=True)]
        changes = _changes(prepared, rows, pairs, config.data, config.data.augment, seeds[5])
        for place, pair, ids in _fitting(changes, src, tokenizers, config.data.max_length):
            src_texts[place], tgt_texts[place] = pair
            src[place], tgt[place] = ids
    if config.tokenizer.sampling_alpha:
        src = _sampled(tokenizers.src, src_texts, src, config, seeds[0])
        tgt = _sampled(tokenizers.tgt, tgt_texts, tgt, config, seeds[1])
    if config.data.terms:
        terms = draw_terms(tgt_texts, config.data.terms, seeds[2])
        src = _with_terms(src, terms, tokenizers.src, config, seeds[3])
    if config.train.objective == "denoise":
        src = _with_noise(src, tokenizers.src, config, seeds[4])
    return src, tgt


def _lengths(rows: Sequence[Ids]) -> Int64s:
    """Return the number of tokens of each row, EOS included."""
    return np.array([len(ids) + 1 for ids in rows])


def _changes(
    prepared: Prepared,
    rows: Int64s,
    pairs: Sequence[TextPair],
    data: DataConfig,
    settings: AugmentConfig,
    seed: int,
) -> dict[int, TextPair]:
    """Return the changed texts of `data.augment`, by their place in the rows."""
    following = prepared.following(rows) if settings.concatenate else [None] * len(pairs)
    languages = prepared.languages_of(rows, data)
    changed = augmented(pairs, following, languages, settings, seed)
    return {
        place: after
        for place, (before, after) in enumerate(zip(pairs, changed, strict=True))
        if after != before
    }


def _fitting(
    changes: dict[int, TextPair], plain: Sequence[Ids], tokenizers: Tokenizers, max_length: int
) -> Iterator[tuple[int, TextPair, tuple[Ids, Ids]]]:
    """Yield the place, the texts and the ids of changed pairs that are not too long.

    Args:
        changes: the texts by place.
        plain: source ids before the change, whose tags and context stay.
        tokenizers: of both sides.
        max_length: `data.max_length`.
    """
    src_texts, tgt_texts = zip(*changes.values(), strict=True) if changes else ((), ())
    src_rows, tgt_rows = tokenizers.src.encode(src_texts), tokenizers.tgt.encode(tgt_texts)
    openings = _openings([plain[place] for place in changes], tokenizers.src)
    rows = zip(changes.items(), openings, src_rows, tgt_rows, strict=True)
    for (place, pair), before, src, tgt in rows:
        src = [*before, *src]
        if max(len(src), len(tgt)) < max_length:
            yield place, pair, (src, tgt)


def _sampled(
    tokenizer: Tokenizer,
    texts: list[str],
    plain: Sequence[Ids],
    config: Config,
    seed: int,
) -> list[Ids]:
    """Sample the segmentation of texts; the tags and context that begin the plain ids stay."""
    settings = config.tokenizer
    sampled = tokenizer.sample(texts, settings.sampling_alpha, settings.sampling_nbest, seed)
    return _replaced(plain, _openings(plain, tokenizer), sampled, config)


def _with_terms(
    rows: Sequence[Ids], terms: Sequence[list[str]], tokenizer: Tokenizer, config: Config, seed: int
) -> list[Ids]:
    """Return source ids with the terms of each row appended; not where these would not fit."""
    settings = config.tokenizer
    texts = [text for row in terms for text in row]
    sampled = tokenizer.sample(texts, settings.sampling_alpha, settings.sampling_nbest, seed)
    ids = iter(sampled)
    made: list[Ids] = []
    for src_ids, row in zip(rows, terms, strict=True):
        more = behind_source([next(ids) for _ in row], tokenizer)
        fits = len(src_ids) + len(more) < config.data.max_length
        made.append([*map(int, src_ids), *more] if more and fits else src_ids)
    return made


def _with_noise(rows: Sequence[Ids], tokenizer: Tokenizer, config: Config, seed: int) -> list[Ids]:
    """Return source ids with noise behind their tags; not where symbols would not fit."""
    openings = _openings(rows, tokenizer)
    texts = [ids[len(before) :] for ids, before in zip(rows, openings, strict=True)]
    noisy = infilled(texts, config.train.denoise, tokenizer.control_symbols[MASK], seed)
    return _replaced(rows, openings, noisy, config)


def _openings(rows: Sequence[Ids], tokenizer: Tokenizer) -> list[list[int]]:
    """Return what begins each row: tags of languages and of a corpus, and context."""
    plain = [[*map(int, ids)] for ids in rows]
    return [ids[: span_of_context(ids, tokenizer)[1]] for ids in plain]


def _replaced(
    rows: Sequence[Ids], openings: Sequence[list[int]], texts: Sequence[list[int]], config: Config
) -> list[Ids]:
    """Return new texts behind their openings, or the old row where these would not fit."""
    return [
        [*before, *text] if len(before) + len(text) < config.data.max_length else ids
        for ids, before, text in zip(rows, openings, texts, strict=True)
    ]


def _padded(
    rows: Sequence[Ids], tokenizer: Tokenizer, before: list[int], after: list[int]
) -> tuple[Tensor, int]:
    """Return padded ids (rows, longest row) with `before` and `after` added, and their number."""
    lengths = np.array([len(before) + len(ids) + len(after) for ids in rows])
    ids_BL = np.full((len(rows), lengths.max()), tokenizer.pad_id, np.int64)
    flat = np.concatenate([part for ids in rows for part in (before, ids, after)])
    ids_BL[np.arange(lengths.max()) < lengths[:, None]] = flat
    return torch.from_numpy(ids_BL), int(lengths.sum())
