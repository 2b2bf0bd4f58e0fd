"""Label-smoothed cross-entropy (paper, section 5.4; Szegedy et al. 2016)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nmt.data.batching import Batch
from nmt.model.transformer import Transformer

# Rows of logits worked on at a time: small enough for a core's cache, so that the float32
# copies of bf16 logits never go to memory.
_CHUNK_ROWS = 64


class _SmoothedCrossEntropy(torch.autograd.Function):
    """Both sums and the gradient from one log-sum-exp, without a copy of the log-probabilities."""

    @staticmethod
    def forward(
        ctx: Any, logits_NV: Tensor, targets_N: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        picked_N = logits_NV.gather(1, targets_N[:, None])[:, 0].float()
        lse_N = torch.empty_like(picked_N)
        mean_N = torch.empty_like(picked_N)
        for rows in _chunks(logits_NV):
            chunk_CV = logits_NV[rows].float()
            lse_N[rows] = chunk_CV.logsumexp(dim=1)
            mean_N[rows] = chunk_CV.mean(dim=1)
        ctx.save_for_backward(logits_NV, targets_N, lse_N)
        ctx.smoothing = smoothing
        nll = (lse_N - picked_N).sum()
        uniform = (lse_N - mean_N).sum()
        ctx.mark_non_differentiable(nll)
        return (1.0 - smoothing) * nll + smoothing * uniform, nll

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        logits_NV, targets_N, lse_N = ctx.saved_tensors
        smoothing, grad = ctx.smoothing, grads[0]
        grad_NV = torch.empty_like(logits_NV)
        for rows in _chunks(logits_NV):
            chunk_CV = logits_NV[rows].float().sub_(lse_N[rows, None]).exp_()
            chunk_CV.sub_(smoothing / logits_NV.shape[1])
            target_C1 = targets_N[rows, None]
            chunk_CV.scatter_add_(1, target_C1, chunk_CV.new_full(target_C1.shape, smoothing - 1.0))
            grad_NV[rows] = chunk_CV.mul_(grad).to(grad_NV.dtype)
        return grad_NV, None, None


def _chunks(logits_NV: Tensor) -> list[slice]:
    rows = len(logits_NV)
    size = rows if logits_NV.is_cuda else _CHUNK_ROWS
    return [slice(start, start + size) for start in range(0, rows, max(size, 1))]


def smoothed_cross_entropy(
    logits_NV: Tensor, targets_N: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Sum the cross-entropy against targets smoothed with a uniform distribution.

    The target distribution gives `smoothing / V` to every token and `1 - smoothing` more to the
    right one, as in torch's `cross_entropy`. The sum, not the mean, is returned: divided by the
    number of tokens of all batches of a step, it makes accumulated batches equal to one large one.

    Args:
        logits_NV: float32 or bfloat16, a row for each target token, none for padding.
        targets_N: int64 target ids.
        smoothing: the mass that is spread.

    Returns:
        the smoothed loss, to be minimised, and the plain negative log-likelihood, to be reported;
        both float32 scalars, in nats.
    """
    loss, nll = _SmoothedCrossEntropy.apply(logits_NV, targets_N, smoothing)  # type: ignore[no-untyped-call]
    return loss, nll


def batch_loss(
    network: Transformer, batch: Batch, pad_id: int, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Sum the loss of a model over the target tokens of a batch.

    Padding is left out before the projection to the vocabulary, the largest product of a small
    model.

    Args:
        network: the model.
        batch: on the model's device.
        pad_id: the target id that is padding.
        smoothing: as in `smoothed_cross_entropy`.

    Returns:
        as `smoothed_cross_entropy`.
    """
    hidden_BTD = network.decode(batch.tgt_in_BT, *network.encode(batch.src_BS))
    is_token_BT = batch.tgt_out_BT != pad_id
    logits_NV = network.project(hidden_BTD[is_token_BT])
    return smoothed_cross_entropy(logits_NV, batch.tgt_out_BT[is_token_BT], smoothing)
