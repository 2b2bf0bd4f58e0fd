"""Searches parts of lines, in batches: what the engine finds, as text."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ConfigDict, TypeAdapter

from nmt.config.search import SearchOptions
from nmt.errors import DataError
from nmt.search.hypothesis import Hypothesis, length_factor
from nmt.translate.engine import Alternatives, Engine, WordAligner
from nmt.translate.parts import Part
from nmt.translate.translation import ScoredText
from nmt.translate.words import link_words, word_numbers

if TYPE_CHECKING:
    from nmt.translate.mbr import Utility


@cache
def _texts_of_batches() -> TypeAdapter[list[list[list[ScoredText]]]]:
    """Return what converts results of batches to and from JSON."""
    return TypeAdapter(
        list[list[list[ScoredText]]], config=ConfigDict(ser_json_inf_nan="constants")
    )


class Searched(Protocol):
    """Keeps the results of batches, so that a later process can continue."""

    def find(self, batch: str) -> list[list[ScoredText]] | None:
        """Return the results of a batch, if known. Called from several threads."""
        ...

    def add(self, batch: str, found: list[list[ScoredText]]) -> None:
        """Keep the results of a batch."""
        ...


class Peers(Protocol):
    """The processes that share the batches; `nmt.distributed.World` is one."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""

    @property
    def size(self) -> int:
        """The number of processes."""

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes by rank; they are values of JSON."""


class _Alone:
    """This process alone."""

    rank = 0
    size = 1

    def gather(self, value: Any) -> list[Any]:
        """Return the only value."""
        return [value]


class PartSearch:
    """Searches translations of parts.

    Args:
        engine: what runs the model.
        engine_for_terms: returns what runs it for parts with required terms.
        options: of the search.
        aligner: of the same models; adds the alignments.
        token_scores: add the log-probability of each token.
        token_alternatives: how many of the most probable tokens to add at each position.
        peers: processes that share the batches.
        poll: called before each batch; an exception that it raises ends the search.
        warn: called with a message when memory runs out for the first time.
    """

    def __init__(
        self,
        engine: Engine,
        engine_for_terms: Callable[[], Engine],
        options: SearchOptions,
        *,
        aligner: WordAligner | None,
        token_scores: bool,
        token_alternatives: int,
        peers: Peers | None,
        poll: Callable[[], None],
        warn: Callable[[str], object],
    ) -> None:
        self._engine, self._engine_for_terms = engine, engine_for_terms
        self._options, self._aligner = options, aligner
        self._token_scores, self._num_alternatives = token_scores, token_alternatives
        self._peers = peers or _Alone()
        self._poll, self._warn = poll, warn
        self._tgt = engine.models[0].tokenizers[1]
        self._memory_ran_out = False

    def batches(self, parts: Sequence[Part]) -> list[list[int]]:
        """Group parts of similar length, those with required terms by themselves.

        Returns:
            Indices of `parts`, each in exactly one group.
        """
        lengths = [len(part.src_ids) for part in parts]
        batch_tokens = self._options.batch_tokens
        if self._options.mbr and self._options.samples:  # no more rows than a beam search has
            batch_tokens = batch_tokens * self._options.beam_size // self._options.candidates
        num_parallel = self._engine.num_parallel * self._peers.size
        if num_parallel > 1:  # small inputs, too, keep all of them busy
            batch_tokens = min(batch_tokens, 1 + sum(lengths) // num_parallel)
        return [
            [places[i] for i in batch]
            for places in _divided_by([bool(part.terms) for part in parts])
            for batch in length_batches([lengths[i] for i in places], batch_tokens)
        ]

    def search(
        self, batches: list[list[Part]], searched: Searched | None
    ) -> Iterator[list[list[ScoredText]]]:
        """Search this process's share of the batches; yield the results of all, in order.

        Args:
            batches: the parts of each batch.
            searched: keeps the results of batches, and has those of an earlier process.

        Yields:
            The translations of each part of a batch, best first.

        Raises:
            DataError: if a part does not fit into memory even alone.
        """
        rank, size = self._peers.rank, self._peers.size
        own = self._search_batches(batches[rank::size], searched)
        if size == 1:
            yield from own
            return
        texts = _texts_of_batches()
        shares = self._peers.gather(texts.dump_python(list(own), mode="json"))
        results = [iter(texts.validate_python(share)) for share in shares]
        for place in range(len(batches)):
            yield next(results[place % size])

    def _search_batches(
        self, batches: list[list[Part]], searched: Searched | None
    ) -> Iterator[list[list[ScoredText]]]:
        """Search batches, as many in parallel as the engine supports; yield results in order."""

        def search(batch: list[Part]) -> list[list[ScoredText]]:
            if searched and (found := searched.find(_name(batch))) is not None:
                return found
            self._poll()
            return self._search_fitting(batch)

        for has_terms, some in itertools.groupby(batches, lambda batch: bool(batch[0].terms)):
            group, num_parallel = [*some], self._engine_of(has_terms).num_parallel
            with ThreadPoolExecutor(num_parallel) as threads:
                results = (threads.map if num_parallel > 1 else map)(search, group)
                for batch, found in zip(group, results, strict=True):
                    if searched:
                        searched.add(_name(batch), found)
                    yield found

    def _engine_of(self, has_terms: bool) -> Engine:
        return self._engine_for_terms() if has_terms else self._engine

    def _search_fitting(self, parts: list[Part]) -> list[list[ScoredText]]:
        """Search a batch, in halves if it does not fit into memory."""
        with suppress(MemoryError):
            return self._search(parts)
        if len(parts) == 1:
            raise DataError(
                f"line {parts[0].line}: {len(parts[0].src_ids)} tokens, searched with beam size "
                f"{self._options.beam_size}, do not fit into memory: choose a smaller "
                "`beam_size`, or divide the line"
            )
        if not self._memory_ran_out:
            self._memory_ran_out = True
            self._warn(
                f"line {parts[0].line}: memory ran out in its batch of {len(parts)}: such batches "
                "are translated in halves; a smaller `batch_tokens` avoids the attempt"
            )
        middle = len(parts) // 2
        return self._search_fitting(parts[:middle]) + self._search_fitting(parts[middle:])

    def _search(self, parts: list[Part]) -> list[list[ScoredText]]:
        sources = [part.src_ids for part in parts]
        terms = [part.terms for part in parts]
        found = self._engine_of(any(terms)).search(
            sources,
            [part.key for part in parts],
            self._options,
            prefixes=[part.prefix for part in parts],
            terms=terms if any(terms) else (),
            token_scores=self._token_scores,
        )
        best = [hypotheses[: self._options.candidates] for hypotheses in found]
        texts = self._texts(best)
        if self._options.mbr:
            best, texts = self._of_highest_utility(self._options.mbr, best, texts)
        if self._num_alternatives:
            texts = self._with_alternatives(sources, best, texts)
        return self._aligned(self._aligner, parts, best, texts) if self._aligner else texts

    def _of_highest_utility(
        self, utility: Utility, found: list[list[Hypothesis]], texts: list[list[ScoredText]]
    ) -> tuple[list[list[Hypothesis]], list[list[ScoredText]]]:
        """Return the hypotheses of a batch, and their texts, that mbr chooses; best first."""
        from nmt.translate.mbr import best_candidates, weights_of_list  # they need numpy

        best, best_texts = [], []
        for hypotheses, row in zip(found, texts, strict=True):
            # Samples occur as often as they are probable.
            weights = [1.0] * len(row)
            if not self._options.samples:
                weights = weights_of_list([h.log_prob for h in hypotheses])
            chosen = best_candidates([text.text for text in row], weights, utility)
            chosen = chosen[: self._options.nbest]
            best.append([hypotheses[each.place] for each in chosen])
            best_texts.append([replace(row[place], utility=value) for place, value in chosen])
        return best, best_texts

    def _with_alternatives(
        self,
        sources: list[list[int]],
        best: list[list[Hypothesis]],
        texts: list[list[ScoredText]],
    ) -> list[list[ScoredText]]:
        """Return the texts of a batch with their tokens, and the alternatives to each."""
        flat = [*itertools.chain(*best)]
        targets = [[*h.ids, self._tgt.eos_id] for h in flat]
        repeated = [src for src, group in zip(sources, best, strict=True) for _ in group]
        found: list[Alternatives] = []
        for start in range(0, len(flat), len(sources)):
            some = slice(start, start + len(sources))
            count = self._num_alternatives
            found += self._engine.alternatives(repeated[some], targets[some], count)
        shown = (
            replace(
                text,
                tokens=self._tgt.pieces(ids[: text.num_tokens]),
                alternatives=[self._named(row) for row in rows[: text.num_tokens]],
            )
            for text, ids, rows in zip(itertools.chain(*texts), targets, found, strict=True)
        )
        return [[next(shown) for _ in group] for group in texts]

    def _named(self, row: list[tuple[int, float]]) -> list[tuple[str, float]]:
        """Return the pieces of tokens instead of their ids."""
        ids, log_probs = zip(*row, strict=True)
        return [*zip(self._tgt.pieces(ids), log_probs, strict=True)]

    def _aligned(
        self,
        aligner: WordAligner,
        parts: list[Part],
        best: list[list[Hypothesis]],
        texts: list[list[ScoredText]],
    ) -> list[list[ScoredText]]:
        """Return the texts of a batch with their alignments."""
        rows = [
            (part, hypothesis, text.text)
            for part, *row in zip(parts, best, texts, strict=True)
            for hypothesis, text in zip(*row, strict=True)
        ]
        weights = aligner.weights(
            [part.src_ids for part, _, _ in rows], [h.ids for _, h, _ in rows]
        )
        links = iter(
            link_words(of_row, part.words, word_numbers(text, self._tgt.decoded_tokens(h.ids)))
            for (part, h, text), of_row in zip(rows, weights, strict=True)
        )
        return [[replace(text, alignment=next(links)) for text in row] for row in texts]

    def _texts(self, found: list[list[Hypothesis]]) -> list[list[ScoredText]]:
        """Detokenize the hypotheses of a batch."""
        texts = iter(self._tgt.decode([h.ids for hypotheses in found for h in hypotheses]))
        alpha = self._options.length_penalty
        return [
            [
                ScoredText(
                    next(texts),
                    h.score,
                    h.log_prob,
                    h.num_tokens,
                    h.token_log_probs,
                    length_factor=length_factor(h.num_tokens, alpha),
                    coverage=h.coverage,
                )
                for h in hypotheses
            ]
            for hypotheses in found
        ]


def _divided_by(marks: Sequence[bool]) -> list[list[int]]:
    """Return the indices of the marks that are False, and of those that are True."""
    return [
        [place for place, mark in enumerate(marks) if mark is wanted] for wanted in (False, True)
    ]


def _name(batch: list[Part]) -> str:
    """Return a name for a batch that no other batch has: a hash of all that is searched."""
    return hashlib.sha256(repr(batch).encode("utf-8")).hexdigest()


def length_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Group items of similar length, longest first.

    Args:
        lengths: tokens of each item.
        batch_tokens: largest number of items times the longest of them; an item longer than
            that is a batch alone.

    Yields:
        Indices of `lengths`, each in exactly one group.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
