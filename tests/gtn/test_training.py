"""Whom a generator is trained on: no learner is ever of a family that is held out."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from anchor_records import anchors_of
from torch import nn

from nasgtn.data import Splits
from nasgtn.errors import InvalidConfigError, NasgtnError
from nasgtn.gtn import GtnConfig, MetaTrainingConfig, load_generator, train_generator
from nasgtn.spaces import FixedTrial, SearchSpace, Trial
from nasgtn.task import Task


def holding_out(config: GtnConfig, *families: str) -> GtnConfig:
    return replace(config, meta_training=replace(config.meta_training, hold_out=families))


def test_no_learner_is_of_a_held_out_family(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig, tmp_path: Path
) -> None:
    built: list[nn.Module] = []

    def build(trial: Trial, task: Task) -> nn.Module:
        network = tiny_space.build(trial, task)
        if isinstance(trial, FixedTrial):  # drawn already: this one is to be trained
            built.append(network)
        return network

    def kinds() -> set[tuple[bool, bool]]:
        layers = [list(network.children()) for network in built]
        return {
            (
                any(isinstance(layer, nn.BatchNorm2d) for layer in found),
                any(isinstance(layer, nn.Tanh) for layer in found),
            )
            for found in layers
        }

    watched = replace(tiny_space, build=build)
    config = replace(
        small_gtn, meta_training=replace(small_gtn.meta_training, n_meta_steps=8, learners=2)
    )
    train_generator(watched, toy_splits, config, seed=3)
    assert len(kinds()) == 4
    built.clear()
    config = holding_out(config, "norm=batch", "norm=none,activation=tanh")
    trained = train_generator(watched, toy_splits, config, seed=3, folder=tmp_path)
    assert len(built) >= 16
    assert kinds() == {(False, False)}
    assert trained.config.meta_training.hold_out == ("norm=batch", "norm=none,activation=tanh")
    assert load_generator(tmp_path).config == trained.config


def test_anchors_of_a_held_out_family_are_left_out(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    anchors = anchors_of(tiny_space.sample_distinct(12, 0, toy_splits.task), count(0.0))
    rest = [anchor for anchor in anchors if anchor.choices["norm"] == "none"]
    assert 0 < len(rest) < len(anchors)
    config = holding_out(small_gtn, "norm=batch")
    found, expected, without = (
        train_generator(tiny_space, toy_splits, config, seed=3, anchors=given).gtn.state_dict()
        for given in (anchors, rest, ())
    )
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert not all(torch.equal(found[name], value) for name, value in without.items())


def build_pooling(trial: Trial, task: Task) -> nn.Module:
    """Halve the images so often that the small ones of a generator vanish."""
    pools = [nn.MaxPool2d(2) for _ in range(trial.suggest_int("depth", 1, 3))]
    head = nn.Linear(task.n_channels, task.n_classes)
    return nn.Sequential(*pools, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def test_anchors_that_cannot_run_on_the_generators_images_are_left_out(
    toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    space = SearchSpace(name="pooling", build=build_pooling)
    anchors = anchors_of(space.sample_distinct(3, 0, toy_splits.task), count(0.0), seconds=1.0)
    config = replace(small_gtn, image_size=4)
    trained = train_generator(space, toy_splits, config, seed=3, anchors=anchors)
    left = [one.architecture_id for one in anchors if one.choices["depth"] != 3]
    assert list(trained.anchors) == left
    assert len(left) == 2
    assert trained.anchor_seconds == 3


def test_nothing_held_out_trains_as_before(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    """A family that no draw of this training meets changes nothing but the record."""
    one = replace(small_gtn, meta_training=replace(small_gtn.meta_training, n_meta_steps=1))
    plain = train_generator(tiny_space, toy_splits, one, seed=3).gtn.state_dict()
    same = [
        all(torch.equal(plain[name], value) for name, value in other.items())
        for norm in ("batch", "none")
        for other in [
            train_generator(
                tiny_space, toy_splits, holding_out(one, f"norm={norm}"), seed=3
            ).gtn.state_dict()
        ]
    ]
    assert sorted(same) == [False, True]


@pytest.mark.parametrize(
    ("families", "message"),
    [
        (("norm=batch", "norm=none"), "that are not held out"),
        (("nrm=batch",), "did you mean norm"),
    ],
)
def test_what_cannot_be_held_out_is_refused_before_any_work(
    families: tuple[str, ...],
    message: str,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    small_gtn: GtnConfig,
    tmp_path: Path,
) -> None:
    told: list[str] = []

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        told.append(stage)

    with pytest.raises(NasgtnError, match=message):
        train_generator(
            tiny_space,
            toy_splits,
            holding_out(small_gtn, *families),
            seed=3,
            folder=tmp_path,
            progress=tell,
        )
    assert not told
    assert not list(tmp_path.iterdir())


def test_a_family_is_checked_with_the_configuration() -> None:
    with pytest.raises(InvalidConfigError, match="CHOICE=VALUE"):
        MetaTrainingConfig(hold_out=("norm",))
