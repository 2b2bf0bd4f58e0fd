"""Which arithmetic a configuration asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nmt.config import TrainConfig
from nmt.train import precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("wanted", "expected"), [("fp32", False), ("bf16", True), ("auto", "native")]
)
def test_products_are_in_the_precision_asked_for(
    monkeypatch: pytest.MonkeyPatch, native: bool, wanted: str, expected: bool | str
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: native)
    with precision.autocast(TrainConfig.model_validate({"precision": wanted}), CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    bf16 = native if expected == "native" else expected
    assert product.dtype == (torch.bfloat16 if bf16 else torch.float32)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo")
def test_the_processor_is_asked() -> None:
    flags = Path("/proc/cpuinfo").read_text()
    assert precision.has_bf16(CPU) == ("avx512_bf16" in flags or "amx_tile" in flags)
