"""The device of a training run: its settings, and whether the model fits into its memory."""

from __future__ import annotations

import os

import torch

from nmt.config.schema import Config
from nmt.config.stages import stages_of
from nmt.device import choose_device, memory_bytes
from nmt.distributed import local_device
from nmt.errors import ConfigError
from nmt.limits import useful_threads
from nmt.model.kernels.cuda import tune_for_training
from nmt.model.size import num_parameters

_BYTES_PER_PARAMETER, _BYTES_PER_WEIGHT = 16, 4


def set_up_device(config: Config) -> torch.device:
    """Choose the device for training, and set up PyTorch for it.

    Raises:
        ConfigError: if the device is not available, or its memory is too small for the model.
    """
    # oneDNN caches 1,024 kernels by default, each for one shape. Batches keep having new shapes, so
    # the cache would take gigabytes without hits. It reads this when it makes the first kernel.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    # cuBLAS needs this for results that are the same in every run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if config.train.threads:
        torch.set_num_threads(useful_threads(config.train.threads))
    device = choose_device(local_device(config.train.device))
    if device.type == "cuda":
        tune_for_training(tf32=config.train.tf32)
    _check_memory(config, device)
    return device


def bytes_per_parameter(config: Config) -> int:
    """Return the least memory that training takes for each parameter.

    It has the weight, its gradient and the two moments of Adam, all in fp32; of parameters that are
    not trained, and there may be few others, only the weight. A moving average is one more weight.
    """
    always = all(stage.config.train.freeze for stage in stages_of(config))
    partly = always or config.train.lora
    average = _BYTES_PER_WEIGHT if config.train.ema else 0
    return average + (_BYTES_PER_WEIGHT if partly else _BYTES_PER_PARAMETER)


def _check_memory(config: Config, device: torch.device) -> None:
    """Raise a ConfigError if the model is too large even without its vocabulary."""
    number = num_parameters(config.model, 0, 0)
    needed, available = number * bytes_per_parameter(config), memory_bytes(device)
    if needed > available:
        raise ConfigError(
            f"model: its {number:,} parameters without embeddings take "
            f"{needed / 1e9:,.0f} GB in training, but {device} has {available / 1e9:,.0f} GB of "
            "memory; use fewer layers or smaller sizes"
        )
