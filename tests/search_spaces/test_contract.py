"""Built-in spaces, and a user's file, keep the contract, for images of any size."""

from pathlib import Path

import pytest
from contracts import SPACE_CONTRACT, SpaceRule, returns_logits_for_the_task

from nasgtn.spaces import BUILT_IN, Choice, find_space
from nasgtn.task import Task

USER_SPACE = str(Path(__file__).with_name("user_space.py"))
STARTING_POINT = str(Path(__file__).parents[2] / "search_spaces" / "starting_point.py")
SMALL: dict[str, dict[str, Choice]] = {
    "nasbench201": {"channels": 4, "n_cells": 1},
    "nasbench_macro": {"channels": 2},
    "enas_micro": {"channels": 4, "n_cells": 1},
}
SPACES = (*BUILT_IN, USER_SPACE, STARTING_POINT)


def task_of(n_channels: int, height: int, width: int, n_classes: int) -> Task:
    return Task(
        name="shape",
        n_channels=n_channels,
        height=height,
        width=width,
        class_names=tuple(map(str, range(n_classes))),
        mean=(0.5,) * n_channels,
        std=(0.2,) * n_channels,
    )


def name_of(value: object) -> str:
    return getattr(value, "__name__", Path(str(value)).stem)


@pytest.mark.parametrize("name", SPACES, ids=name_of)
@pytest.mark.parametrize("holds", SPACE_CONTRACT, ids=name_of)
def test_space_keeps_the_contract(name: str, holds: SpaceRule) -> None:
    holds(find_space(name, SMALL.get(name)), task_of(1, 8, 8, 3))


@pytest.mark.parametrize("name", SPACES, ids=name_of)
@pytest.mark.parametrize(
    "shape", [(3, 32, 32, 43), (1, 28, 28, 10), (2, 1, 1, 2), (1, 2, 9, 3), (4, 7, 5, 3)], ids=str
)
def test_space_fits_images_of_any_size(name: str, shape: tuple[int, int, int, int]) -> None:
    returns_logits_for_the_task(find_space(name, SMALL.get(name)), task_of(*shape))


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_space_says_what_it_is(name: str) -> None:
    space = find_space(name)
    assert space.name == name
    assert space.summary.endswith(".")
