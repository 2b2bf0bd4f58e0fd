"""Text infilling: the noise of denoising pretraining (BART, Lewis et al. 2020, section 2.2).

Spans of tokens, whose lengths are Poisson distributed, are each replaced by one `MASK`. The model
restores the whole text, so it also has to predict how many tokens are missing. Unlike BART, which
masks whole words, spans are of tokens: not all languages separate words. Sentences are not
permuted, since a line usually is one.

`MASK` is a control symbol: no text contains it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nmt.config.denoise import DenoiseConfig


def infilled(
    rows: Sequence[Sequence[int] | npt.NDArray[np.int32]],
    settings: DenoiseConfig,
    mask_id: int,
    seed: int,
) -> list[list[int]]:
    """Return rows of ids with spans replaced, a pure function of the arguments.

    Args:
        rows: ids of each text, without tags and EOS.
        settings: how many tokens are replaced, and the mean length of a span.
        mask_id: id of `MASK`.
        seed: seed of the random numbers.
    """
    rng = np.random.default_rng(seed)
    return [_infilled(np.asarray(row, np.int64), settings, mask_id, rng).tolist() for row in rows]


def _infilled(
    ids_L: npt.NDArray[np.int64], settings: DenoiseConfig, mask_id: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the ids of one text with spans replaced; U units are single tokens or spans."""
    # Rounded at random, so that a short text has the same rate on average.
    num_replaced = int(len(ids_L) * settings.rate + rng.random())
    spans = _span_lengths(num_replaced, settings.span, rng)
    sizes_U = np.concatenate([spans, np.full(len(ids_L) - num_replaced, -1)])
    rng.shuffle(sizes_U)  # all arrangements are equally likely
    is_token_U = sizes_U == -1
    sizes_U[is_token_U] = 1
    starts_U = np.cumsum(sizes_U) - sizes_U
    noisy_U = np.full(len(sizes_U), mask_id)
    noisy_U[is_token_U] = ids_L[starts_U[is_token_U]]
    return noisy_U


def _span_lengths(total: int, mean: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw lengths until they add up to a total; the last is cut short, as in BART's code."""
    lengths: list[int] = []
    left = total
    while left:
        lengths.append(min(int(rng.poisson(mean)), left))
        left -= lengths[-1]
    return np.array(lengths, np.int64)
