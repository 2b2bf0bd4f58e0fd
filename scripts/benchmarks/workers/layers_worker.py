"""One layer of nmt at several lengths: time forward and backward, and memory.

Memory is what the forward pass keeps for the backward pass, without weights. It is counted, not
measured, so it has no noise and, unlike the peak of the process, no constant part.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from worker import Answer, Request, serve, synchronize

from nmt.model.attention import MultiHeadAttention
from nmt.model.convolutional import EncoderBlock
from nmt.model.kernels.cpu import prefer_onednn
from nmt.model.recurrent import RecurrentEncoder

MIN_SECONDS = 0.3  # per measurement
MIN_RUNS = 3

Layer = Callable[[Tensor], Tensor]


def make_layer(request: Request) -> tuple[nn.Module, Layer]:
    """Return a layer whose input and output have the same width, and a function that calls it."""
    width, device = request["width"], request["device"]

    def tokens(x_BLD: Tensor) -> Tensor:
        return torch.ones(x_BLD.shape[:2], dtype=torch.bool, device=device)

    if request["layer"] == "self-attention":
        head = width // request["heads"]
        attention = MultiHeadAttention(width, request["heads"], head, head, 0.0).to(device)
        return attention, lambda x_BLD: attention(x_BLD, None)
    if request["layer"] == "recurrent":
        encoder = RecurrentEncoder(width, width // 2, "gru", 1, 0.0).to(device)
        return encoder, lambda x_BLD: encoder(x_BLD, tokens(x_BLD))
    block = EncoderBlock(width, request["kernel_size"], 0.0).to(device)
    return block, lambda x_BLD: block(x_BLD, tokens(x_BLD)[:, :, None])


def seconds(action: Callable[[], object], device: str) -> float:
    """Return the minimum over all runs that fit into MIN_SECONDS, after an untimed one.

    The minimum, because other work on the machine can only add time.
    """
    action()
    times: list[float] = []
    while len(times) < MIN_RUNS or sum(times) < MIN_SECONDS:
        synchronize(device)
        start = time.perf_counter()
        action()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def kept_bytes(module: nn.Module, layer: Layer, x_BLD: Tensor) -> int:
    """Return the memory of all tensors saved for the backward pass, without weights."""
    weights = {weight.untyped_storage().data_ptr() for weight in module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out_BLD = layer(x_BLD)  # keeps storages alive, so that no address is used twice
    total = sum(kept.values())
    del out_BLD
    return total


def measure(request: Request) -> Answer:
    prefer_onednn()
    torch.set_num_threads(request["threads"])
    torch.manual_seed(1)
    module, layer = make_layer(request)
    runs = []
    for length in request["lengths"]:
        x_BLD = torch.randn(1, length, request["width"], device=request["device"])

        def forward(x_BLD: Tensor = x_BLD) -> None:
            with torch.inference_mode():
                layer(x_BLD)

        def train(x_BLD: Tensor = x_BLD) -> None:
            module.zero_grad(set_to_none=True)
            layer(x_BLD).sum().backward()

        forward_s = seconds(forward, request["device"])
        x_BLD.requires_grad_()
        runs.append(
            {
                "length": length,
                "forward_s": forward_s,
                "training_s": seconds(train, request["device"]),
                "kept_MB": kept_bytes(module, layer, x_BLD) / 1e6,
            }
        )
    return {"runs": runs}


serve({"measure": measure})
