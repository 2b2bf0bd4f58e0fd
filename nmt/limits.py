"""Upper bounds of settings, far beyond any practical use.

With them, a typing error or a malicious model ends in an error message instead of a crash. Whether
settings within them fit into memory depends on the machine and on other settings.
"""

from __future__ import annotations

import os

MAX_STEPS = 10**9
"""Also bounds other counts of a training run: pairs, checkpoints, validations."""
MAX_BATCH_TOKENS = 10**8
MAX_SEED = 2**63 - 1
MAX_LENGTH = 100_000
"""Tokens per sentence."""
MAX_VOCAB_SIZE = 10**6
MAX_WIDTH = 2**16
"""Dimensions of a vector in a model."""
MAX_D_FF = 2**20
MAX_LAYERS = 1000
MAX_BEAM_SIZE = 1000
MAX_CONTEXT = 10
"""Sentences before a source, as its context."""
MAX_ALTERNATIVES = 1000
"""Tokens shown at each position of a translation."""
MAX_THREADS = 1024


def useful_threads(number: int) -> int:
    """Return at most one thread or process per processor: more cost memory and gain nothing."""
    return min(number, os.cpu_count() or number)
