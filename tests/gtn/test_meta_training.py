"""Warm start, meta-loss and meta-steps: what they learn, skip, remember."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
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
    meta_loss,
    train_generator,
    unroll,
    warm_start,
)
from nasgtn.randomness import torch_rng
from nasgtn.spaces import Choices, SearchSpace


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


def test_meta_loss_is_the_mean_over_probes(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    """One probe alone, with all real images at hand: the plain cross-entropy after training."""
    gtn = make(toy_splits, small_gtn)
    learner = learner_of(tiny_space, toy_splits)
    same = Part(toy_splits.train.images[:1], toy_splits.train.labels[:1])
    config = replace(small_gtn.meta_training, probe_every=4, n_images=3)
    loss, accuracy = meta_loss(gtn, learner, same, config, torch_rng(0))

    data = gtn.synthesise(torch_rng(0))
    end = unroll(learner, learner.initial, data, small_gtn.inner_loop).parameters[4]
    expected = F.cross_entropy(learner.logits(end, same.images), same.labels)
    torch.testing.assert_close(loss, expected)
    assert accuracy in (0.0, 1.0)


def test_checkpointed_meta_gradient_equals_the_plain_one(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    gradients = []
    for checkpointed in (False, True):
        gtn = make(toy_splits, small_gtn, soft_labels=True)
        config = replace(small_gtn.meta_training, checkpointed=checkpointed)
        learner = learner_of(tiny_space, toy_splits)
        loss, _ = meta_loss(gtn, learner, toy_splits.train, config, torch_rng(0))
        loss.backward()
        gradients.append({n: p.grad for n, p in gtn.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, one in gradients[0].items():
        torch.testing.assert_close(one, gradients[1][name], rtol=1e-3, atol=1e-6)


def test_meta_training_lowers_the_meta_loss(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig
) -> None:
    """Measured before and after, on the same learner that can tell the classes apart."""
    gtn = make(toy_splits, small_gtn)
    config = replace(small_gtn.meta_training, n_meta_steps=30, learning_rate=0.01)
    choices: Choices = {"width": 16, "norm": "batch", "activation": "relu", "pool": 4}
    learner = Learner(tiny_space.network(choices, toy_splits.task, seed=1))

    def measure() -> float:
        loss, _ = meta_loss(gtn, learner, toy_splits.train, config, torch_rng(0))
        return loss.item()

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


@pytest.mark.parametrize("stop_after", [1, 2, 5])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    stop_after: int,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    small_gtn: GtnConfig,
    tmp_path: Path,
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    expected = train_generator(tiny_space, toy_splits, small_gtn, seed=3, folder=whole)

    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "meta-training" and done == stop_after:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_generator(tiny_space, toy_splits, small_gtn, seed=3, folder=parts, progress=stop)
    found = train_generator(tiny_space, toy_splits, small_gtn, seed=3, folder=parts)
    for name, value in expected.gtn.state_dict().items():
        assert torch.equal(found.gtn.state_dict()[name], value), name
    assert log_of(parts) == log_of(whole)
    assert found.meta_steps == 6
    assert not (parts / META_CHECKPOINT).exists()


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
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InvalidConfigError, match=next(iter(settings))):
        MetaTrainingConfig(**settings)  # type: ignore[arg-type]


def test_a_warm_start_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="n_steps"):
        WarmStartConfig(n_steps=-1)
