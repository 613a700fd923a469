"""Muon against singular values, and against a step written out by hand."""

from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nasgtn.gtn import InnerLoopConfig, Learner
from nasgtn.gtn.learner import Matrices
from nasgtn.gtn.optimisers import make_rule, orthogonalised, start, update


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(24, 5), nn.Linear(5, 3)
    )


def test_matrices_come_first_those_of_one_shape_side_by_side() -> None:
    layers = [nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 1)]
    learner = Learner(nn.Sequential(nn.Flatten(), *layers))
    assert learner.matrices == (Matrices(1, 2, 4), Matrices(1, 4, 2), Matrices(2, 4, 4))
    expected = [layers[1], layers[2], layers[0], layers[3]]
    values = torch.cat([layer.weight.detach().flatten() for layer in expected])
    assert torch.equal(learner.initial[: len(values)], values)


@pytest.mark.parametrize(("rows", "columns"), [(4, 9), (9, 4), (5, 5)])
def test_singular_values_become_about_one_and_the_vectors_stay(rows: int, columns: int) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, rows, columns)
    values = orthogonalised(matrices.flatten(), [Matrices(3, rows, columns)])
    for before, after in zip(matrices, values.view_as(matrices), strict=True):
        u, s, v = torch.linalg.svd(before, full_matrices=False)
        middle = u.T @ after @ v.T
        large = s > 0.05 * s.norm()
        assert large.any()
        assert middle.diagonal()[large].min() > 0.6
        assert middle.diagonal().max() < 1.25
        assert (middle - middle.diagonal().diag()).abs().max() < 1e-4


def test_matrices_of_zeros_stay_and_leave_finite_gradients() -> None:
    values = torch.zeros(12, requires_grad=True)
    found = orthogonalised(values, [Matrices(1, 3, 4)])
    assert torch.equal(found, torch.zeros(12))
    (gradient,) = torch.autograd.grad(found.sum(), values)
    assert gradient.isfinite().all()


def test_seeds_side_by_side_equal_seeds_alone() -> None:
    torch.manual_seed(0)
    groups = [Matrices(2, 3, 4), Matrices(1, 5, 2)]
    values = torch.randn(3, 34)
    together = orthogonalised(values, groups)
    for row, expected in zip(values, together, strict=True):
        torch.testing.assert_close(orthogonalised(row, groups), expected)


def test_two_steps_by_hand() -> None:
    """Each tensor alone: Nesterov mean, Newton-Schulz, and the size that the tensor had."""
    config = InnerLoopConfig(optimiser="muon", learning_rate=0.1, momentum=0.6)
    learner = Learner(network())
    rule = make_rule(learner, learner.initial, config)
    state = start(learner.initial, rule)
    images, labels = torch.randn(2, 7, 2, 4, 4), torch.randint(3, (2, 7))
    reference = network()
    tensors = dict(reference.named_parameters())
    initial = {name: p.detach().clone() for name, p in tensors.items()}
    means = {name: torch.zeros_like(p) for name, p in tensors.items()}
    squares = {name: torch.zeros_like(p) for name, p in tensors.items()}
    settings = torch.tensor(0.1), torch.tensor(0.6)
    for step in range(2):
        parameters = state.parameters.detach().requires_grad_()
        loss = F.cross_entropy(learner.logits(parameters, images[step]), labels[step])
        (gradient,) = torch.autograd.grad(loss, parameters)
        state = update(state, gradient, settings, step, rule)

        F.cross_entropy(reference(images[step]), labels[step]).backward()
        for name, p in tensors.items():
            assert p.grad is not None
            means[name] = 0.6 * means[name] + 0.4 * p.grad
            squares[name] = 0.99 * squares[name] + 0.01 * p.grad**2
            corrected = means[name] / (1 - 0.6 ** (step + 1))
            size = initial[name].square().mean().sqrt()
            if p.dim() > 1:
                ahead = (0.6 * corrected + 0.4 * p.grad).flatten(1)
                x = ahead / ahead.norm()
                for _ in range(3):
                    a = x @ x.T
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                change = x.view_as(p) * max(x.shape) ** 0.5
            else:
                change = corrected / (squares[name] / (1 - 0.99 ** (step + 1)) + 1e-8).sqrt()
            with torch.no_grad():
                p.sub_(0.1 * size * change)
            p.grad = None
    torch.testing.assert_close(state.parameters, Learner(reference).initial)


def test_all_widths_and_shapes_move_by_the_same_share() -> None:
    """One rate means the same for every matrix: that is what the scale is for."""
    torch.manual_seed(0)
    for rows, columns in product((8, 64), (16, 100)):
        learner = Learner(nn.Linear(columns, rows, bias=False))
        rule = make_rule(learner, learner.initial, InnerLoopConfig(learning_rate=0.1))
        state = start(learner.initial, rule)
        gradient = torch.randn_like(learner.initial)
        after = update(state, gradient, (torch.tensor(0.1), torch.tensor(0.7)), 0, rule)
        moved = (after.parameters - learner.initial).square().mean().sqrt()
        size = learner.initial.square().mean().sqrt()
        assert float(moved / size) == pytest.approx(0.1, rel=0.25)
