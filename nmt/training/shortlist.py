"""Learning a lexical shortlist from training pairs and the attention of the model.

Each target token gives credit to the source tokens that it attends to. The target tokens with the
most credit from a source token are its likely translations (after Jean et al. 2015 and Mi et al.
2016, who used word alignments).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt.console import Console
from nmt.data.prepared import Int64s, Prepared
from nmt.errors import ConfigError
from nmt.progress import Advance, progress_bar
from nmt.runs.layout import find_run, locked
from nmt.runs.model import TrainedModel
from nmt.runs.shortlist import Int32s, Shortlist, save_shortlist
from nmt.signals import StopFlag
from nmt.training.data import open_training_data, prepare_corpora
from nmt.translate.align import Aligner
from nmt.translate.engine import never_output

MAX_PAIRS = 500_000
"""Pairs to learn from; of a larger corpus, as many at equal distances."""

_PAIRS_PER_BATCH = 64
_MIN_ATTENTION = 0.1  # less is mostly noise, and would fill memory


@dataclass(frozen=True)
class Coverage:
    """What a shortlist leaves of sentence pairs.

    Attributes:
        covered: share of target tokens that are in the shortlist of their sentence.
        mean_size: mean number of tokens in the shortlist of a sentence.
    """

    covered: float
    mean_size: float


def learn_run(
    run: Path, model: TrainedModel, best: int, frequent: int, console: Console
) -> Coverage | None:
    """Learn a shortlist from the training data of a run, and keep it in the run.

    Args:
        run: run directory.
        model: the run's.
        best, frequent: as in `learn_shortlist`.
        console: for the progress.

    Returns:
        The coverage of the validation data, if there is any.

    Raises:
        ConfigError: if it is not a run, or the model is not a Transformer.
        DataError, FileError: if the data cannot be read or the shortlist cannot be written.
    """
    if find_run(run) != run:
        raise ConfigError(f"{run}: name the run directory: its shortlist serves all checkpoints")
    config, tokenizers = model.config, model.tokenizers
    model.transformer("`nmt shortlist`")
    valid = None
    with locked(run, "wait for it"):
        with StopFlag() as stop:
            data = open_training_data(config, tokenizers, console, stop).sample
            if corpora := config.data.valid_corpora:
                valid = prepare_corpora(config, tokenizers, corpora, console, stop, filtered=False)
        with progress_bar("aligning", min(len(data), MAX_PAIRS), console) as advance:
            learned = learn_shortlist(model, data, best, frequent, advance)
        save_shortlist(learned, run)
    return coverage(learned, valid, tokenizers.src.eos_id) if valid else None


def learn_shortlist(
    model: TrainedModel,
    data: Prepared,
    best: int,
    frequent: int,
    advance: Advance = lambda pairs: None,
) -> Shortlist:
    """Learn the likely target tokens of each source token.

    Args:
        model: its attention aligns the pairs.
        data: training pairs.
        best: target tokens for each source token; those that are always allowed do not count.
        frequent: the most frequent target tokens, which are always allowed, with EOS.
        advance: called with the number of pairs done since the last call.

    Raises:
        ConfigError: if the model is not a Transformer.
    """
    aligner = Aligner([model])
    src, tgt = model.tokenizers
    credit = _Credit(tgt.vocab_size)
    counts = np.zeros(tgt.vocab_size, np.int64)
    for rows in _batches(data):
        sources, targets = data.rows(rows)
        sources = [np.append(ids, np.int32(src.eos_id)) for ids in sources]
        weights = aligner.weights([s.tolist() for s in sources], [t.tolist() for t in targets])
        for src_ids, tgt_ids, weights_TS in zip(sources, targets, weights, strict=True):
            credit.add(src_ids, tgt_ids, weights_TS)
            counts += np.bincount(tgt_ids, minlength=len(counts))
        advance(len(rows))
    counts[[*never_output(tgt), tgt.eos_id]] = 0
    order = np.argsort(-counts, kind="stable")[:frequent]
    always = np.unique([*order[counts[order] > 0], tgt.eos_id]).astype(np.int32)
    excluded = [*always.tolist(), *never_output(tgt)]
    return Shortlist(always, credit.best(src.vocab_size, best, excluded))


def coverage(shortlist: Shortlist, data: Prepared, eos_id: int) -> Coverage:
    """Measure a shortlist on sentence pairs.

    Args:
        shortlist: the shortlist.
        data: the pairs.
        eos_id: EOS of the source side.
    """
    covered, tokens, size = 0, 0, 0
    for rows in _batches(data):
        for src_ids, tgt_ids in zip(*data.rows(rows), strict=True):
            allowed = shortlist.of([*src_ids.tolist(), eos_id])
            covered += int(np.isin(tgt_ids, allowed).sum())
            tokens += len(tgt_ids)
            size += len(allowed)
    return Coverage(covered / max(tokens, 1), size / max(len(data), 1))


def _batches(data: Prepared) -> list[Int64s]:
    """Return the rows of at most MAX_PAIRS pairs, in batches of similar source length."""
    rows = np.linspace(0, len(data), min(len(data), MAX_PAIRS), endpoint=False).astype(np.int64)
    rows = rows[np.argsort(data.input_lengths[rows], kind="stable")]
    return [rows[i : i + _PAIRS_PER_BATCH] for i in range(0, len(rows), _PAIRS_PER_BATCH)]


class _Credit:
    """The credit of pairs of source and target tokens.

    Args:
        tgt_size: size of the target vocabulary.
    """

    _MOST_PENDING = 1 << 20

    def __init__(self, tgt_size: int) -> None:
        self._tgt_size = tgt_size
        self._keys = np.empty(0, np.int64)  # source id * tgt_size + target id, ascending
        self._sums: npt.NDArray[np.float64] = np.empty(0, np.float64)
        self._pending: list[tuple[Int64s, npt.NDArray[np.float32]]] = []
        self._num_pending = 0

    def add(self, src_ids: Int32s, tgt_ids: Int32s, weights_TS: npt.NDArray[np.float32]) -> None:
        """Add the attention of a pair."""
        targets, sources = np.nonzero(weights_TS >= _MIN_ATTENTION)
        keys = src_ids[sources].astype(np.int64) * self._tgt_size + tgt_ids[targets]
        self._pending.append((keys, weights_TS[targets, sources]))
        self._num_pending += len(keys)
        if self._num_pending > self._MOST_PENDING:
            self._merge()

    def _merge(self) -> None:
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._pending)])
        values = np.concatenate([self._sums, *(values for _, values in self._pending)])
        self._keys, places = np.unique(keys, return_inverse=True)
        self._sums = np.bincount(places, values, len(self._keys)).astype(np.float64)
        self._pending, self._num_pending = [], 0

    def best(self, src_size: int, count: int, excluded: list[int]) -> Int32s:
        """Return the target ids with the most credit from each source id, filled up with -1."""
        self._merge()
        sources, targets = np.divmod(self._keys, self._tgt_size)
        keep = ~np.isin(targets, excluded)
        sources, targets, sums = sources[keep], targets[keep], self._sums[keep]
        order = np.lexsort((targets, -sums, sources))
        sources, targets = sources[order], targets[order]
        ranks = np.arange(len(sources)) - np.searchsorted(sources, sources)
        sources, targets, ranks = (each[ranks < count] for each in (sources, targets, ranks))
        likely = np.full((src_size, count), -1, np.int32)
        likely[sources, ranks] = targets
        return likely
