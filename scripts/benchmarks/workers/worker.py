"""Shared by the workers. A worker is a program that measures one system once, in the Python
environment of that system: it reads a request from standard input and writes an answer to standard
output, both JSON.

Does not import nmt, and imports torch late, because other systems run in other environments.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Request = dict[str, Any]
Answer = dict[str, Any]

PAD, BOS, EOS = 0, 2, 3
"""Ids in the vocabularies trained by nmt."""


class Unsupported(Exception):
    """The system does not support the request."""


def serve(tasks: dict[str, Callable[[Request], Answer]]) -> None:
    """Answer the request on standard input; redirect the output of libraries to standard error."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    try:
        answer = tasks[request["task"]](request)
    except Unsupported as error:
        answer = {"unsupported": str(error)}
    json.dump(answer, output)
    output.close()


def peak_memory(device: str) -> float:
    """Return the peak memory so far in MB: that of the GPU, or of this process."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 1e6
    return peak_resident()


def peak_resident(process: int | str = "self") -> float:
    """Return the peak resident memory of a process in MB.

    `getrusage` would include the memory of the parent when the process was started.
    """
    with open(f"/proc/{process}/status", "rb") as status:
        [line] = [line for line in status.read().split(b"\n") if line.startswith(b"VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6


def check_lengths(outputs: Sequence[Sequence[object]], num_tokens: int | None) -> None:
    """Raise Unsupported unless all translations have num_tokens tokens."""
    if num_tokens and {len(tokens) for tokens in outputs} != {num_tokens}:
        raise Unsupported(f"translations do not have {num_tokens} tokens each")


def synchronize(device: str) -> None:
    """Wait for the GPU, if there is one."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def read_batches(path: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield batches of ids: (source, decoder input, target), int64, padded, with BOS and EOS."""
    with open(path, "rb") as file:
        for line in file.read().rstrip(b"\n").split(b"\n"):
            batch = json.loads(line)
            yield (
                padded([[*ids, EOS] for ids in batch["src"]]),
                padded([[BOS, *ids] for ids in batch["tgt"]]),
                padded([[*ids, EOS] for ids in batch["tgt"]]),
            )


def padded(rows: list[list[int]]) -> Tensor:
    """Return rows of ids as a padded tensor."""
    import torch

    width = max(map(len, rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


def train(
    request: Request,
    network: torch.nn.Module,
    batch_loss: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Answer:
    """Train a peer's network in a plain loop: Adam (fused), autocast for bf16, no clipping.

    This favours the peers: batches are ready before the clock starts, and there is no
    synchronisation for the loss within a window.

    Args:
        request: `batches`, `rates`, `window`, `precision`, `device` and `threads`; with `passes`,
            the batches are repeated as often.
        network: the peer's network.
        batch_loss: returns the label-smoothed loss of (source, decoder input, target), summed over
            target tokens; called under autocast.
    """
    import torch

    device = request["device"]
    network = network.to(device).train()
    optimizer = torch.optim.Adam(
        network.parameters(), lr=1.0, betas=(0.9, 0.98), eps=1e-9, fused=True
    )
    batches = [*read_batches(request["batches"])] * request.get("passes", 1)
    steps = list(zip(batches, request["rates"], strict=True))
    bf16 = request["precision"] == "bf16"
    windows = []
    for first in range(0, len(steps), request["window"]):
        synchronize(device)
        start = time.monotonic()
        total, tokens = torch.zeros((), device=device), 0
        for batch, rate in steps[first : first + request["window"]]:
            num_tokens = int((batch[2] != PAD).sum())
            with torch.autocast(device.partition(":")[0], torch.bfloat16, enabled=bf16):
                loss = batch_loss(*(ids.to(device) for ids in batch))
            (loss / num_tokens).backward()
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.detach()
            tokens += num_tokens
        loss_per_token = float(total) / tokens
        synchronize(device)
        windows.append({"loss": loss_per_token, "seconds": time.monotonic() - start})
    return {"windows": windows, "peak_MB": peak_memory(device)}


def smoothed_loss(logits_BTV: Tensor, target_BT: Tensor) -> Tensor:
    """Return torch's label-smoothed cross-entropy (0.1), summed over target tokens."""
    import torch.nn.functional as F

    return F.cross_entropy(
        logits_BTV.flatten(0, 1).float(),
        target_BT.flatten(),
        ignore_index=PAD,
        label_smoothing=0.1,
        reduction="sum",
    )


def sinusoids(length: int, width: int) -> Tensor:
    """Return the paper's position encodings, (length, width)."""
    import torch

    angles = torch.arange(length)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
