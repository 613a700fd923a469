"""Generator and curriculum: shapes, ranges, and what each variant learns and draws."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from nasgtn.errors import InvalidConfigError
from nasgtn.gtn import (
    VARIANTS,
    CurriculumConfig,
    Generator,
    GeneratorConfig,
    Gtn,
    GtnConfig,
    SynthesisConfig,
    in_turn,
)
from nasgtn.randomness import torch_rng
from nasgtn.task import Task


def make(task: Task, config: GtnConfig, **curriculum: object) -> Gtn:
    changed = replace(config.curriculum, **curriculum)  # type: ignore[arg-type]
    return Gtn(task, replace(config.synthesis, curriculum=changed), seed=0)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8), (28, 28), (32, 33)])
def test_images_have_the_shape_of_the_task(size: tuple[int, int]) -> None:
    task = Task(
        name="odd",
        n_channels=3,
        height=size[0],
        width=size[1],
        class_names=("a", "b"),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.4),
    )
    generator = Generator(task, GeneratorConfig(n_latents=4, hidden=8, channels=(4, 4)))
    images = generator(torch.randn(5, 4), torch.eye(2)[[0, 1, 0, 1, 0]])
    assert images.shape == (5, 3, *size)


def test_images_reach_a_quarter_beyond_black_and_white(toy_task: Task) -> None:
    generator = Generator(toy_task, GeneratorConfig(n_latents=4, hidden=8, channels=(4, 4)))
    last = generator.last
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        for bias, pixel in ((-50.0, -0.25), (0.0, 0.5), (50.0, 1.25)):
            last.bias.fill_(bias)
            image = generator(torch.zeros(1, 4), torch.eye(3)[:1])
            expected = (pixel - toy_task.mean[0]) / toy_task.std[0]
            torch.testing.assert_close(image, torch.full_like(image, expected))


def test_weight_norm_splits_length_from_direction(toy_task: Task) -> None:
    plain = Generator(toy_task, GeneratorConfig(n_latents=4, hidden=8, channels=(4, 4)))
    normed = Generator(
        toy_task, GeneratorConfig(n_latents=4, hidden=8, channels=(4, 4), weight_norm=True)
    )
    assert len(list(normed.parameters())) == len(list(plain.parameters())) + 4
    lengths = normed.get_parameter("hidden.parametrizations.weight.original0")
    assert isinstance(normed.hidden, nn.Linear)
    torch.testing.assert_close(lengths.flatten(), normed.hidden.weight.norm(dim=1))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_makes_batches_of_the_right_shape(
    variant: str, toy_task: Task, small_gtn: GtnConfig
) -> None:
    data = make(toy_task, small_gtn, variant=variant).synthesise(torch_rng(0))
    assert data.images.shape == (4, 12, *toy_task.input_shape)
    assert data.labels.shape == (4, 12, toy_task.n_classes)
    torch.testing.assert_close(data.labels.sum(dim=-1), torch.ones(4, 12))
    assert data.learning_rates.shape == data.momenta.shape == (4,)


@pytest.mark.parametrize(
    ("variant", "learned"),
    [
        ("full", {"generator", "rows"}),
        ("batches_shuffled", {"generator", "rows"}),
        ("all_shuffled", {"generator", "rows"}),
        ("none", {"generator"}),
        ("pixels", {"rows"}),
        ("real", set()),
    ],
)
def test_each_variant_learns_what_it_should(
    variant: str, learned: set[str], toy_task: Task, small_gtn: GtnConfig
) -> None:
    gtn = make(toy_task, small_gtn, variant=variant)
    data = gtn.synthesise(torch_rng(0))
    loss = data.images.square().mean() + data.learning_rates.sum() + data.momenta.sum()
    loss.backward()
    found = {
        name.split(".")[0] if name.startswith("generator") else name.split(".")[1]
        for name, parameter in gtn.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }
    assert found == learned | {"log_rates", "momentum_logits"}


def test_the_full_curriculum_is_the_same_each_time_and_the_others_are_not(
    toy_task: Task, small_gtn: GtnConfig
) -> None:
    images = {
        (variant, draw): make(toy_task, small_gtn, variant=variant)
        .synthesise(torch_rng(draw))
        .images.detach()
        for variant in VARIANTS
        for draw in (0, 1)
    }
    for variant in VARIANTS:
        same = torch.equal(images[variant, 0], images[variant, 1])
        assert same == (variant in ("full", "pixels", "real")), variant


def test_shuffling_batches_keeps_each_batch_together(toy_task: Task, small_gtn: GtnConfig) -> None:
    ordered = make(toy_task, small_gtn).synthesise(torch_rng(0)).images.detach()
    shuffled = make(toy_task, small_gtn, variant="batches_shuffled").synthesise(torch_rng(3))
    matches = [
        [torch.allclose(one, other, atol=1e-5) for other in ordered] for one in shuffled.images
    ]
    assert [sum(row) for row in matches] == [1] * 4
    assert [row.index(True) for row in matches] != [0, 1, 2, 3]


def test_labels_are_balanced_and_soft_labels_start_near_them(
    toy_task: Task, small_gtn: GtnConfig
) -> None:
    hard = make(toy_task, small_gtn).synthesise(torch_rng(0)).labels
    assert hard.sum(dim=(0, 1)).tolist() == [16.0, 16.0, 16.0]
    soft = make(toy_task, small_gtn, soft_labels=True).synthesise(torch_rng(0)).labels
    assert soft.requires_grad
    torch.testing.assert_close(soft.detach(), hard, atol=0.02, rtol=0)


def test_settings_start_where_the_inner_loop_says_and_can_stay_there(
    toy_task: Task, small_gtn: GtnConfig
) -> None:
    data = make(toy_task, small_gtn, learned_settings=False).synthesise(torch_rng(0))
    torch.testing.assert_close(data.learning_rates, torch.full((4,), 0.2))
    torch.testing.assert_close(data.momenta, torch.full((4,), 0.8))
    assert not data.learning_rates.requires_grad


def test_learning_rates_can_start_falling(toy_task: Task, small_gtn: GtnConfig) -> None:
    rates = make(toy_task, small_gtn, last_rate=0.25).curriculum.learning_rates
    torch.testing.assert_close(rates.detach(), torch.tensor([0.2, 0.15, 0.1, 0.05]))
    assert rates.requires_grad


def test_fewer_batches_than_steps_come_in_turn(toy_task: Task, small_gtn: GtnConfig) -> None:
    gtn = make(toy_task, small_gtn, n_steps=5, n_batches=2)
    data = gtn.synthesise(torch_rng(0))
    assert len(gtn.curriculum.rows) == 2
    for step, first in enumerate((0, 1, 0, 1, 0)):
        assert torch.equal(data.images[step], data.images[first])
        assert torch.equal(data.labels[step], data.labels[first])
    assert not torch.equal(data.images[0], data.images[1])
    data.images.sum(dim=(1, 2, 3, 4)).dot(torch.tensor([1.0, 0.0, 10.0, 0.0, 100.0])).backward()
    rows = gtn.curriculum.rows.grad
    assert rows is not None
    assert rows[0].count_nonzero() > 0
    assert rows[1].count_nonzero() == 0


def test_gradients_of_batches_that_come_in_turn_do_not_depend_on_the_threads() -> None:
    batches = torch.randn(1, 64, 256, generator=torch_rng(0)).requires_grad_()
    weights = torch.randn(16, 64, 256, generator=torch_rng(1))
    one, *others = (
        torch.autograd.grad((in_turn(batches, 16) * weights).sum(), batches)[0] for _ in range(20)
    )
    assert all(torch.equal(one, other) for other in others)


def test_checkpointed_synthesis_has_the_same_images_and_gradients(
    toy_task: Task, small_gtn: GtnConfig
) -> None:
    gradients = []
    for checkpointed in (False, True):
        gtn = make(toy_task, small_gtn)
        images = gtn.synthesise(torch_rng(0), checkpointed=checkpointed).images
        images.square().sum().backward()
        gradients.append([p.grad for p in gtn.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_same_seed_makes_the_same_gtn(toy_task: Task) -> None:
    one, other, third = (Gtn(toy_task, SynthesisConfig(), seed=seed) for seed in (0, 0, 1))
    for (name, a), (_, b) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(one.curriculum.rows, third.curriculum.rows)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (CurriculumConfig, {"variant": "fulll"}),
        (CurriculumConfig, {"n_steps": 0}),
        (CurriculumConfig, {"batch_size": 0}),
        (CurriculumConfig, {"n_batches": -1}),
        (CurriculumConfig, {"n_steps": 4, "n_batches": 5}),
        (CurriculumConfig, {"last_rate": 0.0}),
        (CurriculumConfig, {"last_rate": 1.5}),
        (GeneratorConfig, {"hidden": 0}),
        (GeneratorConfig, {"channels": (0, 4)}),
    ],
)
def test_settings_out_of_range_are_refused(
    kind: type[CurriculumConfig | GeneratorConfig], settings: dict[str, object]
) -> None:
    with pytest.raises(InvalidConfigError):
        kind(**settings)  # type: ignore[arg-type]


def test_there_are_as_many_batches_as_the_classes_need() -> None:
    one, two, each = (CurriculumConfig(n_batches=number, batch_size=8) for number in (1, 2, 0))
    assert [one.different_batches(n_classes) for n_classes in (8, 9, 100)] == [1, 2, 13]
    assert [two.different_batches(n_classes) for n_classes in (8, 9, 100)] == [2, 2, 13]
    assert each.different_batches(8) == each.n_steps == 16


@pytest.mark.parametrize("variant", ["all_shuffled", "batches_shuffled"])
def test_one_batch_cannot_be_shuffled(toy_task: Task, small_gtn: GtnConfig, variant: str) -> None:
    with pytest.raises(InvalidConfigError, match=f"{variant} needs several batches"):
        make(toy_task, small_gtn, variant=variant, n_batches=1)


def test_real_images_without_learned_settings_leave_nothing_to_learn() -> None:
    with pytest.raises(InvalidConfigError, match="or nothing is learned"):
        CurriculumConfig(variant="real", learned_settings=False)


def test_a_class_without_an_image_is_refused(toy_task: Task, small_gtn: GtnConfig) -> None:
    with pytest.raises(InvalidConfigError, match="each of 3 classes, got 1 batches of 2"):
        make(toy_task, small_gtn, n_steps=1, batch_size=2)
    assert len(make(toy_task, small_gtn, n_batches=1, batch_size=2).curriculum.rows) == 2
