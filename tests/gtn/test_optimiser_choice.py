"""The anchors choose the learners' optimiser."""

from dataclasses import replace
from functools import partial
from itertools import combinations, count
from pathlib import Path

import pytest
from anchor_records import anchors_of

from nasgtn.anchors import draw_anchors
from nasgtn.data import Splits
from nasgtn.gtn import (
    CHOICES,
    Gtn,
    GtnConfig,
    InnerLoopConfig,
    choose_inner_loop,
    train_generator,
    warm_start,
)
from nasgtn.gtn.selection import Jury
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.records import Evaluation
from nasgtn.spaces import SearchSpace

SEED = 5


@pytest.fixture
def config(small_gtn: GtnConfig) -> GtnConfig:
    return replace(small_gtn, inner_loop=InnerLoopConfig(), image_size=0)


@pytest.fixture
def anchors(tiny_space: SearchSpace, toy_splits: Splits) -> list[Evaluation]:
    drawn = draw_anchors(tiny_space, toy_splits.task, 8, seed=0)
    return anchors_of(drawn, count(0.5, 0.01), seconds=1.0)


def choose(
    config: GtnConfig, space: SearchSpace, splits: Splits, anchors: list[Evaluation]
) -> InnerLoopConfig:
    return choose_inner_loop(
        config, space, splits.task, splits.train, splits.probe(64), anchors, seed=SEED
    )


def as_scored(
    by: InnerLoopConfig,
    config: GtnConfig,
    space: SearchSpace,
    splits: Splits,
    anchors: list[Evaluation],
) -> list[Evaluation]:
    """Give the anchors merits in the order in which training by this optimiser scores them."""
    curriculum = replace(config.curriculum, variant="real")
    synthesis = replace(config.synthesis, curriculum=curriculum, inner_loop=by)
    gtn = Gtn(splits.task, synthesis, seed=derive_seed(SEED, "images"))
    rng = torch_rng(derive_seed(SEED, "images"))
    warm_start(gtn, splits.train, config.warm_start, rng)
    won = dict.fromkeys((one.architecture_id for one in anchors), 0.0)
    for pair in combinations(anchors, 2):
        jury = Jury(
            space=space,
            probe=splits.probe(64),
            learned=(),
            held_out=[replace(one, score=float(place)) for place, one in enumerate(pair)],
            score=config.meta_training.rank_score,
            seed=derive_seed(SEED, "jury"),
        )
        second = jury.judge(gtn)
        won[pair[0].architecture_id] += 1 - second
        won[pair[1].architecture_id] += second
    return [replace(one, score=won[one.architecture_id]) for one in anchors]


def test_the_optimiser_whose_order_is_that_of_the_merits_is_chosen(
    config: GtnConfig, tiny_space: SearchSpace, toy_splits: Splits, anchors: list[Evaluation]
) -> None:
    for one in CHOICES:
        merited = as_scored(one, config, tiny_space, toy_splits, anchors)
        assert choose(config, tiny_space, toy_splits, merited) == one


def test_what_the_user_set_and_what_few_anchors_cannot_tell_stays(
    config: GtnConfig, tiny_space: SearchSpace, toy_splits: Splits, anchors: list[Evaluation]
) -> None:
    merited = as_scored(CHOICES[1], config, tiny_space, toy_splits, anchors)
    assert choose(config, tiny_space, toy_splits, merited[:7]) == CHOICES[0]
    for kept in (
        replace(config, choose_optimiser=False),
        replace(config, inner_loop=InnerLoopConfig(learning_rate=0.01)),
    ):
        assert choose(kept, tiny_space, toy_splits, merited) == kept.inner_loop


def test_a_trained_generator_says_which_optimiser_was_chosen(
    config: GtnConfig, tiny_space: SearchSpace, toy_splits: Splits, anchors: list[Evaluation]
) -> None:
    seen: list[str] = []

    def listen(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "optimiser":
            seen.append(note)

    trained = train_generator(
        tiny_space, toy_splits, config, seed=0, anchors=anchors, progress=listen
    )
    shares = [float(note.split("orders ")[1].split(" ")[0]) for note in seen]
    assert len(shares) == len(CHOICES)
    assert trained.config.inner_loop in CHOICES
    if shares[0] != shares[1]:
        assert trained.config.inner_loop == CHOICES[shares.index(max(shares))]
    assert trained.gtn.config.inner_loop == trained.config.inner_loop


def test_a_training_that_goes_on_does_not_choose_again(
    config: GtnConfig,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    anchors: list[Evaluation],
    tmp_path: Path,
) -> None:
    class StoppedError(Exception):
        pass

    seen: list[str] = []

    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        seen.append(stage)
        if (stage, done) == ("meta-training", 2) and seen.count(stage) == 2:
            raise StoppedError

    meta = replace(config.meta_training, n_meta_steps=3, save_every=1)
    config = replace(config, meta_training=meta)
    train = partial(
        train_generator,
        tiny_space,
        toy_splits,
        config,
        seed=0,
        anchors=anchors,
        folder=tmp_path,
        progress=stop,
    )
    with pytest.raises(StoppedError):
        train()
    n_chosen = seen.count("optimiser")
    trained = train()
    assert n_chosen == seen.count("optimiser") == len(CHOICES)
    whole = train_generator(tiny_space, toy_splits, config, seed=0, anchors=anchors)
    assert trained.config == whole.config
