import pytest
import torch

from nasgtn.spaces import Choice, count_parameters, find_space
from nasgtn.task import Task

SPACE = find_space("convnet")
BASE: dict[str, Choice] = {
    "depth": 2,
    "width": 16,
    "kernel": 3,
    "activation": "relu",
    "normalisation": "none",
    "residual": False,
    "pooling": "max",
    "head": "flat",
}
OTHER: dict[str, Choice] = {
    "depth": 3,
    "width": 24,
    "kernel": 5,
    "activation": "tanh",
    "normalisation": "group",
    "residual": True,
    "pooling": "stride",
    "head": "pooled",
}


@pytest.mark.parametrize("name", OTHER)
def test_every_choice_changes_the_network_and_its_id(name: str, toy_task: Task) -> None:
    images = torch.randn(4, *toy_task.input_shape)
    changed = {**BASE, name: OTHER[name]}
    before, after = (SPACE.network(c, toy_task, seed=0)(images) for c in (BASE, changed))
    assert not torch.allclose(before, after)
    assert SPACE.architecture(BASE).id != SPACE.architecture(changed).id
    assert SPACE.architecture(BASE).description != SPACE.architecture(changed).description


def test_one_block_has_no_residual_connection(toy_task: Task) -> None:
    images = torch.randn(4, *toy_task.input_shape)
    plain, residual = ({**BASE, "depth": 1, "residual": value} for value in (False, True))
    first, second = (SPACE.network(c, toy_task, seed=0)(images) for c in (plain, residual))
    assert torch.equal(first, second)
    assert SPACE.architecture(plain).id == SPACE.architecture(residual).id


def test_parameters_have_a_closed_form(toy_task: Task) -> None:
    network = SPACE.network(BASE, toy_task, seed=0)
    convolutions = (9 * 1 + 1) * 16 + (9 * 16 + 1) * 16
    head = (16 * 2 * 2 + 1) * 3  # 8x8, pooled twice
    assert count_parameters(network) == convolutions + head


def test_networks_are_of_many_sizes(toy_task: Task) -> None:
    sizes = [
        count_parameters(SPACE.network(a.choices, toy_task, seed=0))
        for a in SPACE.sample_distinct(40, 0, toy_task)
    ]
    assert min(sizes) < max(sizes) / 30
    assert 30_000 < max(sizes) < 500_000


def test_a_description_is_readable() -> None:
    text = SPACE.architecture({**BASE, "residual": True}).description
    assert text == "2 x conv3(16) none relu residual, max, flat"
