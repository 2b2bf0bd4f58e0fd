"""`train.ema`: the exponential moving average of the weights (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_PREFIX = "weights."


class MovingAverage:
    """The exponential moving average of the weights of a network.

    Step t multiplies the average by d = min(decay, (1 + t) / (10 + t)) and adds 1 - d times the
    weights. The second term of the minimum lets the average soon forget the initial weights, as in
    TensorFlow and Marian.

    Args:
        network: the network. Its parameters may change in place, but must not be replaced.
        decay: in (0, 1).

    Attributes:
        weights: the averages by the names of the parameters.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._parameters = dict(network.named_parameters())
        self.weights = {name: p.detach().clone() for name, p in self._parameters.items()}
        [device] = {weight.device for weight in self.weights.values()}
        self._steps = torch.zeros((), device=device)

    def update(self, halted: Tensor) -> None:
        """Update the average with the weights after a step.

        Args:
            halted: float32 scalar on the device, 1 if the step has not changed the weights, else 0.
                It stays a tensor, because reading it would wait for the GPU.
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
            tensors: what `tensors` returned.

        Raises:
            KeyError: if a tensor is missing.
        """
        self._steps.copy_(tensors["steps"])
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                self.weights[name].copy_(weights[name])
                parameter.copy_(tensors[_PREFIX + name])
