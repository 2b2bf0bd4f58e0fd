"""The splits of the built-in demo corpus."""

from collections.abc import Iterable, Iterator
from functools import cache

from nmt.data.phrasebook import SPLITS, Pair
from phrasebook.constructions import CONSTRUCTIONS
from phrasebook.drawing import Dice
from phrasebook.lines import to_pair

_SEED = 20_260_101


def stream(seed: int) -> Iterator[Pair]:
    """Yield pairs endlessly, repetitions included."""
    dice = Dice(seed)
    while True:
        yield to_pair(dice.pick(CONSTRUCTIONS)(dice))


def _distinct(drawn: Iterable[Pair]) -> Iterator[Pair]:
    """Yield the pairs of which neither side has occurred before."""
    seen_src: set[str] = set()
    seen_tgt: set[str] = set()
    for pair in drawn:
        if pair.src not in seen_src and pair.tgt not in seen_tgt:
            yield pair
        seen_src.add(pair.src)
        seen_tgt.add(pair.tgt)


@cache
def _splits() -> dict[str, list[Pair]]:
    """Return distinct pairs divided into splits that follow the same distribution."""
    splits: dict[str, list[Pair]] = {name: [] for name in SPLITS}
    period = sum(SPLITS.values()) // SPLITS["test"]
    held_out = {0: "valid", period // 2: "test"}
    drawn = zip(range(sum(SPLITS.values())), _distinct(stream(_SEED)), strict=False)
    for i, pair in drawn:
        splits[held_out.get(i % period, "train")].append(pair)
    return splits


def pairs(split: str) -> list[Pair]:
    """Return the pairs of one split, the same on every machine.

    Both sides are distinct, within a split and across splits.
    """
    return list(_splits()[split])
