import gzip
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch

from nasgtn.errors import InvalidConfigError
from nasgtn.spaces import BUILT_IN, FixedTrial, count_multiply_adds, count_parameters, find_space
from nasgtn.task import Task

SPACE = find_space("nasbench_macro")
MODULE = import_module(BUILT_IN["nasbench_macro"])
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
    with gzip.open(shared_data / "nasbench_macro_cifar10.csv.gz", "rt") as file:
        return pd.read_csv(file, dtype={"arch": str}).set_index("arch")


def test_parameters_and_multiply_adds_equal_the_table(table: pd.DataFrame) -> None:
    one_layer = ["0" * i + digit + "0" * (7 - i) for i in range(8) for digit in "12"]
    for digits in ["0" * 8, *one_layer, *table.sample(5, random_state=0).index]:
        with torch.device("meta"):
            network = MODULE.build(FixedTrial(MODULE.parse(digits)), CIFAR)
        assert count_parameters(network) == table.params[digits]
        assert count_multiply_adds(network, CIFAR) == table.flops[digits]


def test_costs_add_up_layer_by_layer(table: pd.DataFrame) -> None:
    """So that the 17 architectures above stand for all 6,561."""
    for column in (table.params, table.flops):
        base = column["0" * 8]
        alone = {
            (i, digit): column["0" * i + digit + "0" * (7 - i)] - base
            for i in range(8)
            for digit in "012"
        }
        summed = [base + sum(alone[item] for item in enumerate(str(a))) for a in column.index]
        assert summed == list(column)


def test_canonical_form_leaves_out_identities_without_effect(table: pd.DataFrame) -> None:
    assert (
        MODULE.canonical(MODULE.parse("10201021"))
        == MODULE.canonical(MODULE.parse("10210021"))
        == "|1|21|021"
    )
    assert MODULE.canonical(MODULE.parse("01000000")) != MODULE.canonical(MODULE.parse("10000000"))
    forms = {MODULE.canonical(MODULE.parse(str(digits))) for digits in table.index}
    assert len(forms) == (3 * 3) * (3 * 7) * (3 * 7)  # 7 orders of up to two blocks of two kinds


def test_architectures_of_one_form_compute_the_same(toy_task: Task) -> None:
    space = SPACE.with_options({"channels": 2})
    images = torch.randn(4, *toy_task.input_shape)
    first, same, other = (
        space.network(MODULE.parse(digits), toy_task, seed=0)(images)
        for digits in ("00201010", "00210001", "02001010")
    )
    assert MODULE.canonical(MODULE.parse("00201010")) == MODULE.canonical(MODULE.parse("00210001"))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("text", ["", "0123", "01201203", "012012012"])
def test_text_that_is_no_architecture_is_an_error(text: str) -> None:
    with pytest.raises(InvalidConfigError, match="must be 8 digits"):
        SPACE.from_description(text)
