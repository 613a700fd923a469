import pytest
import torch
from torch import nn

from nasgtn.spaces import (
    count_multiply_adds,
    count_parameters,
    measure_cost,
    measure_latency,
)
from nasgtn.task import Task


def small_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4, bias=False),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 3),
    )


def test_parameters_are_those_that_training_changes() -> None:
    network = small_network()
    assert count_parameters(network) == (9 + 1) * 4 + 2 * 4 + 9 * 4 + (64 + 1) * 3
    network[0].requires_grad_(False)
    assert count_parameters(network) == 2 * 4 + 9 * 4 + (64 + 1) * 3


def test_multiply_adds_have_a_closed_form(toy_task: Task) -> None:
    counted = count_multiply_adds(small_network(), toy_task)
    assert counted == 9 * 4 * 8 * 8 + 9 * 4 * 4 * 4 + 64 * 3


def test_counting_leaves_the_network_as_it_was(toy_task: Task) -> None:
    network = small_network()
    network[1].eval()  # frozen statistics, as in fine-tuning
    before = {name: value.clone() for name, value in network.state_dict().items()}
    measure_cost(network, toy_task, latency_device="cpu")
    assert network.training
    assert not network[1].training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_that_fails_is_left_as_it_was(toy_task: Task) -> None:
    network = nn.Sequential(nn.Linear(5, 3))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        count_multiply_adds(network, toy_task)
    assert network.training


def test_latency_is_of_the_whole_batch(toy_task: Task) -> None:
    sizes: list[int] = []
    network = small_network()
    network.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    assert 0 < measure_latency(network, toy_task, batch_size=5, n_repeats=3) < 10
    assert sizes == [5] * 6  # three passes before the measured ones


def test_cost_holds_all_three(toy_task: Task) -> None:
    network = small_network()
    cost = measure_cost(network, toy_task)
    assert cost.n_parameters == count_parameters(network)
    assert cost.n_multiply_adds == count_multiply_adds(network, toy_task)
    assert cost.latency_ms is None
    measured = measure_cost(network, toy_task, latency_device="cpu").latency_ms
    assert measured is not None
    assert measured > 0


def test_a_network_without_parameters_costs_nothing(toy_task: Task) -> None:
    cost = measure_cost(nn.Flatten(), toy_task)
    assert (cost.n_parameters, cost.n_multiply_adds) == (0, 0)
