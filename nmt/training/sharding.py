"""Training state divided among the processes (FSDP2), for models too large for one device.

Each process keeps its share of the weights, gradients and moments of Adam. The weights of a layer
are gathered while it computes, and its gradients are summed and divided up right after its backward
pass (Rajbhandari et al. 2020, ZeRO stage 3).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from nmt.model.network import Network


def shard(network: Network[Any], device: torch.device, num_processes: int) -> None:
    """Divide the parameters of a network among all processes, in place.

    Args:
        network: the same in all processes.
        device: of this process.
        num_processes: that train together.
    """
    mesh = init_device_mesh(device.type, (num_processes,))
    layers = [*getattr(network, "encoder_layers", []), *getattr(network, "decoder_layers", [])]
    for module in (*layers, network):
        part: Any = fully_shard(module, mesh=mesh)
        # The learner divides the summed gradients by the tokens of all processes.
        part.set_gradient_divide_factor(1.0)
        part.set_force_sum_reduction_for_comms(True)
    register_fsdp_forward_method(network, "hidden")


def is_sharded(network: nn.Module) -> bool:
    """Return whether `shard` has divided a network."""
    return isinstance(network, FSDPModule)


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with the shares of all processes; all must ask for it at the same time."""
    full: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full


def share(tensor: Tensor, like: Tensor) -> Tensor:
    """Return this process's share of a tensor that all have, divided like another one."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(
        tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None
    )
