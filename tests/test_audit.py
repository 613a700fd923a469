"""The audit knows noise from copies, counts what it says, and depends on its seed alone."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from nasgtn.audit import N_NETWORKS, audit, copying, features
from nasgtn.data import Part, Splits, pixels
from nasgtn.errors import ArtefactError
from nasgtn.findings import Audit
from nasgtn.gtn import (
    CurriculumConfig,
    GeneratorConfig,
    GtnConfig,
    InnerLoopConfig,
    Learner,
    MetaTrainingConfig,
    TrainedGenerator,
    WarmStartConfig,
    train_generator,
    unroll,
)
from nasgtn.randomness import derive_seed, seeded
from nasgtn.spaces import SearchSpace
from nasgtn.task import Task
from nasgtn.training import TrainingConfig

N_STEPS = 12
TRAINING = TrainingConfig(epochs=6, batch_size=32, learning_rate=0.02)


def generator(
    space: SearchSpace, splits: Splits, variant: str = "full", *, warm: int = 0, seed: int = 0
) -> TrainedGenerator:
    """A generator as it is before the first meta-step."""
    config = GtnConfig(
        generator=GeneratorConfig(n_latents=8, hidden=32, channels=(8, 8)),
        curriculum=CurriculumConfig(n_steps=N_STEPS, n_batches=0, batch_size=16, variant=variant),
        inner_loop=InnerLoopConfig(learning_rate=0.1),
        warm_start=WarmStartConfig(n_steps=warm),
        meta_training=MetaTrainingConfig(n_meta_steps=0),
    )
    return train_generator(space, splits, config, seed=seed)


@pytest.fixture(scope="module")
def real(tiny_space: SearchSpace, toy_splits: Splits) -> TrainedGenerator:
    return generator(tiny_space, toy_splits, "real")


@pytest.fixture(scope="module")
def copied(real: TrainedGenerator, tiny_space: SearchSpace, toy_splits: Splits) -> Audit:
    return audit(real, tiny_space, toy_splits, TRAINING, seed=0)


def test_a_generator_that_copies_training_data_is_caught(copied: Audit) -> None:
    assert copied.copying.exact_share == copied.copying.close_share == 1
    assert copied.copying.median == copied.copying.far_share == 0
    assert copied.warnings()[0].startswith("The generator copies training data: 100 %")
    assert copied.recognised > 0.9
    assert copied.synthetic.precision == 1
    for one in copied.classes:
        assert one.diversity == pytest.approx(1, abs=0.1)
        assert not one.is_badly_served


def test_an_untrained_generator_makes_noise(tiny_space: SearchSpace, toy_splits: Splits) -> None:
    noise = audit(generator(tiny_space, toy_splits), tiny_space, toy_splits, TRAINING, seed=0)
    assert any("noise" in text for text in noise.warnings())
    assert noise.copying.exact_share == noise.copying.close_share == 0
    assert noise.taught < noise.taught_by_real
    assert noise.synthetic.frechet > 2 * noise.validation.frechet


def test_the_seed_decides_everything(
    copied: Audit, real: TrainedGenerator, tiny_space: SearchSpace, toy_splits: Splits
) -> None:
    again, other = (audit(real, tiny_space, toy_splits, TRAINING, seed=seed) for seed in (0, 1))
    assert replace(again, seconds=0.0) == replace(copied, seconds=0.0)
    assert other.taught != copied.taught


def test_lessons_are_those_of_the_inner_loop(
    copied: Audit, real: TrainedGenerator, tiny_space: SearchSpace, toy_splits: Splits
) -> None:
    data, part = real.synthesise(), toy_splits.validation
    right = []
    for index in range(N_NETWORKS):
        network = tiny_space.sample_network(derive_seed(0, "audit", index), toy_splits.task)
        learner = Learner(network)
        taught = unroll(learner, learner.initial, data, real.config.inner_loop)
        logits = learner.logits(taught.parameters[N_STEPS], part.images)
        right.append(logits.argmax(dim=1) == part.labels)
    for label, one in enumerate(copied.classes):
        shares = [found[part.labels == label].double().mean().item() for found in right]
        assert one.taught == pytest.approx(np.mean(shares))
        assert one.n_validation == int((part.labels == label).sum())
        assert one.n_synthetic == int((data.labels.argmax(dim=2) == label).sum())
    assert copied.n_images == sum(one.n_synthetic for one in copied.classes) == 16 * N_STEPS


def test_classes_without_validation_images_have_no_shares(
    real: TrainedGenerator, tiny_space: SearchSpace, toy_splits: Splits
) -> None:
    keep = toy_splits.validation.labels != 1
    part = Part(toy_splits.validation.images[keep], toy_splits.validation.labels[keep])
    found = audit(real, tiny_space, replace(toy_splits, validation=part), TRAINING, seed=0)
    one = found.classes[1]
    assert (one.n_validation, one.judged, one.taught, one.loss_error) == (0, None, None, None)
    assert one.recognised is not None


def test_images_that_are_not_finite_are_refused(
    tiny_space: SearchSpace, toy_splits: Splits
) -> None:
    broken = generator(tiny_space, toy_splits)
    with torch.no_grad():
        broken.gtn.curriculum.rows.fill_(torch.nan)
    with pytest.raises(ArtefactError, match="finite"):
        audit(broken, tiny_space, toy_splits, TRAINING, seed=0)


def test_close_is_closer_than_almost_all_validation_images(toy_splits: Splits) -> None:
    """A quarter each: training images, with little noise, with about enough, with much."""
    train, rng = toy_splits.train, torch.Generator().manual_seed(0)
    noise = torch.randn(96, 1, 8, 8, generator=rng)
    size = torch.tensor([0.0, 0.05, 0.55, 9.0]).repeat(24).view(-1, 1, 1, 1)
    made = train.images + size * noise

    def distances(images: Tensor) -> Tensor:
        every = (images[:, None] - train.images[None]).square().mean(dim=(2, 3, 4)).sqrt()
        return every.min(dim=1).values

    usual, near = distances(toy_splits.validation.images), distances(made)
    found = copying(Part(made, train.labels), toy_splits)
    assert found.close == pytest.approx(usual.min().item(), rel=1e-5)
    assert found.validation_median == pytest.approx(usual.quantile(0.5).item(), rel=1e-5)
    assert found.exact_share == 0.25
    assert found.close_share == pytest.approx((near <= usual.min()).double().mean().item())
    assert found.far_share == pytest.approx((near > usual.max()).double().mean().item())
    assert 0.5 < found.close_share < 0.75
    assert 0.25 <= found.far_share < 0.5


def test_pairs_show_each_class_beside_its_nearest_training_image(toy_splits: Splits) -> None:
    train, task = toy_splits.train, toy_splits.task
    made = Part(train.images[:9] + 0.1, train.labels[:9])
    found = copying(made, toy_splits)
    assert sorted(pair.name for pair in found.pairs) == sorted(task.class_names)
    first = found.pairs[0]
    assert first.distance == pytest.approx(0.1, rel=1e-4)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(first.png))))
    assert shown.shape == (8, 17)
    sides = [
        np.concatenate([pixels(image, task)[..., 0] for image in both], axis=1)
        for both in zip(made.images, train.images[:9], strict=True)
    ]
    assert any((np.delete(shown, 8, axis=1) == side).all() for side in sides)


def test_features_are_what_the_last_linear_layer_reads() -> None:
    with seeded(0):
        body = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Tanh())
        network = nn.Sequential(body, nn.Linear(5, 3)).eval()
        images = torch.randn(7, 1, 8, 8)
        torch.testing.assert_close(features(network, images), body(images).detach())
        bare = nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten()).eval()
        torch.testing.assert_close(features(bare, images), bare(images).detach())
    assert not network[1]._forward_pre_hooks


def test_pixels_undo_the_normalisation() -> None:
    task = Task(
        name="colours",
        n_channels=3,
        height=2,
        width=5,
        class_names=("a", "b"),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.4),
    )
    values = np.random.default_rng(0).integers(0, 256, (4, 2, 5, 3), dtype=np.uint8)
    images = torch.from_numpy((values / 255 - task.mean) / task.std).float().movedim(-1, 1)
    np.testing.assert_array_equal(pixels(images, task).numpy(), values)
    assert pixels(images + 100, task).min() == 255
