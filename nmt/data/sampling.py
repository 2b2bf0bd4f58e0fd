"""Reproducible random segmentation into the pieces of a SentencePiece model.

SentencePiece can sample, but newer versions seed its generator differently in every process
(0.2.3 mixes in a salt), and training must be reproducible. This module therefore implements
BPE-dropout (Provilkov et al. 2020), and unigram sampling by forward filtering and backward sampling
(Kudo 2018, section 3.2).

Text is segmented word by word, unless the model has pieces that span words. Each word gets one of
`DRAWS` segmentations, chosen by the seed. These are cached, so that a frequent word costs one
look-up.
"""

from __future__ import annotations

import functools
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np

from nmt.data.model_file import ModelFile, ModelType, PieceKind
from nmt.data.pieces import SPACE

DRAWS = 64
"""Number of random segmentations of a word."""

_CACHED_DRAWS = 1_000_000
_UNKNOWN_PENALTY = 10.0  # as in SentencePiece's unigram model


class Sampler:
    """Samples segmentations of normalized text.

    Args:
        model: a model of type BPE or UNIGRAM.
        alpha: probability of dropping a merge (bpe), or exponent of the segmentation
            probabilities (unigram), where 0 makes all segmentations equally likely.
    """

    def __init__(self, model: ModelFile, alpha: float) -> None:
        self._alpha = alpha
        self._ids, self._scores = {}, {}
        for number, piece in enumerate(model.pieces):
            if piece.kind in (PieceKind.NORMAL, PieceKind.USER_DEFINED):
                self._ids[piece.text] = number
                self._scores[piece.text] = piece.score
        kinds = [piece.kind for piece in model.pieces]
        self._unknown = kinds.index(PieceKind.UNKNOWN)
        # Byte pieces are in byte order.
        self._first_byte = kinds.index(PieceKind.BYTE) if model.byte_fallback else None
        symbols = [p.text for p in model.pieces if p.kind is PieceKind.USER_DEFINED]
        symbols.sort(key=len, reverse=True)
        self._symbols = re.compile(f"({'|'.join(map(re.escape, symbols))})" if symbols else "(?!)")
        self._user_defined = frozenset(symbols)
        spanning = any(SPACE in text[1:] for text in self._ids)
        self._units = re.compile(".+" if spanning else f"{SPACE}?[^{SPACE}]+|{SPACE}", re.DOTALL)
        self._longest = max(map(len, self._ids), default=1)
        self._lowest = min(self._scores.values(), default=0.0) - _UNKNOWN_PENALTY
        split = self._dropped_merges if model.type is ModelType.BPE else self._lattice_path
        self._split: Callable[[str, random.Random], list[str]] = split
        self._draw = functools.lru_cache(_CACHED_DRAWS)(self._drawn)

    def sample(self, lines: Sequence[str], seed: int) -> list[list[int]]:
        """Return the ids of each line, a pure function of model, alpha and the arguments.

        Args:
            lines: normalized text, with U+2581 for spaces.
            seed: seed of the choice among the draws.
        """
        units = [self._units.findall(line) for line in lines]
        choices = np.random.default_rng(seed).integers(DRAWS, size=sum(map(len, units)))
        choice = iter(choices.tolist())
        return [
            self._without_runs([i for unit in line for i in self._draw(unit, next(choice))])
            for line in units
        ]

    def _drawn(self, unit: str, number: int) -> tuple[int, ...]:
        """Return the ids of draw `number` for a word."""
        rng = random.Random(f"{number} {unit}")
        ids: list[int] = []
        for place, part in enumerate(self._symbols.split(unit)):
            # re.split puts the matches of the group, here the symbols, at odd indices.
            for text in [part] if place % 2 else self._split(part, rng) if part else []:
                ids += self._ids_of(text)
        return tuple(ids)

    def _ids_of(self, text: str) -> list[int]:
        if (token := self._ids.get(text)) is not None:
            return [token]
        if self._first_byte is None:
            return [self._unknown]
        return [self._first_byte + byte for byte in text.encode("utf-8")]

    def _without_runs(self, ids: list[int]) -> list[int]:
        """Merge adjacent unknown pieces into one, as SentencePiece does."""
        unknown = self._unknown
        if unknown not in ids:
            return ids
        return [
            token
            for before, token in zip([None, *ids], ids, strict=False)
            if token != unknown or before != unknown
        ]

    def _dropped_merges(self, text: str, rng: random.Random) -> list[str]:
        """Return the result of BPE merges, each of which is dropped with probability alpha.

        As in SentencePiece, a dropped merge is not tried again unless one of its symbols changes.
        The paper's algorithm 1 tries it again, which undoes most of the dropout in long units, as
        in languages without spaces.
        """
        symbols = list(text)
        # Scores of merging each symbol with the next.
        scores = [self._merge(left, right) for left, right in pairwise(symbols)]
        while (best := max(scores, default=-math.inf)) > -math.inf:
            place = scores.index(best)
            if rng.random() < self._alpha:
                scores[place] = -math.inf
                continue
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
            del scores[place]
            if place:
                scores[place - 1] = self._merge(symbols[place - 1], symbols[place])
            if place < len(scores):
                scores[place] = self._merge(symbols[place], symbols[place + 1])
        return symbols

    def _merge(self, left: str, right: str) -> float:
        merged = left + right
        if merged in self._user_defined:
            return -math.inf
        return self._scores.get(merged, -math.inf)

    def _lattice_path(self, text: str, rng: random.Random) -> list[str]:
        """Draw a segmentation with probability proportional to p ** alpha."""
        edges: list[list[tuple[int, float]]] = [[]]  # per end position: (start, log weight)
        forward = [0.0]
        for end in range(1, len(text) + 1):
            edges.append(list(self._pieces_into(text, end)))
            weights = [forward[start] + weight for start, weight in edges[end]]
            highest = max(weights)
            forward.append(highest + math.log(sum(math.exp(w - highest) for w in weights)))
        pieces: list[str] = []
        end = len(text)
        while end:
            chances = [math.exp(forward[s] + weight - forward[end]) for s, weight in edges[end]]
            [(start, _)] = rng.choices(edges[end], cum_weights=list(accumulate(chances)))
            pieces.append(text[start:end])
            end = start
        return pieces[::-1]

    def _pieces_into(self, text: str, end: int) -> Iterator[tuple[int, float]]:
        for start in range(max(0, end - self._longest), end):
            piece = text[start:end]
            score = self._scores.get(piece)
            if score is not None and piece not in self._user_defined:
                yield start, self._alpha * score
            elif start == end - 1:
                yield start, self._alpha * self._lowest


def choose_of_best(
    candidates: Sequence[Sequence[int]], log_probs: Sequence[float], alpha: float, draw: float
) -> list[int]:
    """Return one of the n best segmentations, with probability proportional to p ** alpha.

    Args:
        candidates: ids of each segmentation.
        log_probs: log p of each segmentation, up to a constant.
        alpha: the exponent; 0 makes all equally likely.
        draw: a random number in [0, 1).
    """
    highest = max(log_probs)
    chances = list(accumulate(math.exp(alpha * (value - highest)) for value in log_probs))
    threshold = draw * chances[-1]
    return list(
        next(c for c, chance in zip(candidates, chances, strict=True) if chance > threshold)
    )
