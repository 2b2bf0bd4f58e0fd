"""Upper bounds of settings: far beyond any use, and low enough to end in a message and not a crash.

They catch a slip of the keyboard and the configuration of a model that means harm. Whether what
they let pass fits into memory and into a lifetime depends on the machine, and on other settings.
"""

from __future__ import annotations

import os

MAX_STEPS = 10**9
"""Also of whatever else is counted over a training run: pairs, checkpoints, validations."""
MAX_BATCH_TOKENS = 10**8
MAX_SEED = 2**63 - 1
MAX_LENGTH = 100_000
"""Tokens of a sentence."""
MAX_VOCAB_SIZE = 10**6
MAX_WIDTH = 2**16
"""Of a vector in a model."""
MAX_D_FF = 2**20
MAX_LAYERS = 1000
MAX_BEAM_SIZE = 1000
MAX_THREADS = 1024


def useful_threads(number: int) -> int:
    """Return at most one thread or process per processor: more cost memory and gain nothing."""
    return min(number, os.cpu_count() or number)
