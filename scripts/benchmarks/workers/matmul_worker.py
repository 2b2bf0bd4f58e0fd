"""Peak rate of the machine: the fastest of some square matrix products in torch, in GFLOP/s."""

from __future__ import annotations

import time

import torch
from worker import Answer, Request, serve, synchronize

SIZES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192)}
SECONDS = 0.3


def rate(size: int, dtype: torch.dtype, device: str) -> float:
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    count = -1  # the first product is not timed
    start = elapsed = 0.0
    while elapsed < SECONDS:
        torch.mm(a, b)
        count += 1
        if count % 4 == 0:
            synchronize(device)
            start = start or time.monotonic()
            elapsed = time.monotonic() - start
    return 2 * size**3 * count / elapsed / 1e9


def matmul(request: Request) -> Answer:
    torch.set_num_threads(request["threads"])
    device = request["device"]
    sizes = SIZES[device.partition(":")[0]]
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    peaks = {
        name: round(max(rate(size, dtype, device) for size in sizes))
        for name, dtype in types.items()
    }
    return {"matmul_GFLOPs": peaks, "torch": torch.__version__}


serve({"matmul": matmul})
