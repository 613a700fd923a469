"""The proxy and real steps: the same numbers as a loop by hand, seeds, probes, early ends."""

from dataclasses import replace

import pytest
import torch
from contracts import EVALUATOR_CONTRACT, EvaluatorRule
from torch.nn import functional as F

from nasgtn.data import Splits
from nasgtn.errors import InvalidConfigError
from nasgtn.evaluation import evaluate
from nasgtn.evaluation.proxy import (
    METRICS,
    GtnProxy,
    ProxyConfig,
    RealBudget,
    RealSteps,
    real_batches,
)
from nasgtn.gtn import (
    CurriculumConfig,
    Gtn,
    InnerLoopConfig,
    Learner,
    SynthesisConfig,
    SyntheticData,
    soft_accuracy,
    unroll,
)
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.spaces import Architecture, Choices, SearchSpace

INNER = InnerLoopConfig(learning_rate=0.1)


@pytest.fixture(scope="module")
def synthetic(toy_splits: Splits) -> SyntheticData:
    config = SynthesisConfig(
        curriculum=CurriculumConfig(n_steps=4, n_batches=0, batch_size=12, variant="real"),
        inner_loop=INNER,
    )
    gtn = Gtn(toy_splits.task, config, seed=0)
    with torch.no_grad():
        gtn.curriculum.rows.copy_(toy_splits.train.images[:48].view_as(gtn.curriculum.rows))
        return gtn.synthesise(torch_rng(0))


@pytest.fixture(scope="module")
def architecture(tiny_space: SearchSpace, toy_splits: Splits) -> Architecture:
    choices: Choices = {"width": 8, "norm": "none", "activation": "relu", "pool": 4}
    return tiny_space.architecture(choices)


def proxy_of(
    space: SearchSpace, splits: Splits, synthetic: SyntheticData, config: ProxyConfig
) -> GtnProxy:
    return GtnProxy(space, splits.task, synthetic, splits.validation, config, INNER)


@pytest.mark.parametrize("rule", EVALUATOR_CONTRACT)
@pytest.mark.parametrize("kind", ["gtn", "real"])
def test_the_evaluator_contract_holds(
    kind: str,
    rule: EvaluatorRule,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    synthetic: SyntheticData,
    architecture: Architecture,
) -> None:
    evaluator = (
        proxy_of(tiny_space, toy_splits, synthetic, ProxyConfig())
        if kind == "gtn"
        else RealSteps(tiny_space, toy_splits, RealBudget(4, 12), ProxyConfig(), INNER)
    )
    rule(evaluator, architecture)


def test_the_score_is_that_of_a_loop_by_hand(
    tiny_space: SearchSpace,
    toy_splits: Splits,
    synthetic: SyntheticData,
    architecture: Architecture,
) -> None:
    config = ProxyConfig(n_probes=2)
    scores = proxy_of(tiny_space, toy_splits, synthetic, config).score(architecture, seed=9)

    network_seed = derive_seed(9, "network", 0)
    network = tiny_space.network(architecture.choices, toy_splits.task, seed=network_seed)
    learner, part = Learner(network), toy_splits.validation
    unrolled = unroll(learner, learner.initial, synthetic, INNER, keep={2})
    logits = [learner.logits(unrolled.parameters[step], part.images) for step in (2, 4)]
    accuracies = [(one.argmax(dim=1) == part.labels).float().mean().item() for one in logits]
    losses = [-F.cross_entropy(one, part.labels).item() for one in logits]
    soft = [soft_accuracy(one, part.labels).item() for one in logits]
    expected = {
        "soft_accuracy": soft[1],
        "accuracy": accuracies[1],
        "loss": losses[1],
        "soft_accuracy_area": sum(soft) / 2,
        "accuracy_area": sum(accuracies) / 2,
        "loss_area": sum(losses) / 2,
        "training_loss": -unrolled.losses.mean().item(),
        "late_training_loss": -unrolled.losses[-1].item(),
    }
    assert scores.metrics == pytest.approx(expected, rel=1e-5)
    assert [step for step, _ in scores.curve] == [2, 4]
    assert [score for _, score in scores.curve] == pytest.approx(soft)


@pytest.mark.parametrize("metric", METRICS)
def test_the_metric_decides_the_score(
    metric: str,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    synthetic: SyntheticData,
    architecture: Architecture,
) -> None:
    proxy = proxy_of(tiny_space, toy_splits, synthetic, ProxyConfig(metric=metric))
    scores = proxy.score(architecture, seed=0)
    assert scores.score == scores.metrics[metric]


def test_several_seeds_give_the_mean_of_single_ones(
    tiny_space: SearchSpace,
    toy_splits: Splits,
    synthetic: SyntheticData,
    architecture: Architecture,
) -> None:
    together = proxy_of(tiny_space, toy_splits, synthetic, ProxyConfig(n_seeds=3))
    mean = together.score(architecture, seed=9).metrics
    losses = []
    for index in range(3):
        seed = derive_seed(9, "network", index)
        network = tiny_space.network(architecture.choices, toy_splits.task, seed=seed)
        learner = Learner(network)
        end = unroll(learner, learner.initial, synthetic, INNER).parameters[4]
        logits = learner.logits(end, toy_splits.validation.images)
        losses.append(-F.cross_entropy(logits, toy_splits.validation.labels).item())
    assert mean["loss"] == pytest.approx(sum(losses) / 3, rel=1e-4)


def test_a_report_that_says_no_ends_the_evaluation(
    tiny_space: SearchSpace,
    toy_splits: Splits,
    synthetic: SyntheticData,
    architecture: Architecture,
) -> None:
    proxy = proxy_of(tiny_space, toy_splits, synthetic, ProxyConfig(n_probes=4))
    told: list[int] = []

    def report(step: int, score: float) -> bool:
        told.append(step)
        return step < 2

    scores = proxy.score(architecture, seed=0, report=report)
    assert told == [1, 2]
    assert [step for step, _ in scores.curve] == told


def test_training_on_the_synthetic_batches_is_better_than_chance(
    tiny_space: SearchSpace,
    toy_splits: Splits,
    synthetic: SyntheticData,
    architecture: Architecture,
) -> None:
    for evaluator in (
        proxy_of(tiny_space, toy_splits, synthetic, ProxyConfig()),
        RealSteps(tiny_space, toy_splits, RealBudget(4, 12), ProxyConfig(), INNER),
    ):
        assert evaluator.score(architecture, seed=0).score > 0.6


def test_real_steps_repeat_images_only_after_a_whole_pass(
    tiny_space: SearchSpace, toy_splits: Splits, architecture: Architecture
) -> None:
    """More images than there are: passes follow one another."""
    small = replace(toy_splits, train=toy_splits.train.first(10))
    real = RealSteps(tiny_space, small, RealBudget(3, 7, learning_rate=0.05), ProxyConfig(), INNER)
    evaluation = evaluate(real, architecture, seed=0)
    assert evaluation.failure is None
    assert evaluation.evaluator == "real:3@0.05"


def test_real_batches_that_come_in_turn_are_memorised(
    tiny_space: SearchSpace, toy_splits: Splits, architecture: Architecture
) -> None:
    losses = []
    for n_batches in (1, None):
        budget = RealBudget(12, 6, n_batches, learning_rate=0.2)
        real = RealSteps(tiny_space, toy_splits, budget, ProxyConfig(), INNER)
        losses.append(-real.score(architecture, seed=0).metrics["late_training_loss"])
        assert real.name == ("real:12/1@0.2" if n_batches else "real:12@0.2")
    assert losses[0] < losses[1]


def test_few_real_batches_hold_every_class(toy_splits: Splits) -> None:
    drawn = real_batches(toy_splits.train, 3, RealBudget(3, 4, n_batches=2), seed=0)
    images, labels = (one[:2] for one in drawn)
    assert all(torch.equal(one[2], one[0]) for one in drawn)
    assert labels.sum(dim=(0, 1)).tolist() == [3, 3, 2]
    for image, label in zip(images.flatten(0, 1), labels.flatten(0, 1), strict=True):
        (found,) = (toy_splits.train.images == image).flatten(1).all(dim=1).nonzero()
        assert toy_splits.train.labels[found] == label.argmax()
    assert images.flatten(0, 1).flatten(1).unique(dim=0).shape[0] == 8


def test_real_data_in_the_place_of_a_proxy_have_as_many_batches() -> None:
    def like(n_batches: int, n_classes: int, n_steps: int | None) -> str:
        curriculum = CurriculumConfig(n_steps=4, n_batches=n_batches, batch_size=8)
        return RealBudget.like(curriculum, n_classes, n_steps).name

    assert [like(n, 8, None) for n in (0, 1, 2)] == ["real:4", "real:4/1", "real:4/2"]
    assert [like(n, 20, None) for n in (0, 1, 2)] == ["real:4", "real:4/3", "real:4/3"]
    assert [like(n, 8, 2) for n in (0, 1, 2)] == ["real:2", "real:2/1", "real:2"]


def test_more_steps_than_batches_are_refused(
    tiny_space: SearchSpace, toy_splits: Splits, synthetic: SyntheticData
) -> None:
    with pytest.raises(InvalidConfigError, match="at most 4"):
        proxy_of(tiny_space, toy_splits, synthetic, ProxyConfig(n_steps=5))


@pytest.mark.parametrize(
    "settings", [{"metric": "acc"}, {"n_seeds": 0}, {"n_probes": 0}, {"n_steps": 0}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidConfigError, match=next(iter(settings))):
        ProxyConfig(**settings)  # type: ignore[arg-type]
