"""Label-smoothed cross-entropy (paper, section 5.4; Szegedy et al. 2016)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nmt.data.batching import Batch
from nmt.model.network import Network

# Rows of logits on a CPU at a time: they stay in the last-level cache, and no allocation is so
# large that the system takes it back and clears it again in every step.
_CPU_CHUNK_ROWS = 512
_GPU_CHUNK_ROWS = 8192


class _ProjectedCrossEntropy(torch.autograd.Function):
    """Projection, loss and their gradients chunk by chunk; the logits are never there whole."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        device = hidden_ND.device.type
        autocast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else hidden_ND.dtype
        h_ND, w_VD = hidden_ND.to(dtype), weight_VD.to(dtype)
        # The uniform part of the target is the same for all tokens: the mean of the logits is a
        # product with the mean of the weights, so that no pass over the vocabulary is needed.
        mean_D = weight_VD.mean(dim=0)
        nll = torch.zeros((), device=hidden_ND.device)
        lse = torch.zeros((), device=hidden_ND.device)
        grad_ND = torch.empty_like(h_ND)
        grad_VD = torch.zeros_like(weight_VD)
        size = _GPU_CHUNK_ROWS if hidden_ND.is_cuda else _CPU_CHUNK_ROWS
        # Used by all chunks: memory fresh from the system would cost as much as a pass over it.
        products_CV = h_ND.new_empty(min(size, len(h_ND)), len(w_VD))
        exact_CV = torch.empty_like(products_CV, dtype=torch.float32)
        part_VD = torch.empty_like(w_VD)
        exact_VD = torch.empty_like(weight_VD)
        with torch.autocast(device, enabled=False):
            uniform = -(hidden_ND.float() @ mean_D).sum()
            for start in range(0, len(h_ND), size):
                rows = slice(start, start + size)
                target_C1 = targets_N[rows, None]
                products = products_CV[: len(target_C1)]
                logits_CV = exact_CV[: len(target_C1)]
                logits_CV.copy_(torch.mm(h_ND[rows], w_VD.t(), out=products))
                target_logit_C1 = logits_CV.gather(1, target_C1)
                max_C1 = logits_CV.amax(1, keepdim=True)
                probs_CV = torch.softmax(logits_CV, dim=1, out=logits_CV)
                # The largest probability is exp(0) over the sum: it does not underflow.
                lse_C1 = max_C1 - probs_CV.amax(1, keepdim=True).log()
                lse = lse + lse_C1.sum()
                nll = nll + (lse_C1 - target_logit_C1).sum()
                if not any(ctx.needs_input_grad):
                    continue
                # The gradient of the logits is their softmax minus the target distribution.
                probs_CV.scatter_add_(1, target_C1, lse_C1.new_full(lse_C1.shape, smoothing - 1.0))
                grad_CV = products.copy_(probs_CV)
                torch.mm(grad_CV, w_VD, out=grad_ND[rows])
                grad_VD += exact_VD.copy_(torch.mm(grad_CV.t(), h_ND[rows], out=part_VD))
        grad_ND -= smoothing * mean_D
        grad_VD -= smoothing / len(weight_VD) * hidden_ND.sum(dim=0)
        ctx.save_for_backward(grad_ND, grad_VD)
        ctx.mark_non_differentiable(nll)
        return (1.0 - smoothing) * nll + smoothing * (lse + uniform), nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_ND, grad_VD = ctx.saved_tensors
        return grad_ND * grads[0], grad_VD * grads[0], None, None


def projected_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Sum the cross-entropy of projected outputs against smoothed targets.

    The target distribution gives `smoothing / V` to every token and `1 - smoothing` more to the
    right one, as in torch's `cross_entropy`. The sum, not the mean, is returned: divided by the
    number of tokens of all batches of a step, it makes accumulated batches equal to one large
    one. Under autocast the products are in its dtype; the softmax is always in float32.

    Args:
        hidden_ND: decoder outputs, a row for each target token, none for padding.
        weight_VD: float32 output projection.
        targets_N: int64 target ids.
        smoothing: the mass that is spread.

    Returns:
        the smoothed loss, to be minimised, and the plain negative log-likelihood, to be reported;
        both float32 scalars, in nats.
    """
    if not torch.is_grad_enabled():
        # needs_input_grad says of a parameter that it does even here, and its gradient costs two
        # more products.
        hidden_ND, weight_VD = hidden_ND.detach(), weight_VD.detach()
    loss, nll = _ProjectedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden_ND, weight_VD, targets_N, smoothing
    )
    return loss, nll


def batch_loss(
    network: Network[Any], batch: Batch, pad_id: int, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Sum the loss of a model over the target tokens of a batch.

    Padding is left out before the projection to the vocabulary, a small model's largest product.

    Args:
        network: the model.
        batch: on the model's device.
        pad_id: the target id that is padding.
        smoothing: as in `projected_cross_entropy`.

    Returns:
        as `projected_cross_entropy`.
    """
    hidden_BTD = network.hidden(batch.src_BS, batch.tgt_in_BT)
    is_token_BT = batch.tgt_out_BT != pad_id
    return projected_cross_entropy(
        hidden_BTD[is_token_BT],
        network.projection.weight,
        batch.tgt_out_BT[is_token_BT],
        smoothing,
    )
