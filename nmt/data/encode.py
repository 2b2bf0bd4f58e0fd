"""Pairs of text to rows of prepared data, in chunks."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa

from nmt.config.corpora import AnyCorpus
from nmt.config.data import DataConfig
from nmt.data.context import before_source
from nmt.data.corpus import Pair
from nmt.data.filters import CorpusReport, Filters, digest
from nmt.data.placeholders import Finder, with_symbols
from nmt.data.prepared import SCHEMA, Int64s, schema_of
from nmt.data.tags import Tagger
from nmt.data.tokenizer import Tokenizers


class Encoder:
    """Filters and tokenizes chunks of pairs.

    Args:
        data: the filters and tags.
        tokenizers: of both sides.
        filtered: apply the filters; duplicates are found among all chunks.
        threads: that tokenize.
    """

    def __init__(
        self, data: DataConfig, tokenizers: Tokenizers, filtered: bool, threads: int
    ) -> None:
        self._data, self._tokenizers = data, tokenizers
        self._tagger = Tagger(data, tokenizers.src)
        self._filters = Filters(data) if filtered else None
        # Pairs for validation stay as they are.
        self._finder = Finder(data.placeholders) if filtered and data.placeholders else None
        self._has_digests = filtered and data.drop_duplicates
        self._threads = threads

    def encode(self, pairs: list[Pair], report: CorpusReport, corpus: AnyCorpus) -> Any:
        """Return the pairs that pass the filters as a record batch of `schema_of`, and count them.

        Args:
            pairs: the pairs.
            report: counts them.
            corpus: the corpus that they are from, whose tags begin the source ids.
        """
        languages = self._data.pair_of(corpus) if self._data.num_tags else None
        tags = self._tagger.ids_of(corpus)
        report.read += len(pairs)
        if self._filters:
            pairs = [pair for pair in pairs if self._filters.accepts_text(pair, report)]
        shown = [with_symbols(pair, self._finder) for pair in pairs] if self._finder else pairs
        src_ids = self._tokenizers.src.encode([pair.src for pair in shown], self._threads)
        tgt_ids = self._tokenizers.tgt.encode([pair.tgt for pair in shown], self._threads)
        if self._filters:
            lengths = _lengths(src_ids), _lengths(tgt_ids)
            keep = self._filters.accepted_lengths(pairs, *lengths, report, len(tags))
            if not keep.all():
                pairs = list(itertools.compress(pairs, keep))
                shown = list(itertools.compress(shown, keep))
                src_ids = list(itertools.compress(src_ids, keep))
                tgt_ids = list(itertools.compress(tgt_ids, keep))
        if tags:
            src_ids = [tags + ids for ids in src_ids]
        src, tgt = _id_array(src_ids), _id_array(tgt_ids)
        report.kept += len(pairs)
        report.src_tokens += len(src.values)
        report.tgt_tokens += len(tgt.values)
        report.src_unknown += _count(src.values, self._tokenizers.src.unk_id)
        report.tgt_unknown += _count(tgt.values, self._tokenizers.tgt.unk_id)
        contexts = self._contexts(pairs, src_ids) if self._data.context else []
        if contexts:
            src = _id_array(
                [
                    [*tags, *context, *ids[len(tags) :]]
                    for context, ids in zip(contexts, src_ids, strict=True)
                ]
            )
        arrays = [
            src,
            tgt,
            pa.array([pair.src for pair in shown], pa.string()),
            pa.array([pair.tgt for pair in shown], pa.string()),
            pa.array([pair.line for pair in pairs], pa.int64()),
            pa.array([digest(pair, languages) for pair in pairs], pa.int64())
            if self._has_digests
            else pa.nulls(len(pairs), pa.int64()),
        ]
        if self._data.context:
            arrays.append(pa.array(_lengths(contexts), pa.int32()))
        return pa.record_batch(arrays, schema=schema_of(self._data))

    def _contexts(self, pairs: list[Pair], src_ids: list[list[int]]) -> list[list[int]]:
        """Return the ids of the context of each pair, as much as fits before its source.

        Args:
            pairs: the pairs.
            src_ids: of each pair, with tags.
        """
        tokenizer = self._tokenizers.src
        texts = [*dict.fromkeys(text for pair in pairs for text in pair.context)]
        known = dict(zip(texts, tokenizer.encode(texts, self._threads), strict=True))
        return [
            before_source(
                [known[text] for text in pair.context],
                self._data.max_length - 1 - len(ids),
                tokenizer,
            )
            for pair, ids in zip(pairs, src_ids, strict=True)
        ]


def _lengths(rows: list[list[int]]) -> Int64s:
    return np.fromiter(map(len, rows), np.int64, len(rows))


def _id_array(rows: list[list[int]]) -> Any:
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    values = np.fromiter(itertools.chain.from_iterable(rows), np.int32, int(offsets[-1]))
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values), type=SCHEMA.field("src_ids").type
    )


def _count(values: Any, token: int) -> int:
    return int(np.count_nonzero(values.to_numpy() == token))
