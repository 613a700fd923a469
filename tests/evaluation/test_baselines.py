import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from contracts import EVALUATOR_CONTRACT, EvaluatorRule
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F

from nasgtn.data import Part, Splits
from nasgtn.evaluation import ZERO_COST, evaluate
from nasgtn.evaluation.baselines import activation_kernel, jacobian_score, synaptic_flow
from nasgtn.spaces import SearchSpace, count_multiply_adds, count_parameters, find_space
from nasgtn.task import Task


@pytest.mark.parametrize("name", ZERO_COST)
@pytest.mark.parametrize("holds", EVALUATOR_CONTRACT, ids=lambda rule: rule.__name__)
def test_baseline_keeps_the_contract(
    name: str, holds: EvaluatorRule, tiny_space: SearchSpace, toy_splits: Splits
) -> None:
    evaluator = ZERO_COST[name](tiny_space, toy_splits.task, toy_splits.train)
    assert evaluator.name == name
    holds(evaluator, tiny_space.sample(0, toy_splits.task))


def test_counts_are_the_scores(tiny_space: SearchSpace, toy_splits: Splits) -> None:
    task, architecture = toy_splits.task, tiny_space.sample(1, toy_splits.task)
    network = tiny_space.network(architecture.choices, task, seed=0)
    for name, count in (
        ("params", count_parameters(network)),
        ("flops", count_multiply_adds(network, task)),
    ):
        evaluator = ZERO_COST[name](tiny_space, task, toy_splits.train)
        assert evaluator.score(architecture, seed=0).score == count


def linear_network() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Linear(5, 3))


def test_synaptic_flow_of_a_linear_network_has_a_closed_form(toy_task: Task) -> None:
    network = linear_network()
    first, second = (
        [parameter.detach().double().abs().numpy() for parameter in layer.parameters()]
        for layer in list(network)[1:]
    )
    hidden = first[0] @ np.ones(64)
    through_weights = np.ones(3) @ second[0] @ hidden
    through_bias = np.ones(3) @ second[0] @ first[1]
    # each term, once for each layer of weights or biases that it passes
    expected = through_weights + through_bias  # the first layer
    expected += through_weights + through_bias + second[1].sum()  # the second one
    assert synaptic_flow(network, toy_task) == pytest.approx(expected, rel=1e-12)


def test_synaptic_flow_is_the_growth_of_the_output_with_the_weights(toy_task: Task) -> None:
    """Sum of theta dR/dtheta = dR(t theta)/dt at t = 1, by finite differences."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )

    def output(scale: float) -> float:
        scaled = copy.deepcopy(network).double()
        with torch.no_grad():
            for parameter in scaled.parameters():
                parameter.copy_(scale * parameter.abs())
            return float(scaled(torch.ones(1, 1, 8, 8, dtype=torch.float64)).sum())

    slope = (output(1 + 1e-5) - output(1 - 1e-5)) / 2e-5
    assert synaptic_flow(network, toy_task) == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("extra", [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Tanh(), nn.ReLU6()])
def test_normalisation_and_activation_do_not_change_the_flow(
    extra: nn.Module, toy_task: Task
) -> None:
    conv, head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(256, 3)
    plain = nn.Sequential(conv, nn.Flatten(), head)
    dressed = nn.Sequential(copy.deepcopy(conv), extra, nn.Flatten(), copy.deepcopy(head))
    assert synaptic_flow(plain, toy_task) == synaptic_flow(dressed, toy_task) > 0


def brute_force_kernel(activations: list[np.ndarray]) -> np.ndarray:
    """Compare the codes of each two images, unit by unit."""
    codes = np.concatenate([a.reshape(len(a), -1) > 0 for a in activations], axis=1)
    return np.array([[sum(one == other) for other in codes] for one in codes], dtype=float)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU, nn.Tanh, nn.LeakyReLU])
def test_naswot_kernel_equals_brute_force(activation: Callable[[], nn.Module]) -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), activation(), nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3), activation()
    )
    seen: list[np.ndarray] = []
    for layer in (network[1], network[4]):
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.numpy()))
    images = torch.randn(5, 1, 6, 6)
    kernel = activation_kernel(network, images).numpy()
    np.testing.assert_array_equal(kernel, brute_force_kernel(seen))
    sign, log_determinant = np.linalg.slogdet(kernel)
    assert sign > 0
    assert log_determinant > 0


def test_naswot_score_is_the_log_determinant(tiny_space: SearchSpace, toy_splits: Splits) -> None:
    part = toy_splits.train.first(10)
    evaluator = ZERO_COST["naswot"](tiny_space, toy_splits.task, part)
    architecture = tiny_space.sample(0, toy_splits.task)
    network = tiny_space.network(architecture.choices, toy_splits.task, seed=3)
    hidden = next(i for i, m in enumerate(network.children()) if isinstance(m, nn.ReLU | nn.Tanh))
    with torch.no_grad():
        units = network[: hidden + 1](part.images).numpy()  # type: ignore[index]
    kernel = brute_force_kernel([units]) + np.eye(10)
    expected = math.log(np.linalg.det(kernel))
    assert evaluator.score(architecture, seed=3).score == pytest.approx(expected, rel=1e-9)


def test_synaptic_flow_orders_cells_as_published(shared_data: Path, toy_splits: Splits) -> None:
    """NAS-Bench-Suite-Zero scored the benchmark's full networks; a small look-alike agrees."""
    cells = pd.read_csv(shared_data / "nasbench201_cifar10.csv.gz")
    scores = pd.read_csv(shared_data / "nasbench201_zerocost_cifar10.csv.gz")
    sample = cells.merge(scores, on="arch_index").sample(25, random_state=0)
    space = find_space("nasbench201", {"channels": 4, "n_cells": 1})
    evaluator = ZERO_COST["synflow"](space, toy_splits.task, toy_splits.train)
    ours = [evaluator.score(space.from_description(a), seed=0).score for a in sample.arch_str]
    assert spearmanr(ours, sample.synflow).statistic > 0.95


class InPlaceAndFunctional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 7), nn.Linear(7, 8)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.first(images.flatten(1)), inplace=True)
        return torch.relu_(self.second(hidden))


def test_naswot_sees_functions_and_in_place_activations() -> None:
    network, images = InPlaceAndFunctional(), torch.randn(4, 1, 2, 3)
    modules = nn.Sequential(nn.Flatten(), network.first, nn.ReLU(), network.second, nn.ReLU())
    kernel = activation_kernel(network, images)
    assert torch.equal(kernel, activation_kernel(modules, images))
    assert kernel.diagonal().tolist() == [15.0] * 4  # an image agrees with itself in every unit


@pytest.mark.parametrize(
    "activation",
    [
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU),
        *(nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign),
        *(nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid),
    ],
)
def test_every_activation_of_torch_is_seen_once(activation: Callable[[], nn.Module]) -> None:
    kernel = activation_kernel(activation(), torch.randn(3, 1, 2, 2))
    assert kernel.diagonal().tolist() == [4.0] * 3


def test_a_network_that_tells_no_images_apart_scores_lowest(toy_splits: Splits) -> None:
    def evaluate_naswot(space: SearchSpace) -> float | None:
        evaluator = ZERO_COST["naswot"](space, toy_splits.task, toy_splits.train)
        return evaluate(evaluator, space.sample(0, toy_splits.task), seed=0).score

    linear = SearchSpace(name="linear", build=lambda trial, task: linear_network())
    convnet = evaluate_naswot(find_space("convnet"))
    assert evaluate_naswot(linear) == 0
    assert convnet is not None
    assert convnet > 0


def test_a_disconnected_cell_has_scores(toy_splits: Splits) -> None:
    space = find_space("nasbench201", {"channels": 4, "n_cells": 1})
    dead = space.from_description("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    alive = space.from_description(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    )
    for name, baseline in ZERO_COST.items():
        evaluator = baseline(space, toy_splits.task, toy_splits.train)
        scores = [evaluate(evaluator, a, seed=0).score for a in (dead, alive)]
        assert None not in scores
        assert scores[0] < scores[1] or name == "grad_norm"  # type: ignore[operator]


def test_gradient_norm_of_a_linear_network_has_a_closed_form(toy_splits: Splits) -> None:
    def build(trial: object, task: Task) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    space = SearchSpace(name="linear", build=build)
    part: Part = toy_splits.train
    architecture = space.architecture({})
    scores = ZERO_COST["grad_norm"](space, toy_splits.task, part).score(architecture, seed=0)
    layer = space.network({}, toy_splits.task, seed=0)
    with torch.no_grad():
        logits = layer(part.images).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = probabilities - np.eye(3)[part.labels.numpy()]
    flat = part.images.flatten(1).numpy().astype(np.float64)
    expected = np.linalg.norm(error.T @ flat / len(part)) + np.linalg.norm(error.mean(0))
    assert scores.score == pytest.approx(expected, rel=1e-5)
    loss = -np.log(probabilities[np.arange(len(part)), part.labels]).mean()
    assert scores.metrics["loss"] == pytest.approx(loss, rel=1e-5)


def test_the_jacobian_score_is_highest_where_every_image_has_its_own_direction() -> None:
    """A linear network has one derivative for all images; a wide hidden layer one for each."""
    torch.manual_seed(0)
    images = torch.randn(6, 1, 4, 4)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    wide = nn.Sequential(nn.Flatten(), nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 3))
    assert jacobian_score(wide, images) > jacobian_score(linear, images)
    independent = -6 * (math.log(1 + 1e-5) + 1 / (1 + 1e-5))
    assert jacobian_score(wide, images) < independent


def test_the_jacobian_score_by_numpy() -> None:
    torch.manual_seed(0)
    images = torch.randn(5, 1, 4, 4)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 3))
    rows = []
    for image in images:
        x = image[None].clone().requires_grad_()
        network(x).sum().backward()
        assert x.grad is not None
        rows.append(x.grad.flatten().double().numpy())
    k = np.linalg.eigvalsh(np.corrcoef(np.stack(rows))) + 1e-5
    assert jacobian_score(network, images) == pytest.approx(-np.sum(np.log(k) + 1 / k), rel=1e-4)


class Viewing(nn.Module):
    """Flattens with `view`, which asks for the usual order in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU())
        self.head = nn.Linear(3 * 4 * 4, 5)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(images)
        return self.head(features.view(len(images), -1)).relu()  # type: ignore[no-any-return]


def test_naswot_counts_a_network_that_views_its_features_once() -> None:
    kernel = activation_kernel(Viewing(), torch.randn(4, 2, 6, 6))
    assert kernel.diagonal().tolist() == [3.0 * 4 * 4 + 5] * 4
