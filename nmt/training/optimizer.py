"""Adam with clipped gradients, which changes no weights from a step that is not finite on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nmt.config.train import TrainConfig
from nmt.device import is_out_of_memory, widest_float
from nmt.errors import TrainingError
from nmt.training.sharding import share

_EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


class ModelTooLarge(TrainingError):
    """There is no memory for the state of the optimizer, or for a copy of the gradients."""


class Optimizer:
    """Updates the trained parameters of a network, without waiting for a GPU.

    Args:
        network: the network; its parameters must not be replaced.
        config: the section `train`.
        device: of the network.

    Attributes:
        adam: Adam or AdamW; its learning rate is that of the last step.
        halted: float32 scalar on the device, 1 from a step that is not finite to `go_on`, else 0.
    """

    def __init__(self, network: nn.Module, config: TrainConfig, device: torch.device) -> None:
        self._device = device
        self._parameters = {
            name: parameter
            for name, parameter in network.named_parameters()
            if parameter.requires_grad
        }
        self._limit = config.clip_norm or math.inf
        self.adam = _make_adam([*self._parameters.values()], config)
        self.halted = torch.zeros((), device=device)

    def step(self, loss: Tensor, tokens: Tensor, norm: Tensor, rate: float) -> None:
        """Update the weights, unless this or an earlier step is not finite; free the gradients.

        Args:
            loss: float32 scalar, summed over the target tokens, as the gradients are.
            tokens: float32 scalar, number of target tokens, which divides the gradients.
            norm: float32 scalar, norm of the summed gradients.
            rate: learning rate.

        Raises:
            ModelTooLarge: if memory runs out, as it may in the first step.
        """
        # In float64, in which Python would compute if the figures were not on the device.
        wide = widest_float(self._device)
        tokens = tokens.to(wide)
        grad_norm = norm.to(wide) / tokens
        is_finite = loss.isfinite() & grad_norm.isfinite()
        self.halted = torch.maximum(self.halted, (~is_finite).float())
        for group in self.adam.param_groups:
            group["lr"] = rate
        fused: Any = self.adam  # reads these two attributes, which no type has
        # Adam divides the gradients by the one, in the same pass that updates the weights, and does
        # nothing if the other is 1.
        fused.grad_scale = (tokens * ((grad_norm + _EPSILON) / self._limit).clamp(min=1.0)).float()
        fused.found_inf = self.halted
        try:
            self.adam.step()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = ModelTooLarge(
                "out of memory: the state of the optimizer, 8 bytes per parameter, does not fit "
                "next to the model; use a smaller model"
            )
            failure.shared = False
            raise failure from error
        self.drop_gradients()

    def go_on(self) -> None:
        """Let steps change the weights again, after one that was not finite."""
        self.halted.zero_()

    def drop_gradients(self) -> None:
        """Free the gradients, without a step."""
        self.adam.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state of all trained parameters, such as `exp_avg.NAME`; no copies."""
        return {
            f"{key}.{name}": value
            for name, parameter in self._parameters.items()
            for key, value in self.adam.state[parameter].items()
        }

    def restore(self, tensors: Mapping[str, Tensor], *, complete: bool) -> None:
        """Restore what `tensors` returned.

        Args:
            tensors: the state, not divided among processes.
            complete: whether it has all parameters. If not, the others start without a state, as
                in a new run.

        Raises:
            KeyError: if a tensor is missing.
        """
        for name, parameter in self._parameters.items():
            if not complete and f"step.{name}" not in tensors:
                continue
            state = {
                key: tensors[f"{key}.{name}"].to(self._device)
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
            moments = {key: share(state[key], parameter) for key in ("exp_avg", "exp_avg_sq")}
            self.adam.state[parameter] = {**state, **moments}


def _make_adam(parameters: list[nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """Return the configured optimizer; weight decay, if any, is for matrices only."""
    decays = config.optimizer == "adamw"
    groups = [
        {
            "params": [p for p in parameters if p.dim() > 1],
            "weight_decay": config.weight_decay if decays else 0.0,
        },
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if decays else torch.optim.Adam
    groups = [group for group in groups if group["params"]]
    return kind(groups, lr=1.0, betas=config.betas, eps=config.eps, fused=True)
