"""Duplicates and near-duplicates, found by hashes that need few bytes for each pair."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nmt.clean.sides import Side, Sides
from nmt.config.cleaning import DuplicatesRule, NearDuplicatesRule
from nmt.errors import ConfigError, how_to_install

Hashes = npt.NDArray[np.uint64]


class Seen:
    """The hashes of the rows so far, 8 bytes each.

    Sorted arrays, of which each is at least twice as long as the next one, so that a hash is
    merged into a longer array a logarithmic number of times. While two are merged, memory for
    their hashes is needed twice.
    """

    def __init__(self) -> None:
        self._arrays: list[Hashes] = []

    def repeats(self, hashes_NB: Hashes) -> npt.NDArray[np.bool_]:
        """Return which rows share a hash with an earlier row, (rows,), and add the others.

        Args:
            hashes_NB: of each row, (rows, hashes).
        """
        known_NB = np.zeros(hashes_NB.shape, np.bool_)
        for array in self._arrays:
            places = np.searchsorted(array, hashes_NB).clip(max=len(array) - 1)
            known_NB |= array[places] == hashes_NB
        repeats_N: npt.NDArray[np.bool_] = np.logical_or.reduce(known_NB, axis=1)
        fresh: set[int] = set()
        for row in np.flatnonzero(~repeats_N).tolist():
            values = hashes_NB[row].tolist()
            if fresh.isdisjoint(values):
                fresh.update(values)
            else:
                repeats_N[row] = True
        if fresh:
            self._add(np.array(sorted(fresh), np.uint64))
        return repeats_N

    def _add(self, array: Hashes) -> None:
        while self._arrays and len(self._arrays[-1]) < 2 * len(array):
            # A stable sort merges two sorted halves in linear time.
            array = np.concatenate([self._arrays.pop(), array])
            array.sort(kind="stable")
        self._arrays.append(array)


class Exact:
    """Hashes of what `duplicates` compares.

    Args:
        limits: what that is.
    """

    def __init__(self, limits: DuplicatesRule) -> None:
        self._compare = limits.compare

    def hashes(self, pairs: Sequence[Sides]) -> Hashes:
        """Return a hash of each pair, (pairs, 1), or one of each side, (pairs, 2)."""
        rows = [[*map(_digest, self._texts(*pair))] for pair in pairs]
        return np.array(rows, np.uint64).reshape(len(rows), -1)

    def _texts(self, src: Side, tgt: Side) -> list[str]:
        match self._compare:
            case "pair":
                return [f"{src.text}\n{tgt.text}"]
            case "src":
                return [src.text]
            case "tgt":
                return [tgt.text]
        return [f"src\n{src.text}", f"tgt\n{tgt.text}"]


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Near:
    """Hashes of bands of MinHash signatures (Leskovec, Rajaraman and Ullman, section 3.4).

    Pairs that share a band are near-duplicates. datasketch chooses the number of bands and their
    height such that this is likely from the wanted similarity on.

    Args:
        limits: the similarity, and the length of a signature.

    Raises:
        ConfigError: if datasketch is not installed.
    """

    def __init__(self, limits: NearDuplicatesRule) -> None:
        try:
            from datasketch import MinHashLSH
        except ImportError as error:
            raise ConfigError(
                f"near_duplicates: needs datasketch: {how_to_install('clean')}, or set "
                "near_duplicates=false"
            ) from error
        index = MinHashLSH(limits.similarity, limits.permutations)
        self._permutations = limits.permutations
        self.bands, self._height = index.b, index.r
        draw = np.random.default_rng(0)
        # Odd factors make the sums of two different bands differ, but for one in 2^32 or so.
        shape = (self.bands, self._height)
        self._factors_BR = draw.integers(0, 1 << 63, shape, np.uint64) * np.uint64(2) + np.uint64(1)

    def hashes(self, pairs: Sequence[Sides]) -> Hashes:
        """Return a hash of each band of the signature of each pair, (pairs, bands)."""
        from datasketch import MinHash

        signatures = MinHash.generator(
            (_shingles(src, tgt) for src, tgt in pairs),
            num_perm=self._permutations,
            hashfunc=zlib.crc32,
        )
        used = self.bands * self._height
        values_NP = np.array([one.hashvalues[:used] for one in signatures], np.uint64)
        bands_NBR = values_NP.reshape(len(pairs), self.bands, self._height)
        hashes_NB: Hashes = (bands_NBR * self._factors_BR).sum(2, dtype=np.uint64)
        return hashes_NB


def _shingles(src: Side, tgt: Side) -> list[bytes]:
    """Return the words and bigrams of both sides, without case and punctuation."""
    return [*_of_side(src, "<"), *_of_side(tgt, ">")]


def _of_side(side: Side, mark: str) -> Iterator[bytes]:
    words = side.plain_words
    yield from (f"{mark}{word}".encode() for word in words)
    yield from (f"{mark}{one} {two}".encode() for one, two in pairwise(["", *words, ""]))
