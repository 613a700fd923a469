"""Warm start, meta-loss and meta-steps: what they learn, skip, remember."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from anchor_records import anchors_of
from torch import nn
from torch.nn import functional as F

from nasgtn.artefacts import META_CHECKPOINT, META_TRAINING
from nasgtn.data import Part, Splits
from nasgtn.errors import DivergedError, InvalidConfigError
from nasgtn.gtn import (
    Gtn,
    GtnConfig,
    Learner,
    MetaTraining,
    MetaTrainingConfig,
    WarmStartConfig,
    soft_accuracy,
    teach,
    train_generator,
    unroll,
    warm_start,
)
from nasgtn.gtn.selection import Jury
from nasgtn.gtn.training import INDIFFERENCE
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.records import Evaluation
from nasgtn.spaces import Choices, SearchSpace, Trial
from nasgtn.spaces.choices import RecordingTrial
from nasgtn.task import Task


def make(splits: Splits, config: GtnConfig, **curriculum: object) -> Gtn:
    changed = replace(config.curriculum, **curriculum)  # type: ignore[arg-type]
    return Gtn(splits.task, replace(config.synthesis, curriculum=changed), seed=0)


def learner_of(space: SearchSpace, splits: Splits, seed: int = 0) -> Learner:
    architecture = space.sample(seed, splits.task)
    return Learner(space.network(architecture.choices, splits.task, seed=seed))


def test_warm_start_draws_real_images_of_the_right_class(
    toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    gtn = make(toy_splits, small_gtn)
    error = warm_start(
        gtn, toy_splits.train, replace(small_gtn.warm_start, n_steps=300), torch_rng(0)
    )
    assert error < 0.7 * toy_splits.train.images.var()
    data = gtn.synthesise(torch_rng(0))
    columns = data.images.mean(dim=(2, 3)).flatten(0, 1)[:, [1, 3, 6]]
    found = columns.argmax(dim=1) == data.labels.flatten(0, 1).argmax(dim=1)
    assert found.float().mean() > 0.9


def test_warm_started_pixels_are_real_images_without_repeats(
    toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    gtn = make(toy_splits, small_gtn, variant="pixels")
    warm_start(gtn, toy_splits.train, WarmStartConfig(), torch_rng(0))
    data = gtn.synthesise(torch_rng(0))
    slots = data.images.detach().flatten(0, 1).flatten(1)
    distances = torch.cdist(slots, toy_splits.train.images.flatten(1))
    nearest = distances.argmin(dim=1)
    assert distances.min(dim=1).values.max() < 1e-2
    assert nearest.unique().numel() == len(slots)
    labels = data.labels.flatten(0, 1).argmax(dim=1)
    assert torch.equal(toy_splits.train.labels[nearest], labels)


def test_a_class_with_fewer_images_than_slots_repeats_them(
    toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    gtn = make(toy_splits, small_gtn, variant="real")
    warm_start(gtn, toy_splits.train.first(6), WarmStartConfig(), torch_rng(0))
    assert gtn.curriculum.rows.flatten(0, 1).unique(dim=0).shape[0] == 6


def test_cross_entropy_is_the_mean_over_probes(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    """One probe alone, with all real images at hand: the plain cross-entropy after training."""
    gtn = make(toy_splits, small_gtn)
    learner = learner_of(tiny_space, toy_splits)
    same = Part(toy_splits.train.images[:1], toy_splits.train.labels[:1])
    config = replace(small_gtn.meta_training, probe_every=4, n_images=3)
    taught = teach(gtn, learner, same, config, torch_rng(0))

    data = gtn.synthesise(torch_rng(0))
    end = unroll(learner, learner.initial, data, small_gtn.inner_loop).parameters[4]
    expected = F.cross_entropy(learner.logits(end, same.images), same.labels)
    torch.testing.assert_close(taught.cross_entropy, expected)
    torch.testing.assert_close(
        taught.score, soft_accuracy(learner.logits(end, same.images), same.labels)
    )
    assert taught.accuracy in (0.0, 1.0)


def test_checkpointed_meta_gradient_equals_the_plain_one(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    gradients = []
    for checkpointed in (False, True):
        gtn = make(toy_splits, small_gtn, soft_labels=True)
        config = replace(small_gtn.meta_training, checkpointed=checkpointed)
        learner = learner_of(tiny_space, toy_splits)
        taught = teach(gtn, learner, toy_splits.train, config, torch_rng(0))
        (taught.cross_entropy + taught.score).backward()
        gradients.append({n: p.grad for n, p in gtn.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, one in gradients[0].items():
        rounding = 1e-4 * one.abs().max().item()  # in float64: see the tests of the inner loop
        torch.testing.assert_close(one, gradients[1][name], rtol=1e-3, atol=rounding)


def test_meta_training_lowers_the_meta_loss(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    """Measured before and after, on the same learner that can tell the classes apart."""
    gtn = make(toy_splits, small_gtn)
    config = replace(small_gtn.meta_training, n_meta_steps=30, learning_rate=0.01)
    choices: Choices = {"width": 16, "norm": "batch", "activation": "relu", "pool": 4}
    learner = Learner(tiny_space.network(choices, toy_splits.task, seed=1))

    def measure() -> float:
        return teach(gtn, learner, toy_splits.train, config, torch_rng(0)).cross_entropy.item()

    before = measure()
    training = MetaTraining(gtn, tiny_space, toy_splits.train, config, seed=0)
    for _ in range(config.n_meta_steps):
        training.meta_step()
    assert measure() < 0.7 * before


def poison(splits: Splits) -> Splits:
    return replace(
        splits, train=Part(torch.full_like(splits.train.images, torch.nan), splits.train.labels)
    )


def test_meta_steps_without_a_finite_loss_change_nothing_and_end_in_a_clear_error(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    gtn = make(toy_splits, small_gtn)
    before = {name: value.clone() for name, value in gtn.state_dict().items()}
    bad = poison(toy_splits).train
    training = MetaTraining(gtn, tiny_space, bad, small_gtn.meta_training, seed=0)
    first = training.meta_step()
    assert first.meta_loss is None
    assert first.gradient_norm is None
    for name, value in gtn.state_dict().items():
        assert torch.equal(value, before[name]), name
    training.meta_step()
    with pytest.raises(DivergedError, match="the last 3 meta-steps had none"):
        training.meta_step()


def test_the_clip_follows_the_running_norm(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    """Adam's first step has the size of its rate, whatever the clip: the state tells."""
    norms = []
    for clip in (1e-6, 1e6):
        training = MetaTraining(
            make(toy_splits, small_gtn),
            tiny_space,
            toy_splits.train,
            replace(small_gtn.meta_training, clip=clip),
            seed=0,
        )
        training.meta_step()
        state = training.state()
        norms.append(
            sum(v.square().sum() for n, v in state.items() if n.endswith("exp_avg")) ** 0.5
        )
    assert norms[0] < 1e-4 * norms[1]


def log_of(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / META_TRAINING).read_text().splitlines()]
    for row in rows:
        del row["seconds"]
    return rows


class StoppedError(Exception):
    pass


def wide_anchors(space: SearchSpace, splits: Splits, n: int) -> list[Evaluation]:
    """Architectures that are the better the wider they are."""
    drawn = space.sample_distinct(n, 0, splits.task)
    widths = (float(str(one.choices["width"])) + index / 100 for index, one in enumerate(drawn))
    return anchors_of(drawn, widths)


@pytest.mark.parametrize("n_anchors", [0, 8])
@pytest.mark.parametrize("stop_after", [1, 2, 5])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    stop_after: int,
    n_anchors: int,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    small_gtn: GtnConfig,
    tmp_path: Path,
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    anchors = wide_anchors(tiny_space, toy_splits, n_anchors)
    expected = train_generator(
        tiny_space, toy_splits, small_gtn, seed=3, anchors=anchors, folder=whole
    )

    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "meta-training" and done == stop_after:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_generator(
            tiny_space,
            toy_splits,
            small_gtn,
            seed=3,
            anchors=anchors,
            folder=parts,
            progress=stop,
        )
    found = train_generator(
        tiny_space, toy_splits, small_gtn, seed=3, anchors=anchors, folder=parts
    )
    for name, value in expected.gtn.state_dict().items():
        assert torch.equal(found.gtn.state_dict()[name], value), name
    assert log_of(parts) == log_of(whole)
    assert found.meta_steps == expected.meta_steps == (6 if not anchors else found.meta_steps)
    assert not (parts / META_CHECKPOINT).exists()


def test_anchors_take_their_share_of_the_meta_steps_in_turn(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    anchors = wide_anchors(tiny_space, toy_splits, 8)
    built: list[str] = []

    def build(trial: Trial, task: Task) -> nn.Module:
        recording = RecordingTrial(trial)
        network = tiny_space.build(recording, task)
        built.append(tiny_space.architecture(recording.choices).id)
        return network

    config = replace(small_gtn.meta_training, n_meta_steps=16, anchor_share=0.5)
    training = MetaTraining(
        make(toy_splits, small_gtn),
        replace(tiny_space, build=build),
        toy_splits.train,
        config,
        seed=0,
        anchors=anchors,
    )
    steps, learners = [], []
    for _ in range(16):
        built.clear()
        steps.append(training.meta_step())
        learners.append(built[-1])
    is_anchor = [step.rank_loss is not None for step in steps]
    assert is_anchor == [False, True] * 8
    of_anchors = [name for name, anchor in zip(learners, is_anchor, strict=True) if anchor]
    assert sorted(of_anchors) == sorted(anchor.architecture_id for anchor in anchors)


def test_the_state_that_the_held_out_anchors_choose_is_kept(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig, tmp_path: Path
) -> None:
    meta = replace(small_gtn.meta_training, n_meta_steps=12, save_every=2, patience=9)
    config = replace(small_gtn, meta_training=meta)
    anchors = wide_anchors(tiny_space, toy_splits, 12)
    trained = train_generator(
        tiny_space, toy_splits, config, seed=1, anchors=anchors, folder=tmp_path
    )
    orders = {row["meta_step"]: row["order"] for row in log_of(tmp_path) if row["order"]}
    assert set(orders) == {2, 4, 6, 8, 10, 12}
    jury = Jury(
        space=tiny_space,
        probe=toy_splits.probe(512),
        learned=anchors[3:],
        held_out=anchors[:3],
        score="soft_accuracy",
        seed=derive_seed(1, "jury"),
    )
    kept = jury.judge(trained.gtn)
    highest = max(kept, *orders.values())
    later = [order for step, order in orders.items() if step > trained.meta_steps]
    assert kept >= highest - INDIFFERENCE
    assert all(order < highest - INDIFFERENCE for order in later)
    if trained.meta_steps:  # else it is the warm start
        assert kept == orders[trained.meta_steps]


def test_meta_training_ends_when_the_held_out_anchors_see_no_progress(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig, tmp_path: Path
) -> None:
    meta = replace(
        small_gtn.meta_training, n_meta_steps=60, save_every=1, patience=3, learning_rate=0.3
    )
    anchors = wide_anchors(tiny_space, toy_splits, 12)
    config = replace(small_gtn, meta_training=meta)
    trained = train_generator(
        tiny_space, toy_splits, config, seed=1, anchors=anchors, folder=tmp_path
    )
    assert len(log_of(tmp_path)) == trained.meta_steps + 3 < 60


def test_the_jury_counts_pairs_with_a_held_out_anchor(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    gtn = make(toy_splits, small_gtn)
    anchors = wide_anchors(tiny_space, toy_splits, 6)
    anchors[1] = replace(anchors[1], score=anchors[0].score)
    jury = Jury(
        space=tiny_space,
        probe=toy_splits.probe(512),
        learned=anchors[2:],
        held_out=anchors[:2],
        score="soft_accuracy",
        seed=5,
    )
    data = gtn.synthesise(torch_rng(derive_seed(5, "synthesis")))
    scores = []
    for anchor in anchors:
        seed = derive_seed(5, "jury", anchor.architecture_id)
        learner = Learner(tiny_space.network(anchor.choices, toy_splits.task, seed=seed))
        end = unroll(learner, learner.initial, data, small_gtn.inner_loop).parameters[4]
        probe = toy_splits.probe(512)
        scores.append(float(soft_accuracy(learner.logits(end, probe.images), probe.labels)))
    right = [
        0.5 * (1 + np.sign(scores[i] - scores[j]) * np.sign(a - b))
        for i, j in combinations(range(6), 2)
        if i < 2
        and (a := anchors[i].score) is not None
        and (b := anchors[j].score) is not None
        and a != b
    ]
    assert len(right) == 8
    assert jury.judge(gtn) == pytest.approx(np.mean(right))


def test_no_meta_steps_leave_the_warm_start(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    none = replace(small_gtn, meta_training=replace(small_gtn.meta_training, n_meta_steps=0))
    trained = train_generator(tiny_space, toy_splits, none, seed=3)
    assert trained.meta_steps == 0
    assert trained.synthesise().images.isfinite().all()


@pytest.mark.parametrize(
    "settings",
    [
        {"n_meta_steps": -1},
        {"probe_every": 0},
        {"n_images": 0},
        {"learning_rate": 0.0},
        {"clip": float("nan")},
        {"max_skipped": 0},
        {"rank_weight": -1.0},
        {"rank_temperature": 0.0},
        {"anchor_share": 1.5},
        {"held_out_anchors": -0.1},
        {"patience": 0},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InvalidConfigError, match=next(iter(settings))):
        MetaTrainingConfig(**settings)  # type: ignore[arg-type]


def test_a_warm_start_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="n_steps"):
        WarmStartConfig(n_steps=-1)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_the_late_training_loss_can_be_what_orders_the_anchors(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig, checkpointed: bool
) -> None:
    gtn = make(toy_splits, small_gtn)
    learner = Learner(tiny_space.sample_network(0, toy_splits.task))
    config = MetaTrainingConfig(rank_score="late_training_loss", checkpointed=checkpointed)
    taught = teach(gtn, learner, toy_splits.train, config, torch_rng(0))
    data = gtn.synthesise(torch_rng(0))
    losses = unroll(learner, learner.initial, data, small_gtn.inner_loop).losses
    n_late = -(-len(losses) // 4)
    assert taught.score.item() == pytest.approx(-losses[-n_late:].mean().item(), rel=1e-4)
    (gradient,) = torch.autograd.grad(taught.score, gtn.curriculum.rows)
    assert gradient.abs().sum() > 0


def test_the_jury_listens_to_the_score_that_is_learned(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    gtn, anchors = make(toy_splits, small_gtn), wide_anchors(tiny_space, toy_splits, 4)
    data = gtn.synthesise(torch_rng(derive_seed(5, "synthesis")))
    scores = []
    for anchor in anchors:
        seed = derive_seed(5, "jury", anchor.architecture_id)
        learner = Learner(tiny_space.network(anchor.choices, toy_splits.task, seed=seed))
        losses = unroll(learner, learner.initial, data, small_gtn.inner_loop).losses
        scores.append(-losses[-1].item())
    order = sorted(range(4), key=scores.__getitem__)
    merits = {index: place / 10 for place, index in enumerate(order)}
    judged = [replace(one, score=merits[index]) for index, one in enumerate(anchors)]
    jury = Jury(
        space=tiny_space,
        probe=toy_splits.probe(64),
        learned=(),
        held_out=judged,
        score="late_training_loss",
        seed=5,
    )
    assert jury.judge(gtn) == 1.0
