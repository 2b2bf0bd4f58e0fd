"""In which arithmetic the forward and backward pass compute."""

from __future__ import annotations

import torch

from nmt.config import TrainConfig


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Make the context of a forward pass: bf16 through autocast, or fp32.

    Args:
        config: its `precision`; `auto` is bf16 where the device computes in it natively.
        device: where the network is.
    """
    bf16 = config.precision == "bf16" or (config.precision == "auto" and has_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def has_bf16(device: torch.device) -> bool:
    """Tell whether a device has instructions for bf16; elsewhere it would be slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # AMX on Intel, AVX-512 BF16 on both; torch has no public name for the question.
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
