"""The recurrent unit of decoders with `decoder: ssru`."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from nmt.model.ssru import SSRU, scan


def test_it_equals_its_formula() -> None:
    torch.manual_seed(1)
    unit, x_BTD = SSRU(6).double(), torch.randn(2, 11, 6, dtype=torch.float64)
    torch.nn.init.normal_(unit.forget_bias)
    c_BD, outputs = torch.zeros(2, 6, dtype=torch.float64), []
    for x_BD in x_BTD.unbind(1):
        f_BD = torch.sigmoid(x_BD @ unit.forget.weight.t() + unit.forget_bias)
        c_BD = f_BD * c_BD + (1 - f_BD) * (x_BD @ unit.candidate.weight.t())
        outputs.append(c_BD.clamp(min=0))
    assert_close(unit(x_BTD), torch.stack(outputs, dim=1))


def test_what_follows_a_position_does_not_change_it() -> None:
    torch.manual_seed(1)
    forget, new = torch.rand(1, 33, 5), torch.randn(1, 33, 5)
    whole = scan(forget, new)
    for length in (1, 2, 3, 8, 17, 32):
        assert torch.equal(scan(forget[:, :length], new[:, :length]), whole[:, :length])


def test_an_empty_sequence() -> None:
    assert scan(torch.rand(1, 0, 5), torch.rand(1, 0, 5)).shape == (1, 0, 5)
