"""Families of architectures: read, told apart, and sampled alone or left out."""

from collections.abc import Callable
from itertools import product

import pytest
from contracts import SPACE_CONTRACT, SpaceRule
from torch import nn

from nasgtn.errors import InvalidConfigError, InvalidSpaceError, UnknownNameError
from nasgtn.spaces import (
    Choices,
    Family,
    SearchSpace,
    Trial,
    families_by,
    find_space,
    hold_out,
    only,
    without,
)
from nasgtn.task import Task


def test_a_family_is_what_has_all_of_its_values() -> None:
    family = Family.parse("norm=batch, pool=4")
    expected = {("batch", 4)}
    for norm, pool in product(("batch", "none"), (1, 4)):
        choices: Choices = {"norm": norm, "pool": pool, "width": 8}
        assert family.holds(choices) == ((norm, pool) in expected)
    assert not family.holds({"norm": "batch"})
    assert Family.parse(str(family)) == family


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("residual=true", {"residual": True}),
        ("residual=False", {"residual": False}),
        ("rate=0.5", {"rate": 0.5}),
        ("layer=1", {"layer": "1"}),
        ("layer=a=b", {"layer": "a=b"}),
        ("mask=null", {"mask": None}),
    ],
)
def test_values_are_written_as_in_descriptions_or_in_toml(text: str, choices: Choices) -> None:
    assert Family.parse(text).holds(choices)


@pytest.mark.parametrize("text", ["", "norm", "norm=", "=batch", "norm=batch,", "a=1,a=2"])
def test_what_is_no_family_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfigError, match="a family must be CHOICE=VALUE"):
        Family.parse(text)


def test_parts_sample_their_architectures_alone(tiny_space: SearchSpace, toy_task: Task) -> None:
    batch, flat = Family.parse("norm=batch"), Family.parse("pool=4,activation=relu")
    seeds = range(12)
    everything = tiny_space.sample_distinct(32, 0, toy_task)
    assert len(everything) == 32
    cases: list[tuple[SearchSpace, Callable[[Choices], bool]]] = [
        (only(tiny_space, batch), lambda c: c["norm"] == "batch"),
        (without(tiny_space, [batch]), lambda c: c["norm"] == "none"),
        (
            without(tiny_space, [batch, flat]),
            lambda c: c["norm"] == "none" and (c["pool"] == 1 or c["activation"] == "tanh"),
        ),
        (
            without(only(tiny_space, batch), [flat]),
            lambda c: c["norm"] == "batch" and (c["pool"] == 1 or c["activation"] == "tanh"),
        ),
    ]
    for part, wanted in cases:
        drawn = [part.sample(seed, toy_task) for seed in seeds]
        assert drawn == [part.sample(seed, toy_task) for seed in seeds]
        assert len({one.id for one in drawn}) > 3
        expected = {one.id for one in everything if wanted(one.choices)}
        assert {one.id for one in part.sample_distinct(len(expected), 0, toy_task)} == expected
        assert {one.id for one in drawn} <= expected
    for seed in seeds:
        has_norm = [
            any(
                isinstance(layer, nn.BatchNorm2d)
                for layer in part.sample_network(seed, toy_task).children()
            )
            for part in (only(tiny_space, batch), without(tiny_space, [batch]))
        ]
        assert has_norm == [True, False]


def test_a_part_draws_what_the_whole_draws_where_that_is_of_it(
    tiny_space: SearchSpace, toy_task: Task
) -> None:
    family = Family.parse("norm=batch")
    for seed in range(10):
        whole = tiny_space.sample(seed, toy_task)
        assert (only(tiny_space, family).sample(seed, toy_task) == whole) == family.holds(
            whole.choices
        )


def test_a_part_still_builds_every_architecture(tiny_space: SearchSpace, toy_task: Task) -> None:
    part = only(tiny_space, Family.parse("norm=batch"))
    for architecture in tiny_space.sample_distinct(8, 0, toy_task):
        assert part.architecture(architecture.choices) == architecture
        part.network(architecture.choices, toy_task, seed=0)


@pytest.mark.parametrize("rule", SPACE_CONTRACT, ids=lambda rule: rule.__name__)
def test_a_part_keeps_the_contract_of_a_space(
    rule: SpaceRule, tiny_space: SearchSpace, toy_task: Task
) -> None:
    rule(only(tiny_space, Family.parse("norm=batch")), toy_task)


def test_a_part_of_nothing_is_a_clear_error(tiny_space: SearchSpace, toy_task: Task) -> None:
    nothing = only(tiny_space, Family.parse("norm=layer"))
    message = "'tiny with norm=layer' must have architectures, but 128 random ones were not of it"
    with pytest.raises(InvalidSpaceError, match=message):
        nothing.sample(0, toy_task)
    with pytest.raises(InvalidSpaceError, match=message):
        nothing.sample_distinct(3, 0, toy_task)


def test_holding_out_nothing_changes_nothing(tiny_space: SearchSpace, toy_task: Task) -> None:
    assert hold_out(tiny_space, (), toy_task) is tiny_space
    rest = hold_out(tiny_space, ("norm=batch", "pool=4,activation=relu"), toy_task)
    assert rest.name == "tiny without norm=batch or pool=4,activation=relu"
    assert rest.sample(0, toy_task).choices["norm"] == "none"


@pytest.mark.parametrize(
    ("families", "error", "message"),
    [
        (("nrm=batch",), UnknownNameError, "choice of search space 'tiny' 'nrm'; .* mean norm"),
        (("norm=btch",), UnknownNameError, "value of choice 'norm' 'btch'; .* mean batch"),
        (("pool=1,width=5",), UnknownNameError, r"'5' \(known: 12, 16, 4, 8\)"),
        (("norm=batch", "norm=none"), InvalidSpaceError, "128 .* all of norm=batch or norm=none"),
    ],
)
def test_families_that_cannot_be_held_out_are_refused(
    families: tuple[str, ...],
    error: type[Exception],
    message: str,
    tiny_space: SearchSpace,
    toy_task: Task,
) -> None:
    with pytest.raises(error, match=message) as caught:
        hold_out(tiny_space, families, toy_task)
    assert "\n" not in str(caught.value)


def test_a_choice_divides_a_space_in_the_order_of_its_values(
    tiny_space: SearchSpace, toy_task: Task
) -> None:
    for choice, values in {
        "width": ["4", "8", "12", "16"],
        "norm": ["batch", "none"],
        "pool": ["1", "4"],
    }.items():
        found = families_by(tiny_space, choice, toy_task)
        assert [str(family) for family in found] == [f"{choice}={value}" for value in values]
        for architecture in tiny_space.sample_distinct(8, 0, toy_task):
            assert sum(family.holds(architecture.choices) for family in found) == 1
    residual = families_by(find_space("convnet"), "residual", toy_task)
    assert [str(family) for family in residual] == ["residual=false", "residual=true"]


def one_choice(trial: Trial, task: Task) -> nn.Module:
    trial.suggest_float("rate", 0.0, 1.0)
    trial.suggest_categorical("norm", ("none",))
    return nn.Flatten()


@pytest.mark.parametrize(
    ("choice", "error", "message"),
    [
        ("rate", InvalidConfigError, "must have 2 to 12 values to make families of, got 128"),
        ("norm", InvalidConfigError, "must have 2 to 12 values to make families of, got 1"),
        ("rte", UnknownNameError, "did you mean rate"),
    ],
)
def test_a_choice_that_makes_no_families_is_refused(
    choice: str, error: type[Exception], message: str, toy_task: Task
) -> None:
    with pytest.raises(error, match=message):
        families_by(SearchSpace(name="one", build=one_choice), choice, toy_task)


def moody(trial: Trial, task: Task) -> nn.Module:
    if trial.suggest_categorical("norm", ("none", "batch", "broken")) == "broken":
        raise RuntimeError("no such layer")
    return nn.Flatten()


def test_architectures_that_cannot_be_built_make_no_family(toy_task: Task) -> None:
    space = SearchSpace(name="moody", build=moody)
    found = families_by(space, "norm", toy_task)
    assert [str(family) for family in found] == ["norm=batch", "norm=none"]

    def never(trial: Trial, task: Task) -> nn.Module:
        raise RuntimeError("no such layer")

    with pytest.raises(InvalidSpaceError, match="build of search space 'bad' raised RuntimeError"):
        families_by(SearchSpace(name="bad", build=never), "norm", toy_task)
