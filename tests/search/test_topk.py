"""The fast top-k finds what torch.topk finds."""

from __future__ import annotations

import pytest
import torch

from nmt.search.topk import most_probable, top


@pytest.mark.parametrize("count", [1, 4, 5])
@pytest.mark.parametrize("size", [3, 64, 640, 641, 700, 1000])
def test_the_largest_values_and_their_columns(size: int, count: int) -> None:
    """Over ten blocks of 64 and a rest, values are first sought by block."""
    torch.manual_seed(size)
    values_NV = torch.stack([torch.randperm(size).float() for _ in range(20)])
    found, columns = top(values_NV, count)
    expected = values_NV.topk(min(count, size))
    assert found.tolist() == expected.values.tolist()
    assert columns.tolist() == expected.indices.tolist()


def test_the_largest_values_may_share_a_block_or_lie_in_the_rest() -> None:
    values_NV = torch.zeros(2, 1000)
    values_NV[0, 128:132] = torch.tensor([1.0, 4.0, 3.0, 2.0])
    values_NV[1, 996:] = torch.tensor([1.0, 4.0, 3.0, 2.0])
    found, columns = top(values_NV, 4)
    assert found.tolist() == [[4.0, 3.0, 2.0, 1.0]] * 2
    assert columns.tolist() == [[129, 130, 131, 128], [997, 998, 999, 996]]


def test_impossible_tokens_come_last() -> None:
    values_NV = torch.full((1, 1000), -torch.inf)
    values_NV[0, [7, 900]] = torch.tensor([-2.0, -1.0])
    found, columns = top(values_NV, 3)
    assert found.tolist() == [[-1.0, -2.0, -torch.inf]]
    assert columns[0, :2].tolist() == [900, 7]


def test_equal_values_are_ordered_by_column() -> None:
    _, columns = top(torch.tensor([[1.0, 2.0, 1.0, 2.0]]), 4)
    assert columns.tolist() == [[1, 3, 0, 2]]


def test_the_parts_of_a_batch_are_joined() -> None:
    parts = [torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 3.0]])]
    found, tokens = most_probable(parts, 2)
    assert found.tolist() == [[2.0, 1.0], [4.0, 3.0]]
    assert tokens.tolist() == [[1, 0], [0, 1]]
