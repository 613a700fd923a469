"""The anchors choose how learners are trained and scored."""

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
    TrainingProtocol,
    choose_protocol,
    train_generator,
    warm_start,
)
from nasgtn.gtn.scores import SCORES
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
) -> TrainingProtocol:
    return choose_protocol(
        config, space, splits.task, splits.train, splits.probe(64), anchors, seed=SEED
    )


def as_scored(
    by: TrainingProtocol,
    config: GtnConfig,
    space: SearchSpace,
    splits: Splits,
    anchors: list[Evaluation],
) -> list[Evaluation]:
    """Give the anchors merits in the order in which training by this protocol scores them."""
    curriculum = replace(config.curriculum, variant="real")
    synthesis = replace(config.synthesis, curriculum=curriculum, inner_loop=by.inner_loop)
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
            score=by.score,
            seed=derive_seed(SEED, "jury"),
        )
        second = jury.judge(gtn)
        won[pair[0].architecture_id] += 1 - second
        won[pair[1].architecture_id] += second
    return [replace(one, score=won[one.architecture_id]) for one in anchors]


@pytest.mark.parametrize("best", CHOICES, ids=str)
def test_the_protocol_whose_order_is_that_of_the_merits_is_chosen(
    best: TrainingProtocol,
    config: GtnConfig,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    anchors: list[Evaluation],
) -> None:
    merited = as_scored(best, config, tiny_space, toy_splits, anchors)
    assert choose(config, tiny_space, toy_splits, merited) == best


def test_what_the_user_set_and_what_few_anchors_cannot_tell_stays(
    config: GtnConfig, tiny_space: SearchSpace, toy_splits: Splits, anchors: list[Evaluation]
) -> None:
    merited = as_scored(CHOICES[1], config, tiny_space, toy_splits, anchors)
    assert choose(config, tiny_space, toy_splits, merited[:7]) == CHOICES[0]
    for kept in (
        replace(config, choose_optimiser=False),
        replace(config, inner_loop=InnerLoopConfig(learning_rate=0.01)),
    ):
        given = TrainingProtocol(kept.inner_loop, kept.meta_training.rank_score)
        assert choose(kept, tiny_space, toy_splits, merited) == given


def test_a_score_that_the_user_set_is_kept_when_an_optimiser_is_chosen(
    config: GtnConfig, tiny_space: SearchSpace, toy_splits: Splits, anchors: list[Evaluation]
) -> None:
    meta = replace(config.meta_training, rank_score="late_training_loss")
    for best in (CHOICES[0]._replace(score=meta.rank_score), *CHOICES[2:]):
        merited = as_scored(best, config, tiny_space, toy_splits, anchors)
        chosen = choose(replace(config, meta_training=meta), tiny_space, toy_splits, merited)
        assert chosen == best


def test_the_loss_on_a_batch_counts_where_it_is_clearly_better_alone(
    config: GtnConfig,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    anchors: list[Evaluation],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    merited = as_scored(CHOICES[2], config, tiny_space, toy_splits, anchors)
    assert choose(config, tiny_space, toy_splits, merited) == CHOICES[2]
    monkeypatch.setattr("nasgtn.gtn.protocol.MARGIN", 1.0)
    assert choose(config, tiny_space, toy_splits, merited) in CHOICES[:2]


def test_a_trained_generator_says_which_protocol_was_chosen(
    config: GtnConfig, tiny_space: SearchSpace, toy_splits: Splits, anchors: list[Evaluation]
) -> None:
    seen: list[str] = []

    def listen(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "protocol":
            seen.append(note)

    for best in CHOICES:
        seen.clear()
        merited = as_scored(best, config, tiny_space, toy_splits, anchors)
        trained = train_generator(
            tiny_space, toy_splits, config, seed=0, anchors=merited, progress=listen
        )
        assert len(seen) == 3
        shares = {
            one: float(note.split(f"{one}: ")[1][:4])
            for one in CHOICES
            for note in seen
            if f"{one}: " in note
        }
        assert len(shares) == len(CHOICES)
        meta = trained.config.meta_training
        chosen = TrainingProtocol(trained.config.inner_loop, meta.rank_score)
        usual = max(CHOICES[:2], key=shares.__getitem__)
        other = max(CHOICES, key=shares.__getitem__)
        if abs(shares[other] - shares[usual] - 0.05) > 0.01:  # shares are rounded
            assert (
                shares[chosen] == shares[other if shares[other] > shares[usual] + 0.05 else usual]
            )
        assert trained.gtn.config.inner_loop == chosen.inner_loop


@pytest.mark.parametrize("score", SCORES)
def test_a_training_that_goes_on_does_not_choose_again(
    score: str,
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

    anchors = [replace(one, score=-(one.score or 0.0)) for one in anchors]
    meta = replace(config.meta_training, n_meta_steps=3, save_every=1, rank_score=score)
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
    n_chosen = seen.count("protocol")
    trained = train()
    assert n_chosen == seen.count("protocol") == 3
    whole = train_generator(tiny_space, toy_splits, config, seed=0, anchors=anchors)
    assert trained.config == whole.config
