"""Drawing a token from each row of a batch of distributions, by inverting the cumulative one.

A uniform number in [0, 1) per row chooses its token, so no row depends on the others.

Shapes: N rows, V tokens of the vocabulary, K kept tokens, O blocks of I tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nmt.search.topk import top

_BLOCK = 64
_FEW, _WIDER = 64, 8  # for top_p: tokens sorted at first, and the factor by which to sort more
_COLDEST = 1e-30  # leaves only the most probable token; lower ones would be 0 in float32


def draw(
    log_probs_NV: Tensor,
    numbers_N: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Return the token that its number chooses in each row, int64 [N, 1].

    Args:
        log_probs_NV: float, log-probabilities, which need not be normalized. The result is
            arbitrary for rows with NaN or without any finite value.
        numbers_N: float, in [0, 1). The cumulative sums have the same type.
        temperature, top_k, top_p: see `Sampling`.
    """
    numbers_N1 = numbers_N[:, None]
    if top_k is not None:
        kept_NK, tokens_NK = top(log_probs_NV, top_k)
        weights_NK = _weights(kept_NK, temperature).to(numbers_N.dtype)
        if top_p is not None:
            weights_NK = _nucleus(weights_NK, top_p * weights_NK.sum(dim=1, keepdim=True))
        return tokens_NK.gather(1, _choose(weights_NK, numbers_N1)[0])
    if top_p is not None and top_p < 1:
        return _from_nucleus(log_probs_NV, numbers_N1, temperature, top_p, _FEW)
    return _from_all(log_probs_NV, numbers_N1, temperature)


def _from_all(log_probs_NV: Tensor, numbers_N1: Tensor, temperature: float) -> Tensor:
    """Draw from the whole vocabulary: first a block of it, then a token of this block."""
    weights_NV = _weights(log_probs_NV, temperature)
    weights_NOI = F.pad(weights_NV, (0, -weights_NV.shape[1] % _BLOCK)).view(
        len(weights_NV), -1, _BLOCK
    )
    blocks_N1, numbers_N1 = _choose(weights_NOI.sum(dim=2), numbers_N1)
    weights_NI = weights_NOI.take_along_dim(blocks_N1[:, :, None], dim=1)[:, 0]
    places_N1, _ = _choose(weights_NI, numbers_N1)
    return (_BLOCK * blocks_N1 + places_N1).clamp(max=log_probs_NV.shape[1] - 1)  # rows of NaN


def _from_nucleus(
    log_probs_NV: Tensor, numbers_N1: Tensor, temperature: float, top_p: float, count: int
) -> Tensor:
    """Draw from the tokens that top_p keeps, int64 [N, 1].

    Only the `count` best are sorted, then more in the rows where these fall short of top_p.
    """
    kept_NK, tokens_NK = top(log_probs_NV, count)
    weights_NK = _weights(kept_NK, temperature).to(numbers_N1.dtype)
    total_N1 = _weights(log_probs_NV, temperature).sum(dim=1, keepdim=True, dtype=numbers_N1.dtype)
    wanted_N1 = top_p * total_N1
    places_N1, _ = _choose(_nucleus(weights_NK, wanted_N1), numbers_N1)
    drawn_N1 = tokens_NK.gather(1, places_N1)
    lacks_N = weights_NK.sum(dim=1) < wanted_N1[:, 0]
    if count < log_probs_NV.shape[1] and lacks_N.any():
        drawn_N1[lacks_N] = _from_nucleus(
            log_probs_NV[lacks_N], numbers_N1[lacks_N], temperature, top_p, _WIDER * count
        )
    return drawn_N1


def _weights(log_probs_NV: Tensor, temperature: float) -> Tensor:
    """Return values proportional to the probabilities; the highest of a row is 1."""
    relative_NV = log_probs_NV - log_probs_NV.amax(dim=1, keepdim=True)
    return relative_NV.div_(max(temperature, _COLDEST)).exp_()


def _nucleus(weights_NK: Tensor, wanted_N1: Tensor) -> Tensor:
    """Set the weights of each row to 0 after those whose sum reaches the wanted one."""
    before_NK = weights_NK.cumsum(dim=1) - weights_NK
    return weights_NK.masked_fill(before_NK >= wanted_N1, 0.0)


def _choose(weights_NK: Tensor, numbers_N1: Tensor) -> tuple[Tensor, Tensor]:
    """Choose a column of each row, with probabilities proportional to the weights.

    Returns:
        The columns, int64 [N, 1], never of weight 0; and where each number lies within the share
        of its column, in [0, 1] and uniform again.
    """
    weights_NK = weights_NK.to(numbers_N1.dtype)
    cumulative_NK = weights_NK.cumsum(dim=1)
    totals_N1 = cumulative_NK[:, -1:].contiguous()
    thresholds_N1 = numbers_N1 * totals_N1
    columns_N1 = torch.searchsorted(cumulative_NK, thresholds_N1, right=True)
    # A threshold that was rounded up to the total belongs to the last column of weight above 0.
    columns_N1 = columns_N1.minimum(torch.searchsorted(cumulative_NK, totals_N1))
    columns_N1 = columns_N1.clamp(max=weights_NK.shape[1] - 1)  # rows of NaN
    chosen_N1 = weights_NK.gather(1, columns_N1)
    before_N1 = cumulative_NK.gather(1, columns_N1) - chosen_N1
    return columns_N1, ((thresholds_N1 - before_N1) / chosen_N1).clamp(0.0, 1.0)
