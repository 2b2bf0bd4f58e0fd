"""Which library multiplies matrices of float32 on a CPU."""

from __future__ import annotations

import functools

import torch

_TOLERANCE = 1e-5  # float32 errs by a few 1e-7 here, bfloat16 by more than 1e-3


@functools.cache
def use_the_faster_exact_library() -> None:
    """Let oneDNN multiply matrices of float32, if it does so in float32 here.

    torch gives these products to MKL, which leaves half the speed of AMD processors unused. It
    gives them to oneDNN only where they may be rounded to bfloat16; whether they then are
    depends on the processor (on those with AMX they are), so it is tried.
    """
    settings = getattr(torch.backends.mkldnn, "matmul", None)  # torch 2.9 and newer
    if settings is None or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    if not _is_exact():
        settings.fp32_precision = before


def _is_exact() -> bool:
    """Tell whether products of float32, also those of backward passes, are as good as that."""
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(256, 256, generator=generator, device="cpu") for _ in range(2))
    products = [(one, other), (one, other.t()), (one.t(), other)]
    return all(
        float((left @ right - left.double() @ right.double()).norm())
        <= _TOLERANCE * float((left.double() @ right.double()).norm())
        for left, right in products
    )
