"""Label-smoothed cross-entropy (paper, section 5.4; Szegedy et al. 2016)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nmt.data.batching import Batch
from nmt.model.network import Network

# Rows of logits per chunk. On a CPU they stay in the last-level cache, and no allocation is so
# large that the system takes it back and clears it again at every step.
_CPU_CHUNK_ROWS = 512
_GPU_CHUNK_ROWS = 8192


class _ProjectedCrossEntropy(torch.autograd.Function):
    """Projection, loss and their gradients, chunk by chunk; never stores all logits."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        targets_N: Tensor,
        smoothing: float,
    ) -> tuple[Tensor, Tensor]:
        device = hidden_ND.device.type
        autocast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else hidden_ND.dtype
        h_ND, w_VD = hidden_ND.to(dtype), weight_VD.to(dtype)
        # The uniform part of the target needs the mean of the logits, which is a product with the
        # mean of the weights. This saves a pass over the vocabulary.
        mean_D = weight_VD.mean(dim=0)
        nll = torch.zeros((), device=hidden_ND.device)
        lse = torch.zeros((), device=hidden_ND.device)
        needs_ND, needs_VD, needs_V, *_ = ctx.needs_input_grad
        grad_ND = torch.empty_like(h_ND) if needs_ND else None
        grad_VD = torch.zeros_like(weight_VD) if needs_VD else None
        grad_V = torch.zeros_like(bias_V) if bias_V is not None and needs_V else None
        size = _GPU_CHUNK_ROWS if hidden_ND.is_cuda else _CPU_CHUNK_ROWS
        # Shared by all chunks: newly allocated memory would cost as much as a pass over it.
        products_CV = h_ND.new_empty(min(size, len(h_ND)), len(w_VD))
        exact_CV = torch.empty_like(products_CV, dtype=torch.float32)
        part_VD = torch.empty_like(w_VD) if needs_VD else None
        exact_VD = torch.empty_like(weight_VD) if needs_VD else None
        with torch.autocast(device, enabled=False):
            uniform = -(hidden_ND.float() @ mean_D).sum()
            if bias_V is not None:
                uniform = uniform - len(h_ND) * bias_V.mean()
            for start in range(0, len(h_ND), size):
                rows = slice(start, start + size)
                target_C1 = targets_N[rows, None]
                products = products_CV[: len(target_C1)]
                logits_CV = exact_CV[: len(target_C1)]
                logits_CV.copy_(torch.mm(h_ND[rows], w_VD.t(), out=products))
                if bias_V is not None:
                    logits_CV += bias_V
                lse_C1, nll_C1 = _normalize_(logits_CV, target_C1)
                lse, nll, probs_CV = lse + lse_C1.sum(), nll + nll_C1.sum(), logits_CV
                if not (needs_ND or needs_VD or needs_V):
                    continue
                # The gradient of the logits is their softmax minus the target distribution.
                probs_CV.scatter_add_(1, target_C1, lse_C1.new_full(lse_C1.shape, smoothing - 1.0))
                if grad_V is not None:
                    grad_V += probs_CV.sum(dim=0) - smoothing / len(weight_VD) * len(probs_CV)
                grad_CV = products.copy_(probs_CV)
                if grad_ND is not None:
                    torch.mm(grad_CV, w_VD, out=grad_ND[rows])
                if grad_VD is not None and exact_VD is not None:
                    grad_VD += exact_VD.copy_(torch.mm(grad_CV.t(), h_ND[rows], out=part_VD))
        if grad_ND is not None:
            grad_ND -= smoothing * mean_D
        if grad_VD is not None:
            grad_VD -= smoothing / len(weight_VD) * hidden_ND.sum(dim=0)
        ctx.save_for_backward(grad_ND, grad_VD, grad_V)
        ctx.mark_non_differentiable(nll)
        return (1.0 - smoothing) * nll + smoothing * (lse + uniform), nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        own = (grad if grad is None else grad * grads[0] for grad in ctx.saved_tensors)
        return *own, None, None


def _normalize_(logits_CV: Tensor, target_C1: Tensor) -> tuple[Tensor, Tensor]:
    """Turn logits into probabilities, in place.

    Args:
        logits_CV: float32 logits.
        target_C1: int64 target ids.

    Returns:
        Logarithms of the sums that normalize them, and negative log-likelihoods of the targets,
        both [C, 1].
    """
    target_logit_C1 = logits_CV.gather(1, target_C1)
    max_C1 = logits_CV.amax(1, keepdim=True)
    probs_CV = torch.softmax(logits_CV, dim=1, out=logits_CV)
    # The largest probability is exp(0) / sum, which does not underflow.
    lse_C1 = max_C1 - probs_CV.amax(1, keepdim=True).log()
    return lse_C1, lse_C1 - target_logit_C1


def projected_cross_entropy(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    targets_N: Tensor,
    smoothing: float,
    bias_V: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the summed cross-entropy of projected outputs against smoothed targets.

    The target distribution gives `smoothing / V` to every token and another `1 - smoothing` to the
    correct one, as in torch's `cross_entropy`. The result is a sum, not a mean: divided by the
    number of tokens in all batches of a step, it makes accumulated batches equal to one large
    batch. Under autocast the products have its dtype; the softmax is always float32.

    Args:
        hidden_ND: decoder outputs, one row per target token, none for padding.
        weight_VD: float32 output projection.
        targets_N: int64 target ids.
        smoothing: probability mass spread over the vocabulary.
        bias_V: float32 bias of the output projection, if it has one.

    Returns:
        The smoothed loss, to be minimised, and the negative log-likelihood, to be reported, both
        float32 scalars in nats.
    """
    if not torch.is_grad_enabled():
        # needs_input_grad is true for parameters even here, and gradients cost two more products.
        hidden_ND, weight_VD = hidden_ND.detach(), weight_VD.detach()
        bias_V = None if bias_V is None else bias_V.detach()
    loss, nll = _ProjectedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden_ND, weight_VD, bias_V, targets_N, smoothing
    )
    return loss, nll


def batch_loss(network: Network[Any], batch: Batch, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return the loss of a model, summed over the target tokens of a batch.

    Padding is removed before the projection to the vocabulary, the largest product of a small
    model.

    Args:
        network: the model.
        batch: batch on the device of the model.
        smoothing: as in `projected_cross_entropy`.

    Returns:
        As for `projected_cross_entropy`.
    """
    hidden_BTD = network.hidden(batch.src_BS, batch.tgt_in_BT)
    return projected_cross_entropy(
        hidden_BTD.flatten(0, 1).index_select(0, batch.tgt_places_N),
        network.projection.weight,
        batch.tgt_out_BT.flatten().index_select(0, batch.tgt_places_N),
        smoothing,
        network.projection.bias,
    )
