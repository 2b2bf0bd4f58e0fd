"""`train.lora`: low-rank changes of frozen matrices (LoRA, Hu et al. 2021).

During training a matrix is W + (alpha / rank) B A, of which only the factors B and A are trained.
Outside of this module and in checkpoints the sum is an ordinary matrix with its ordinary name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nmt.config.finetuning import LoraConfig
from nmt.model.attention import MultiHeadAttention
from nmt.model.network import Network
from nmt.model.transformer import FeedForward

# Names that `torch.nn.utils.parametrize` gives to W, and to W, B and A.
_ORIGINAL = re.compile(r"(.*)parametrizations\.(\w+)\.original")
_PARAMETRIZED = re.compile(r"(?:.*\.)?parametrizations\.\w+\.\w+(?:\.\w+)?")


class LowRankChange(nn.Module):
    """Adds (alpha / rank) B A to a matrix.

    Several matrices may be stacked in one, such as those of queries, keys and values. Each has its
    own factors. B is zero at first, so that training starts from the given matrix exactly.

    Args:
        weight_OI: the matrix.
        heights: rows of each of the stacked matrices.
        rank: width of B, height of A.
        alpha: see `LoraConfig`.
    """

    def __init__(self, weight_OI: Tensor, heights: list[int], rank: int, alpha: float) -> None:
        super().__init__()
        self.heights, self.rank, self.scale = heights, rank, alpha / rank
        # A [R, I] of all matrices below one another, and likewise B [height, R].
        self.a_XI = nn.Parameter(weight_OI.new_empty(len(heights) * rank, weight_OI.shape[1]))
        self.b_OR = nn.Parameter(weight_OI.new_zeros(len(weight_OI), rank))
        nn.init.kaiming_uniform_(self.a_XI, a=math.sqrt(5))

    def forward(self, weight_OI: Tensor) -> Tensor:
        """Return the changed matrix [O, I], in the dtype of the given one."""
        factors = zip(
            torch.split(self.b_OR, self.heights), torch.split(self.a_XI, self.rank), strict=True
        )
        # The matrix that a checkpoint holds must be the one that was trained, also under autocast.
        with torch.autocast(weight_OI.device.type, enabled=False):
            change_OI = torch.cat([b_HR @ a_RI for b_HR, a_RI in factors])
            return torch.add(weight_OI, change_OI, alpha=self.scale)


def add_factors(network: Network[Any], config: LoraConfig) -> None:
    """Freeze a network, and add factors to the matrices of the configured sub-layers."""
    network.requires_grad_(False)
    for module in list(network.modules()):
        for owner, name, heights in _targets(module, config):
            change = LowRankChange(getattr(owner, name), heights, config.rank, config.alpha)
            parametrize.register_parametrization(owner, name, change)


def has_factors(network: nn.Module) -> bool:
    """Return whether `add_factors` has added any."""
    return any(isinstance(module, LowRankChange) for module in network.modules())


def ordinary_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that the network had before `add_factors`, by their names then."""
    return {
        _ORIGINAL.sub(r"\1\2", name): parameter
        for name, parameter in network.named_parameters()
        if _ORIGINAL.fullmatch(name) or not _PARAMETRIZED.fullmatch(name)
    }


def merged_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights that an ordinary network needs for the same output, by its names.

    Those without factors are not copied.
    """
    named = {name: parameter.detach() for name, parameter in ordinary_parameters(network).items()}
    with torch.no_grad():
        for prefix, module in network.named_modules():
            for name in _changed(module):
                named[f"{prefix}.{name}"] = getattr(module, name)
    return named


def unmerged_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return all factors, and the matrices before their change, by their names in the network."""
    named = network.named_parameters()
    return {name: parameter for name, parameter in named if _PARAMETRIZED.fullmatch(name)}


def _targets(module: nn.Module, config: LoraConfig) -> Iterator[tuple[nn.Module, str, list[int]]]:
    """Yield owner, name and heights of the matrices of a module that change."""
    if isinstance(module, MultiHeadAttention) and "attention" in config.targets:
        yield module, "qkv_weight", module.widths
        yield module, "out_weight", [len(module.out_weight)]
    if isinstance(module, FeedForward) and "feed_forward" in config.targets:
        stacked = 2 if module.gated else 1
        yield module.inner, "weight", [module.inner.out_features // stacked] * stacked
        yield module.outer, "weight", [module.outer.out_features]


def _changed(module: nn.Module) -> list[str]:
    """Return the names of the matrices of a module that have factors."""
    if not parametrize.is_parametrized(module):
        return []
    changes: Any = module.parametrizations
    return [name for name in changes if isinstance(changes[name][0], LowRankChange)]
