from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasgtn.errors import InvalidConfigError, InvalidSpaceError
from nasgtn.spaces import Choices, RandomTrial, SearchSpace, Trial
from nasgtn.task import Task


class Pixelwise(nn.Module):
    """Gives one logit a pixel: a wrong output shape."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Two(nn.Module):
    """Returns no tensor."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


def raising(trial: Trial, task: Task) -> nn.Module:
    raise RuntimeError("no such layer")


def returning(value: object) -> Callable[..., object]:
    return lambda trial, task: value


def space_of(build: Callable[..., object]) -> SearchSpace:
    return SearchSpace(name="mine", build=build)  # type: ignore[arg-type]  # wrong on purpose


def test_a_space_samples_reproducibly_and_differently(
    tiny_space: SearchSpace, toy_task: Task
) -> None:
    drawn = [tiny_space.sample(seed, toy_task) for seed in range(30)]
    assert drawn == [tiny_space.sample(seed, toy_task) for seed in range(30)]
    assert len({architecture.id for architecture in drawn}) > 10
    assert drawn[0].description == " ".join(f"{k}={v}" for k, v in drawn[0].choices.items())


def test_distinct_samples_are_distinct_and_leave_out_what_they_must(
    tiny_space: SearchSpace, toy_task: Task
) -> None:
    first = tiny_space.sample_distinct(8, 0, toy_task)
    ids = [architecture.id for architecture in first]
    assert len(set(ids)) == 8
    others = tiny_space.sample_distinct(8, 0, toy_task, exclude=frozenset(ids))
    assert not set(ids) & {architecture.id for architecture in others}
    assert [a.id for a in tiny_space.sample_distinct(4, 0, toy_task)] == ids[:4]


def test_a_small_space_is_exhausted(toy_task: Task) -> None:
    def build(trial: Trial, task: Task) -> nn.Module:
        trial.suggest_categorical("letter", ("a", "b", "c"))
        return nn.Flatten()

    everything = SearchSpace(name="letters", build=build).sample_distinct(5, 0, toy_task)
    assert sorted(a.description for a in everything) == ["letter=a", "letter=b", "letter=c"]


def test_the_id_depends_on_the_canonical_form_alone(tiny_space: SearchSpace) -> None:
    def canonical(choices: Choices) -> object:
        return {name: value for name, value in choices.items() if name != "unused"}

    space = SearchSpace(name="mine", build=tiny_space.build, canonical=canonical)
    ids = {space.architecture({"width": 4, "unused": value}).id for value in (1, 2)}
    assert len(ids) == 1
    assert space.architecture({"width": 8}).id not in ids
    ordered = [tiny_space.architecture(c).id for c in ({"a": 1, "b": 2}, {"b": 2, "a": 1})]
    assert ordered[0] == ordered[1]
    assert len(ordered[0]) == 12
    int(ordered[0], 16)


def test_a_networks_weights_come_from_its_seed(tiny_space: SearchSpace, toy_task: Task) -> None:
    choices = tiny_space.sample(0, toy_task).choices
    first, again, other = (
        nn.utils.parameters_to_vector(tiny_space.network(choices, toy_task, seed=s).parameters())
        for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_global_generators_are_left_alone(tiny_space: SearchSpace, toy_task: Task) -> None:
    torch_state, numpy_state = torch.get_rng_state(), str(np.random.get_state())
    tiny_space.sample(0, toy_task)
    tiny_space.propose(RandomTrial(0), toy_task)
    tiny_space.check(toy_task)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert str(np.random.get_state()) == numpy_state


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (raising, "build of search space 'mine' raised RuntimeError: no such layer"),
        (returning(None), "must return an nn.Module, got NoneType"),
        (returning(nn.Linear), "must return an nn.Module, got type"),
        (returning(nn.Linear(3, 2)), r"of shape \(1, 8, 8\) to logits, but raised RuntimeError"),
        (returning(Pixelwise()), r"logits of shape \(batch, 3\), got \(2, 64\) for a batch of 2"),
        (returning(Two()), r"logits of shape \(batch, 3\), got tuple for a batch of 2"),
    ],
)
def test_a_wrong_space_is_an_error_that_names_it(
    build: Callable[..., object], message: str, toy_task: Task
) -> None:
    with pytest.raises(InvalidSpaceError, match=message) as caught:
        space_of(build).check(toy_task)
    assert "'mine'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_canonical_form_that_is_no_json_is_an_error(tiny_space: SearchSpace) -> None:
    space = SearchSpace(name="mine", build=tiny_space.build, canonical=lambda choices: {1, 2})
    with pytest.raises(InvalidSpaceError, match="canonical or describe raised TypeError"):
        space.architecture({"width": 4})


def test_choices_of_another_space_are_an_error(tiny_space: SearchSpace, toy_task: Task) -> None:
    with pytest.raises(InvalidConfigError, match="'width' is missing"):
        tiny_space.network({"depth": 3}, toy_task, seed=0)


def test_options_reach_build_and_keep_the_architecture(toy_task: Task) -> None:
    def build(trial: Trial, task: Task, *, scale: int = 1) -> nn.Module:
        width = trial.suggest_int("width", 1, 4) * scale
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 3))

    space = SearchSpace(name="scaled", build=build)
    larger = space.with_options({"scale": 10})
    architecture = space.sample(0, toy_task)
    assert larger.sample(0, toy_task) == architecture
    small, large = (s.network(architecture.choices, toy_task, seed=0) for s in (space, larger))
    assert large[1].out_features == 10 * small[1].out_features  # type: ignore[index]


def test_a_description_is_read_back_where_the_space_can(tiny_space: SearchSpace) -> None:
    with pytest.raises(InvalidConfigError, match=r"'tiny' must define parse\(description\)"):
        tiny_space.from_description("width=4")
    space = SearchSpace(
        name="mine", build=tiny_space.build, parse=lambda text: {"width": int(text)}
    )
    assert space.from_description("4") == space.architecture({"width": 4})
    with pytest.raises(InvalidConfigError, match="description 'wide', but its parse raised Value"):
        space.from_description("wide")


def sometimes(trial: Trial, task: Task) -> nn.Module:
    """Every second architecture cannot be built, and every fourth cannot be run."""
    kind = trial.suggest_int("kind", 0, 3)
    if kind < 2:
        raise RuntimeError("no such layer")
    n_features = int(np.prod(task.input_shape)) + (kind == 2)
    return nn.Sequential(
        nn.BatchNorm2d(task.n_channels), nn.Flatten(), nn.Linear(n_features, task.n_classes)
    )


def test_architectures_that_do_not_run_cost_a_draw_and_not_the_work(toy_task: Task) -> None:
    space = space_of(sometimes)
    kinds = {space_choice(space, seed, toy_task) for seed in range(8)}
    assert len(kinds) > 1  # some of the first draws fail
    for seed in range(8):
        network = space.sample_network(seed, toy_task)
        assert network.training
        assert network(torch.zeros(2, *toy_task.input_shape)).shape == (2, toy_task.n_classes)
    again = space.sample_network(7, toy_task)
    norm = next(module for module in again.modules() if isinstance(module, nn.BatchNorm2d))
    assert norm.num_batches_tracked == 0


def space_choice(space: SearchSpace, seed: int, task: Task) -> str:
    try:
        return str(space.sample(seed, task).choices["kind"])
    except InvalidSpaceError:
        return "not built"


def test_draws_that_cannot_be_built_are_left_out_of_a_sample(toy_task: Task) -> None:
    def build(trial: Trial, task: Task) -> nn.Module:
        width = trial.suggest_int("width", 1, 6)
        if width % 2:
            raise ValueError(f"{width} is odd")
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 3))

    found = SearchSpace(name="even", build=build).sample_distinct(3, 0, toy_task)
    assert {one.choices["width"] for one in found} == {2, 4, 6}


def test_a_space_of_which_nothing_can_be_built_has_no_sample(toy_task: Task) -> None:
    def build(trial: Trial, task: Task) -> nn.Module:
        raise ValueError("never")

    with pytest.raises(InvalidSpaceError, match="ValueError: never"):
        SearchSpace(name="no", build=build).sample_distinct(3, 0, toy_task)
