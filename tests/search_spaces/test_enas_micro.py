from importlib import import_module

import pytest
import torch

from nasgtn.errors import InvalidConfigError
from nasgtn.spaces import BUILT_IN, Choice, count_parameters, find_space
from nasgtn.task import Task

SPACE = find_space("enas_micro")
MODULE = import_module(BUILT_IN["enas_micro"])


def choices_of(nodes: list[tuple[int, str, int, str]]) -> dict[str, Choice]:
    """Write the same nodes into both cells."""
    choices: dict[str, Choice] = {}
    for cell in MODULE.CELLS:
        for node, values in enumerate(nodes):
            for side, state, name in zip("ab", values[::2], values[1::2], strict=True):
                choices[f"{cell}_{node}_input_{side}"] = state
                choices[f"{cell}_{node}_{side}"] = name
    return choices


CHAIN = [
    (0, "identity", 1, "sep_conv_3x3"),
    (0, "max_pool_3x3", 0, "sep_conv_5x5"),
    (2, "avg_pool_3x3", 3, "identity"),
    (1, "identity", 2, "identity"),
    (4, "sep_conv_3x3", 5, "max_pool_3x3"),
]


def test_parameters_of_identities_have_a_closed_form(toy_task: Task) -> None:
    choices = choices_of([(0, "identity", 1, "identity")] * MODULE.N_NODES)
    network = SPACE.with_options({"channels": 4, "n_cells": 1}).network(choices, toy_task, seed=0)
    stem = 9 * 1 * 4 + 8
    n_in, expected = (4, 4), stem
    for channels, reduces in ((4, 0), (8, 1), (8, 0), (16, 1), (16, 0)):
        expected += (sum(n_in) + 4) * channels  # two adapters: weights, scales and shifts
        expected += reduces * 2 * MODULE.N_NODES * (channels + 2) * channels
        n_in = (n_in[1], MODULE.N_NODES * channels)  # all nodes are loose ends
    assert count_parameters(network) == expected + (MODULE.N_NODES * 16 + 1) * 3


def test_the_order_of_nodes_and_operations_does_not_matter() -> None:
    swapped_sides = [(*node[2:], *node[:2]) for node in CHAIN]
    first, second, third, fourth, fifth = CHAIN
    swapped_nodes = [second, first, (3, "avg_pool_3x3", 2, "identity")]
    swapped_nodes += [(1, "identity", 3, "identity"), fifth]
    ids = {SPACE.architecture(choices_of(n)).id for n in (CHAIN, swapped_sides, swapped_nodes)}
    assert len(ids) == 1
    assert len(third) == len(fourth)


def test_another_wiring_is_another_architecture() -> None:
    shared = [*CHAIN[:3], (2, "identity", 2, "identity"), CHAIN[4]]
    other_input = [*CHAIN[:3], (0, "identity", 2, "identity"), CHAIN[4]]
    ids = {SPACE.architecture(choices_of(n)).id for n in (CHAIN, shared, other_input)}
    assert len(ids) == 3


def test_a_cell_concatenates_the_nodes_that_no_other_node_reads() -> None:
    nodes = [((0, "identity"), (1, "identity"))] * 3 + [((2, "identity"), (3, "identity"))] * 2
    cell = MODULE.Cell(nodes, (3, 3), 3, shrink=1, stride=1)
    assert cell.loose == [4, 5, 6]
    inputs = torch.randn(2, 3, 4, 4)
    one, other = cell.adapters[0](inputs), cell.adapters[1](inputs)
    expected = torch.cat([one + other, 2 * (one + other), 2 * (one + other)], dim=1)
    torch.testing.assert_close(cell(inputs, inputs), expected)


def test_options_must_be_positive(toy_task: Task) -> None:
    with pytest.raises(InvalidConfigError, match="at least 1, got 16 and 0"):
        SPACE.with_options({"n_cells": 0}).sample(0, toy_task)
