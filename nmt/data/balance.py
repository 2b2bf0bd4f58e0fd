"""How often training visits each language pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nmt.config.data import DataConfig
from nmt.config.languages import LanguagePair
from nmt.data.prepared import Prepared


@dataclass
class Share:
    """The part of a language pair in an epoch.

    Attributes:
        pairs: number of sentence pairs.
        visits: how many of them an epoch visits, counting repetitions.
    """

    pairs: int = 0
    visits: float = 0.0


def shares(prepared: Prepared, data: DataConfig) -> dict[LanguagePair, Share]:
    """Return the part of each language pair in an epoch of training data."""
    found: dict[LanguagePair, Share] = {}
    for corpus, size, weight in zip(
        prepared.corpora, prepared.corpus_sizes, prepared.weights, strict=True
    ):
        share = found.setdefault(data.pair_of(corpus), Share())
        share.pairs += size
        share.visits += size * weight
    return found


def balance(prepared: Prepared, data: DataConfig) -> None:
    """Raise the weights of the corpora of small language pairs by `data.sampling_temperature`.

    A language pair that its weights visit n times is then visited m * (n / m) ** (1 / T) times,
    where m is the most visits of any language pair.
    """
    if data.sampling_temperature == 1:
        return
    visits = {pair: share.visits for pair, share in shares(prepared, data).items()}
    most = max(visits.values())
    factors: Sequence[float] = [
        # A pair without rows, all of whose rows were filtered, keeps its weight.
        (most / visits[pair]) ** (1 - 1 / data.sampling_temperature) if visits[pair] else 1.0
        for pair in map(data.pair_of, prepared.corpora)
    ]
    prepared.weights = [w * f for w, f in zip(prepared.weights, factors, strict=True)]


def describe(prepared: Prepared, data: DataConfig) -> Iterator[str]:
    """Yield a line that says how often each language pair is visited; none if there is only one."""
    found = shares(prepared, data)
    if len(found) > 1:
        parts = [
            f"{pair} {share.pairs:,} pairs, visited {share.visits / max(share.pairs, 1):.3g} times"
            for pair, share in found.items()
        ]
        yield f"an epoch: {'; '.join(parts)}"
