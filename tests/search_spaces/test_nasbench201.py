import gzip
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from nasgtn.errors import InvalidConfigError
from nasgtn.spaces import BUILT_IN, FixedTrial, count_multiply_adds, find_space
from nasgtn.spaces.cost import count_parameters
from nasgtn.task import Task

SPACE = find_space("nasbench201")
MODULE = import_module(BUILT_IN["nasbench201"])
CIFAR = Task(
    name="cifar10",
    n_channels=3,
    height=32,
    width=32,
    class_names=tuple("0123456789"),
    mean=(0.5,) * 3,
    std=(0.2,) * 3,
)


@pytest.fixture(scope="module")
def table(shared_data: Path) -> pd.DataFrame:
    with gzip.open(shared_data / "nasbench201_cifar10.csv.gz", "rt") as file:
        return pd.read_csv(file)


def network_of(description: str) -> nn.Module:
    with torch.device("meta"):  # counts need shapes only
        network: nn.Module = MODULE.build(FixedTrial(MODULE.parse(description)), CIFAR)
    return network


def with_convolutions(table: pd.DataFrame) -> pd.DataFrame:
    """Take one cell for each number of 1x1 and of 3x3 convolutions, and 15 more."""
    n_1x1 = table.arch_str.str.count("nor_conv_1x1").rename("n_1x1")
    n_3x3 = table.arch_str.str.count("nor_conv_3x3").rename("n_3x3")
    one_each = table.groupby([n_1x1, n_3x3]).first()
    assert len(one_each) == 28
    return pd.concat([one_each, table.sample(15, random_state=0)])


def test_parameters_equal_the_table(table: pd.DataFrame) -> None:
    for row in with_convolutions(table).itertuples():
        assert count_parameters(network_of(str(row.arch_str))) / 1e6 == row.params_m


def test_multiply_adds_are_those_of_the_table_less_the_last_bias(table: pd.DataFrame) -> None:
    for row in table.sample(3, random_state=1).itertuples():
        network = SPACE.network(MODULE.parse(str(row.arch_str)), CIFAR, seed=0)
        counted = count_multiply_adds(network, CIFAR) + CIFAR.n_classes
        assert counted / 1e6 == pytest.approx(float(str(row.flops_m)), abs=1e-9)


def test_canonical_form_merges_the_cells_that_the_benchmark_merges(table: pd.DataFrame) -> None:
    forms = table.arch_str.map(lambda text: MODULE.canonical(MODULE.parse(text)))
    assert forms.nunique() == table.iso_id.nunique() == 6466
    assert len(set(zip(forms, table.iso_id, strict=True))) == 6466


def test_description_is_the_official_string(table: pd.DataFrame) -> None:
    for text in table.arch_str[::10]:
        assert SPACE.from_description(text).description == text


@pytest.mark.parametrize(
    "text",
    ["", "|none~0|", "|none~0|+|none~0|none~1|+|none~0|none~2|none~1|", "|a~0|+|none~0|none~1|"],
)
def test_text_that_is_no_cell_is_an_error(text: str) -> None:
    with pytest.raises(InvalidConfigError, match="a cell must be written as"):
        SPACE.from_description(text)


def test_options_must_be_positive(toy_task: Task) -> None:
    with pytest.raises(InvalidConfigError, match="at least 1, got 0"):
        SPACE.with_options({"channels": 0}).sample(0, toy_task)


def cell_of(**operations: str) -> nn.Module:
    names = {MODULE.edge_name(*edge): "none" for edge in MODULE.EDGES}
    cell: nn.Module = MODULE.Cell(names | operations, channels=2)
    return cell


def test_nodes_add_what_their_edges_bring() -> None:
    inputs = torch.randn(1, 2, 3, 3)
    every = {MODULE.edge_name(*edge): "skip_connect" for edge in MODULE.EDGES}
    assert torch.equal(cell_of(**every)(inputs), 4 * inputs)
    assert torch.equal(cell_of()(inputs), torch.zeros_like(inputs))
    through = cell_of(edge_0_2="skip_connect", edge_2_3="avg_pool_3x3")(inputs)
    padded = np.pad(inputs.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    expected = torch.from_numpy(np.nanmean(windows, axis=(-1, -2)))
    torch.testing.assert_close(through, expected)
