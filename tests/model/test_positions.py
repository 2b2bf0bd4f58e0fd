"""Position encodings against values computed by hand and the properties the paper states."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from nmt.config.models import TransformerConfig
from nmt.model.positions import (
    LearnedPositions,
    NoPositions,
    Positions,
    SinusoidalPositions,
    make_positions,
    sinusoids,
    with_positions,
)


def positions_of(**settings: Any) -> Positions:
    """Return positions for a model with d_model 8."""
    values = {"d_model": 8, "num_heads": 1, "tie_embeddings": "none", "positions": settings}
    return make_positions(TransformerConfig.model_validate(values))


def test_values_computed_by_hand() -> None:
    # d_model 4: the angles of position p are p / 10000^0 = p and p / 10000^(2/4) = p / 100.
    expected = torch.tensor(
        [
            [0.0, 1.0, 0.0, 1.0],
            [0.84147098, 0.54030231, 0.00999983, 0.99995000],
            [0.90929743, -0.41614684, 0.01999867, 0.99980001],
        ]
    )
    assert_close(sinusoids(0, 3, 4), expected, atol=1e-7, rtol=0.0)


def test_first_and_last_dimension_of_the_base_model() -> None:
    # The last pair of 512 dimensions has 2i = 510: 10000^(510/512) = 9646.616.
    last = 1.0 / 9646.616199
    table = sinusoids(0, 2, 512)
    assert_close(table[0], torch.tensor([0.0, 1.0]).repeat(256))
    expected = torch.tensor([math.sin(1.0), math.cos(1.0), math.sin(last), math.cos(last)])
    assert_close(table[1, [0, 1, 510, 511]], expected, atol=1e-8, rtol=1e-6)


def test_wavelengths_are_a_geometric_progression_from_2_pi_to_10000_times_2_pi() -> None:
    d_model = 512
    sin, cos = sinusoids(1, 1, d_model).double().view(-1, 2).unbind(dim=1)
    wavelength = 2.0 * math.pi / torch.atan2(sin, cos)  # the angle of position 1 is 2 pi / it
    assert_close(wavelength[0].item(), 2.0 * math.pi, rtol=1e-6, atol=0.0)
    ratio = wavelength[1:] / wavelength[:-1]
    assert_close(ratio, torch.full_like(ratio, 10000.0 ** (2.0 / d_model)), rtol=1e-6, atol=0.0)
    limit = wavelength[-1].item() * ratio[-1].item()
    assert_close(limit, 10000.0 * 2.0 * math.pi, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("k", [1, 7, 100])
def test_an_offset_is_the_same_rotation_at_every_position(k: int) -> None:
    # Paper, section 3.5: "for any fixed offset k, PE(pos+k) can be represented as a linear
    # function of PE(pos)". In each pair of dimensions it rotates (sin, cos) by k times
    # the frequency.
    d_model = 16
    table = sinusoids(0, 300, d_model).double()
    angle = k / 10000.0 ** (torch.arange(0, d_model, 2).double() / d_model)
    blocks = [
        torch.tensor([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
        for a in angle.tolist()
    ]
    rotation = torch.block_diag(*blocks).double()
    assert_close(table[:-k] @ rotation.T, table[k:], atol=1e-6, rtol=0.0)


def test_distant_positions_are_accurate() -> None:
    # The angle is 100000 / 10000^(2/6) = 4641.5888, where float32 has a spacing of 0.0005.
    value = sinusoids(100_000, 1, 6)[0, 2].item()
    assert_close(value, math.sin(100_000.0 / 10_000.0 ** (1.0 / 3.0)), atol=1e-6, rtol=0.0)


def test_a_grown_table_has_the_same_values() -> None:
    positions = SinusoidalPositions(8)
    first = positions(0, 20).clone()
    assert torch.equal(positions(0, 2000), sinusoids(0, 2000, 8))
    assert torch.equal(positions(5000, 3), sinusoids(5000, 3, 8))
    assert torch.equal(positions(0, 20), first)


def test_a_table_grown_in_inference_mode_can_be_used_in_training() -> None:
    positions = SinusoidalPositions(8)
    with torch.inference_mode():
        positions(0, 2000)
    x = torch.ones(2000, 8, requires_grad=True)
    ((x + positions(0, 2000)) * 2.0).sum().backward()
    assert_close(x.grad, torch.full((2000, 8), 2.0))


def test_growth_while_another_thread_stores_a_shorter_table() -> None:
    class Shared(SinusoidalPositions):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "table_MD":  # the other thread stores its table right after this one
                super().__setattr__(name, sinusoids(0, 600, 8))

    assert torch.equal(Shared(8)(0, 2000), sinusoids(0, 2000, 8))


def test_growth_keeps_the_dtype() -> None:
    assert SinusoidalPositions(8).bfloat16()(600, 2).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["sinusoidal", "learned", "none"])
def test_a_start_offset_selects_the_same_rows(kind: str) -> None:
    positions = positions_of(kind=kind, max_length=30)
    whole = positions(0, 30)
    for start in (0, 1, 29):
        assert torch.equal(positions(start, 1), whole[start : start + 1])
    assert torch.equal(positions(3, 7), whole[3:10])


def test_kinds() -> None:
    sinusoidal = positions_of(kind="sinusoidal")
    learned = positions_of(kind="learned", max_length=9)
    none = positions_of(kind="none")
    assert isinstance(sinusoidal, SinusoidalPositions)
    assert isinstance(learned, LearnedPositions)
    assert isinstance(none, NoPositions)
    assert (sinusoidal.max_length, learned.max_length, none.max_length) == (None, 9, None)
    assert not sinusoidal.state_dict(), "it can be recomputed"
    assert not none.state_dict()
    assert [tuple(p.shape) for p in learned.parameters()] == [(9, 8)]
    assert torch.equal(none(700, 5), torch.zeros(5, 8))


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
@pytest.mark.parametrize(("given", "width"), [(None, 2), (4, 4)])
def test_concatenated_positions_have_a_quarter_of_d_model_or_the_given_width(
    kind: str, given: int | None, width: int
) -> None:
    positions = positions_of(kind=kind, combine="concat", width=given)
    assert positions(0, 3).shape == (3, width)


def test_concatenated_sinusoids_are_computed_for_their_own_width() -> None:
    positions = positions_of(combine="concat", width=4)
    assert torch.equal(positions(0, 7), sinusoids(0, 7, 4))


def test_positions_are_added_or_concatenated() -> None:
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    positions = torch.tensor([[0.1, 0.2], [0.3, 0.4]])
    added = [[[1.1, 2.2], [3.3, 4.4]], [[5.1, 6.2], [7.3, 8.4]]]
    assert_close(with_positions(x, positions, "add"), torch.tensor(added))
    concatenated = [[[1, 2, 0.1], [3, 4, 0.3]], [[5, 6, 0.1], [7, 8, 0.3]]]
    assert_close(with_positions(x, positions[:, :1], "concat"), torch.tensor(concatenated))
    # All hypotheses of a beam are at the same position.
    at_one_position = [[[1, 2, 0.3], [3, 4, 0.3]], [[5, 6, 0.3], [7, 8, 0.3]]]
    assert_close(with_positions(x, positions[1:, :1], "concat"), torch.tensor(at_one_position))


def test_positions_beyond_the_learned_ones_are_refused() -> None:
    positions = LearnedPositions(8, 9)
    with pytest.raises(AssertionError, match="beyond"):
        positions(3, 7)


def test_only_used_learned_positions_get_gradients() -> None:
    positions = LearnedPositions(4, 6)
    positions(1, 2).sum().backward()
    assert positions.weight.grad is not None
    assert positions.weight.grad.sum(dim=1).tolist() == [0.0, 4.0, 4.0, 0.0, 0.0, 0.0]
