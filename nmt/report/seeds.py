"""Runs that are repetitions of one another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_SEED = "train.seed"


def seed_groups(configs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Group configurations that differ in `train.seed` alone.

    Equal ones are not grouped: they show the same run twice, not two random draws.

    Args:
        configs: as flat dictionaries, with dots in their keys.

    Returns:
        The places of the members of each group, in order of the first.
    """
    groups: list[list[int]] = []
    by_settings: dict[str, list[list[int]]] = {}
    for place, config in enumerate(configs):
        others = {key: value for key, value in config.items() if key != _SEED}
        known = by_settings.setdefault(json.dumps(others, sort_keys=True), [])
        for group in known:
            if all(configs[member].get(_SEED) != config.get(_SEED) for member in group):
                group.append(place)
                break
        else:
            known.append([place])
            groups.append(known[-1])
    return groups
