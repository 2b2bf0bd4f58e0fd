"""Training on two views of each batch whose predictions must agree: R-Drop, SimCut, token cutoff.

One forward pass over the doubled batch computes both views, each with dropout of its own. In R-Drop
that is the only difference; in the others, the second view also lacks the embeddings of some
tokens.

Shapes: X = 2 B sentences, first all of one view, then all of the other; M = B * T positions of a
view, N of which are not padding; C tokens of a chunk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nmt.config.regularisation import RDropConfig, SimCutConfig, TokenCutoffConfig
from nmt.config.train import TrainConfig
from nmt.data.batching import Batch
from nmt.model.network import Network

# Tokens per chunk. It takes memory for the logits of both views, and several times as much again.
_CPU_CHUNK_ROWS = 128
_GPU_CHUNK_ROWS = 2048

Figures = tuple[Tensor, Tensor, Tensor]
"""Loss, negative log-likelihood and divergence in nats, summed over tokens; float32 scalars."""

Criterion = Callable[[Tensor, Tensor, float], Figures]
"""Takes the log-probabilities of both views, float32 [2, N, V], the targets, int64 [N], and label
smoothing."""


class TwoViews:
    """Computes the loss of two views of a batch.

    Args:
        criterion: the loss of their predictions.
    """

    def __init__(self, criterion: Criterion) -> None:
        self._criterion = criterion

    @classmethod
    def of(cls, network: Network[Any], config: TrainConfig) -> TwoViews | None:
        """Return what a configuration asks for; None without such a section.

        For SimCut and token cutoff, this changes the network: see `cut_second_view`.
        """
        if config.r_drop:
            return cls(r_drop(config.r_drop))
        if config.sim_cut:
            cut_second_view(network, config.sim_cut.cutoff)
            return cls(sim_cut(config.sim_cut))
        if config.token_cutoff:
            cut_second_view(network, config.token_cutoff.cutoff)
            return cls(token_cutoff(config.token_cutoff))
        return None

    def loss(self, network: Network[Any], batch: Batch, smoothing: float) -> Figures:
        """Return the loss of a batch, summed over its target tokens, each counted once.

        Args:
            network: the model.
            batch: batch on the device of the model.
            smoothing: label smoothing, as in `nmt.training.loss.projected_cross_entropy`.
        """
        hidden_XTD = network.hidden(_twice(batch.src_BS), _twice(batch.tgt_in_BT))
        hidden_2MD = hidden_XTD.reshape(2, -1, hidden_XTD.shape[-1])
        figures_3 = _ProjectedLoss.apply(  # type: ignore[no-untyped-call]
            hidden_2MD.index_select(1, batch.tgt_places_N),
            network.projection.weight,
            network.projection.bias,
            batch.tgt_out_BT.flatten().index_select(0, batch.tgt_places_N),
            lambda log_probs, targets: self._criterion(log_probs, targets, smoothing),
        )
        loss, nll, divergence = figures_3
        return loss, nll.detach(), divergence.detach()


def r_drop(config: RDropConfig) -> Criterion:
    """Return the criterion of R-Drop (Liang et al. 2021, equation 4), divided by two.

    So its cross-entropy is the mean over the views, comparable to training without R-Drop.
    """

    def figures(log_probs_2NV: Tensor, targets_N: Tensor, smoothing: float) -> Figures:
        loss, nll = cross_entropy(log_probs_2NV, targets_N.expand(2, -1), smoothing)
        one_NV, other_NV = log_probs_2NV
        # KL(p || q) + KL(q || p) = sum of (p - q) (log p - log q)
        both = ((one_NV.exp() - other_NV.exp()) * (one_NV - other_NV)).sum()
        return loss / 2 + config.alpha * both / 4, nll / 2, both / 2

    return figures


def sim_cut(config: SimCutConfig) -> Criterion:
    """Return the criterion of SimCut (Gao et al. 2022, section 3).

    Both views learn from the divergence, which the paper finds better than the second alone.
    """

    def figures(log_probs_2NV: Tensor, targets_N: Tensor, smoothing: float) -> Figures:
        whole_NV, cut_NV = log_probs_2NV
        loss, nll = cross_entropy(whole_NV, targets_N, smoothing)
        divergence = (whole_NV.exp() * (whole_NV - cut_NV)).sum()
        return loss + config.alpha * divergence, nll, divergence

    return figures


def token_cutoff(config: TokenCutoffConfig) -> Criterion:
    """Return the criterion of token cutoff (Shen et al. 2020, section 3.3), divided by two.

    The paper has several cut copies; one costs as much as R-Drop and SimCut. `alpha` is the paper's
    weight of the divergence; that of the cut copy's cross-entropy is 1.
    """

    def figures(log_probs_2NV: Tensor, targets_N: Tensor, smoothing: float) -> Figures:
        loss, nll = cross_entropy(log_probs_2NV, targets_N.expand(2, -1), smoothing)
        mean_NV = log_probs_2NV.logsumexp(dim=0) - math.log(2)
        divergence = (log_probs_2NV.exp() * (log_probs_2NV - mean_NV)).sum() / 2
        return (loss + config.alpha * divergence) / 2, nll / 2, divergence

    return figures


def cross_entropy(
    log_probs_XV: Tensor, targets_X: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Return smoothed cross-entropy and negative log-likelihood, summed, float32 scalars."""
    nll = -log_probs_XV.gather(-1, targets_X[..., None]).sum()
    uniform = -log_probs_XV.mean(dim=-1).sum()
    return (1.0 - smoothing) * nll + smoothing * uniform, nll


def cut_second_view(network: Network[Any], p: float) -> None:
    """Make the network in training set random embeddings in the second half of a batch to zero.

    Positions are added later, so they stay (token cutoff, Shen et al. 2020).

    Args:
        network: the network.
        p: probability for each token.
    """

    def cut(embedding: nn.Module, _: object, embedded_XLE: Tensor) -> Tensor:
        if not embedding.training:
            return embedded_XLE
        drawn_XL = torch.rand(embedded_XLE.shape[:2], device=embedded_XLE.device)
        drawn_XL[: len(drawn_XL) // 2] = 1.0  # the first view
        return embedded_XLE.masked_fill((drawn_XL < p)[..., None], 0.0)

    for embedding in {network.src_embedding, network.tgt_embedding}:  # may be the same
        embedding.register_forward_hook(cut)


class _ProjectedLoss(torch.autograd.Function):
    """Projection and criterion, chunk by chunk, so that all logits never exist at once.

    The forward pass computes the gradients, too. Only the loss, not the other two figures, can be
    differentiated.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_2ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        targets_N: Tensor,
        criterion: Callable[[Tensor, Tensor], Figures],
    ) -> Tensor:
        device = hidden_2ND.device.type
        autocast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else hidden_2ND.dtype
        needs = ctx.needs_input_grad[:3]
        h_2ND, w_VD = hidden_2ND.to(dtype), _leaf(weight_VD.to(dtype), needs[1])
        b_V = None if bias_V is None else _leaf(bias_V, needs[2])
        grad_2ND = torch.zeros_like(hidden_2ND) if needs[0] else None
        grad_VD = torch.zeros_like(weight_VD) if needs[1] else None
        grad_V = torch.zeros_like(bias_V) if bias_V is not None and needs[2] else None
        figures_3 = torch.zeros(3, device=hidden_2ND.device)
        size = _GPU_CHUNK_ROWS if hidden_2ND.is_cuda else _CPU_CHUNK_ROWS
        with torch.autocast(device, enabled=False), torch.enable_grad():
            for start in range(0, len(targets_N), size):
                rows = slice(start, start + size)
                h_2CD = _leaf(h_2ND[:, rows], needs[0])
                logits_2CV = F.linear(h_2CD, w_VD).float()
                if b_V is not None:
                    logits_2CV = logits_2CV + b_V
                figures = criterion(logits_2CV.log_softmax(dim=-1), targets_N[rows])
                figures_3 += torch.stack([figure.detach() for figure in figures])
                chunk_2CD = None if grad_2ND is None else grad_2ND[:, rows]
                if any(needs):
                    _add_gradients(figures[0], (h_2CD, w_VD, b_V), (chunk_2CD, grad_VD, grad_V))
        ctx.save_for_backward(grad_2ND, grad_VD, grad_V)
        return figures_3

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_3: Tensor) -> tuple[Tensor | None, ...]:
        own = (grad if grad is None else grad * grad_3[0] for grad in ctx.saved_tensors)
        return *own, None, None


def _add_gradients(
    loss: Tensor, inputs: Sequence[Tensor | None], sums: Sequence[Tensor | None]
) -> None:
    """Add the gradients of a loss to the sums of its inputs; None stands for no gradient."""
    pairs = [(one, total) for one, total in zip(inputs, sums, strict=True) if total is not None]
    found = torch.autograd.grad(loss, [one for one, _ in pairs if one is not None])
    for grad, (_, total) in zip(found, pairs, strict=True):
        total += grad


def _leaf(tensor: Tensor, needs_grad: bool) -> Tensor:
    """Return the same values, detached from what they were computed from."""
    return tensor.detach().requires_grad_(needs_grad)


def _twice(ids_BL: Tensor) -> Tensor:
    """Return [2 B, L]: the ids of both views, one after the other."""
    return torch.cat([ids_BL, ids_BL])
