"""Lessons teach as torch would, are measured in full, and are tuned on validation images alone."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from nasgtn.data import Part, Splits
from nasgtn.evaluation.lessons import (
    Lesson,
    Lessons,
    Rates,
    best_rates,
    give_lessons,
    real_lesson,
    teach_network,
)
from nasgtn.gtn import InnerLoopConfig
from nasgtn.spaces import SearchSpace, only
from nasgtn.spaces.families import Family

SGD = InnerLoopConfig(optimiser="sgd", relative=False, momentum=0.5)
BATCHES = 6, 16


@pytest.fixture(scope="module")
def plain(tiny_space: SearchSpace) -> SearchSpace:
    """Networks without normalisation, which torch trains as the inner loop does."""
    return only(tiny_space, Family.parse("norm=none"))


def lesson(splits: Splits, rates: Rates, seed: int) -> Lesson:
    return real_lesson(splits, BATCHES, rates, SGD, seed=seed)


def test_a_lesson_teaches_what_torch_would(plain: SearchSpace, toy_splits: Splits) -> None:
    rates = Rates(0.3, falls=True)
    given = lesson(toy_splits, rates, 5)
    network = plain.sample_network(5, toy_splits.task)
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0, momentum=0.5)
    # torch keeps its velocity without the rate, as the inner loop does
    for images, labels, rate in zip(
        given.data.images, given.data.labels, rates.of(6), strict=True
    ):
        optimiser.param_groups[0]["lr"] = float(rate)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()
    taught = teach_network(plain, toy_splits.task, given, seed=5)
    expected = network(toy_splits.test.images)
    logits = taught.learner.logits(taught.parameters, toy_splits.test.images)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    accuracy = (expected.argmax(1) == toy_splits.test.labels).float().mean().item()
    assert taught.measure(toy_splits.test).accuracy == pytest.approx(accuracy)


def test_every_network_is_measured_on_every_part(plain: SearchSpace, toy_splits: Splits) -> None:
    parts = {"validation": toy_splits.validation, "test": toy_splits.test}
    found = give_lessons(
        plain,
        toy_splits.task,
        lambda seed: lesson(toy_splits, Rates(0.3, falls=False), seed),
        parts,
        seeds=(1, 2, 3),
    )
    alone = teach_network(
        plain, toy_splits.task, lesson(toy_splits, Rates(0.3, falls=False), 2), seed=2
    )
    assert found.accuracies["test"][1] == alone.measure(toy_splits.test).accuracy
    assert [len(values) for values in found.accuracies.values()] == [3, 3]
    assert found.seconds > 0


def test_the_interval_is_that_of_a_mean() -> None:
    flat = Lessons(accuracies={"test": [0.5, 0.7]}, seconds=1.0).flat()
    assert flat["test_accuracy"] == pytest.approx(0.6)
    assert flat["test_low"] == pytest.approx(0.6 - 1.96 * 0.1)  # 0.1414 / sqrt(2)
    assert flat["test_high"] == pytest.approx(0.6 + 1.96 * 0.1)


def test_rates_are_chosen_by_validation_images_alone(
    plain: SearchSpace, toy_splits: Splits
) -> None:
    choices = [Rates(1e-6, falls=False), Rates(0.3, falls=True), Rates(1e4, falls=False)]
    noise = Part(torch.randn_like(toy_splits.test.images), toy_splits.test.labels.flip(0))
    for splits in (toy_splits, replace(toy_splits, test=noise)):
        found = best_rates(
            plain,
            splits,
            partial(lesson, splits),
            choices,
            seeds=(0, 1),
        )
        assert found == choices[1]
