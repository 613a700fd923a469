import math

import pytest
import torch

from nasgtn.gtn import soft_accuracy

LABELS = torch.tensor([0, 2, 1, 1])


def logits(seed: int = 0) -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))


def test_by_hand() -> None:
    table = torch.tensor([[2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    rows = [(2 - 0), (-1 - 1)]  # margins of labels 0 and 2
    spread = math.sqrt((4 + 4 + 1 + 1) / 6)
    expected = sum(1 / (1 + math.exp(-4 * margin / spread)) for margin in rows) / 2
    assert float(soft_accuracy(table, torch.tensor([0, 2]))) == pytest.approx(expected)


def test_scale_and_shift_of_the_logits_change_nothing() -> None:
    shift = torch.randn(4, 1)
    torch.testing.assert_close(
        soft_accuracy(7 * logits() + shift, LABELS), soft_accuracy(logits(), LABELS)
    )


def test_large_margins_make_it_the_accuracy() -> None:
    table = torch.eye(3)[[0, 2, 1, 0]]
    assert float(soft_accuracy(table, LABELS)) == pytest.approx(0.75, abs=1e-3)


def test_seeds_are_scored_apart() -> None:
    both = torch.stack([logits(0), logits(1)])
    expected = torch.stack([soft_accuracy(one, LABELS) for one in both])
    torch.testing.assert_close(soft_accuracy(both, LABELS), expected)


def test_the_gradient_matches_finite_differences() -> None:
    table = logits().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: soft_accuracy(x, LABELS), (table,))


def test_equal_logits_are_finite() -> None:
    table = torch.zeros(4, 3, requires_grad=True)
    value = soft_accuracy(table, LABELS)
    value.backward()
    assert value == 0.5
    assert table.grad is not None
    assert table.grad.isfinite().all()
