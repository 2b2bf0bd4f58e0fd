"""Model FLOPs of a training step, and the peak rates of GPUs, for `scripts/bench gpu`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Dense products in bf16 with accumulation in float32, in TFLOP/s, from NVIDIA's data sheets, which
# often quote twice as much, for sparse matrices. The first pattern that matches counts.
_PEAKS = [
    (r"\bH[12]00 NVL\b", 835.5),
    (r"\bH100 PCIe\b", 756.0),
    (r"\bH[12]00\b", 989.4),
    (r"\bA100\b", 312.0),
    (r"\bL40S\b", 362.0),
    (r"\bRTX 4090$", 165.2),
]


def peak_tflops(device: str) -> float | None:
    """Return the peak rate of a GPU in bf16 by its name; None if it is not known."""
    if re.search(r"\bMIG\b", device):  # a slice of a GPU
        return None
    return next((peak for pattern, peak in _PEAKS if re.search(pattern, device)), None)


def training_flops(
    shape: Mapping[str, Any], vocab_size: int, pairs: Iterable[tuple[int, int]]
) -> float:
    """Return the floating-point operations that training a Transformer on some pairs needs.

    Counts the matrix products of the model, and twice as many for the backward pass. With widths d
    and f, a pair of s source and t target tokens takes these multiplications and additions:

        encoder layer   s (4d² + 2df) + 2d s²                self-attention, feed-forward
        decoder layer   t (6d² + 2df) + 2d² s + 2d (t² + st)  the keys and values of the source
        projection      t d V

    Each is two operations, so a step is six times their sum. Padding does not count, and neither
    does anything computed twice. Attention among target tokens counts in full, although half of it
    is masked. Lookups, normalisation, softmax and Adam are left out.

    Args:
        shape: `d_model`, `d_ff`, `encoder_layers` and `decoder_layers`.
        vocab_size: size of the target vocabulary.
        pairs: source and target tokens of each pair, EOS included.
    """
    width, inner = shape["d_model"], shape["d_ff"]
    encoder = decoder = projection = 0
    for src, tgt in pairs:
        encoder += src * (4 * width**2 + 2 * width * inner) + 2 * width * src**2
        decoder += tgt * (6 * width**2 + 2 * width * inner) + 2 * width**2 * src
        decoder += 2 * width * (tgt**2 + src * tgt)
        projection += tgt * width * vocab_size
    layers = shape["encoder_layers"] * encoder + shape["decoder_layers"] * decoder
    return 6.0 * (layers + projection)
