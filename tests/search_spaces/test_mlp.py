import pytest
import torch

from nasgtn.spaces import Choice, count_parameters, find_space
from nasgtn.task import Task

SPACE = find_space("mlp")


def test_depth_zero_is_a_linear_network(toy_task: Task) -> None:
    network = SPACE.network({"depth": 0}, toy_task, seed=0)
    one, two = torch.randn(2, 1, *toy_task.input_shape)
    torch.testing.assert_close(
        network(one[None]) + network(two[None]),
        network((one + two)[None]) + network(0 * one[None]),
    )
    assert count_parameters(network) == (64 + 1) * 3
    assert SPACE.architecture({"depth": 0}).description == "linear"


@pytest.mark.parametrize(("normalisation", "n_scales"), [("none", 0), ("batch", 2), ("layer", 2)])
def test_parameters_have_a_closed_form(normalisation: str, n_scales: int, toy_task: Task) -> None:
    choices: dict[str, Choice] = {
        "depth": 2,
        "activation": "tanh",
        "normalisation": normalisation,
        "width_1": 10,
        "width_2": 20,
    }
    expected = 65 * 10 + 11 * 20 + 21 * 3 + n_scales * 30
    assert count_parameters(SPACE.network(choices, toy_task, seed=0)) == expected
    assert SPACE.architecture(choices).description == f"10-20 {normalisation} tanh"
