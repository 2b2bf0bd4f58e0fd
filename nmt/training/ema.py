"""`train.ema`: the exponential moving average of the weights (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_PREFIX = "weights."


class MovingAverage:
    """The exponential moving average of the weights of a network.

    After step t the average keeps min(decay, (1 + t) / (10 + t)) of itself, as in TensorFlow and
    Marian, so that it soon forgets the initial weights.

    Args:
        network: the network; its parameters may change, but stay the same objects.
        decay: in (0, 1).

    Attributes:
        weights: the average by the names of the parameters.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._parameters = dict(network.named_parameters())
        self.weights = {name: p.detach().clone() for name, p in self._parameters.items()}
        [device] = {weight.device for weight in self.weights.values()}
        self._steps = torch.zeros((), device=device)

    def update(self, halted: Tensor) -> None:
        """Add the weights after a step.

        Args:
            halted: float32 scalar, 1 if the step has not changed the weights, else 0. It is not
                read, since that would wait for the GPU.
        """
        self._steps += 1 - halted
        decay = ((1 + self._steps) / (10 + self._steps)).clamp(max=self._decay)
        part = (1 - decay) * (1 - halted)
        for name, parameter in self._parameters.items():
            self.weights[name].lerp_(parameter.detach(), part)

    def start(self) -> None:
        """Start again from the current weights of the network."""
        self._steps.zero_()
        for name, parameter in self._parameters.items():
            self.weights[name].copy_(parameter.detach())

    def tensors(self) -> dict[str, Tensor]:
        """Return what training needs to go on, apart from the average itself; no copies."""
        own = {_PREFIX + name: p.detach() for name, p in self._parameters.items()}
        return {"steps": self._steps, **own}

    def restore(self, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
        """Restore the average, and the weights of the network.

        Args:
            weights: the average.
            tensors: what the method of that name returned.

        Raises:
            KeyError: if a tensor is missing.
        """
        self._steps.copy_(tensors["steps"])
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                self.weights[name].copy_(weights[name])
                parameter.copy_(tensors[_PREFIX + name])
