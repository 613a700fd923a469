"""Multiply-adds of an evaluation: those of the whole of it, counted by running it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nasgtn.data import Splits
from nasgtn.evaluation import (
    ZERO_COST,
    Counted,
    Counting,
    Named,
    TableTruth,
    TrainedTruth,
    evaluate,
    mean_multiply_adds,
)
from nasgtn.evaluation.proxy import GtnProxy, ProxyConfig, RealBudget, RealSteps
from nasgtn.gtn import ADAM, MUON, CurriculumConfig, Gtn, InnerLoopConfig, SynthesisConfig
from nasgtn.randomness import torch_rng
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.spaces.cost import count_in
from nasgtn.training import TrainingConfig, measure

BATCH = 12
PROBING = {
    "one look": ProxyConfig(),
    "seeds and looks": ProxyConfig(n_seeds=3, n_probes=2, n_images=20),
    "rungs of fewer steps": ProxyConfig(n_steps=4, rungs=(1, 3)),
}


@pytest.fixture(scope="module")
def architecture(tiny_space: SearchSpace) -> Architecture:
    return tiny_space.architecture({"width": 8, "norm": "batch", "activation": "relu", "pool": 4})


def proxy_of(
    space: SearchSpace, splits: Splits, config: ProxyConfig, inner_loop: InnerLoopConfig
) -> GtnProxy:
    curriculum = CurriculumConfig(n_steps=5, n_batches=0, batch_size=BATCH)
    gtn = Gtn(splits.task, SynthesisConfig(curriculum=curriculum, inner_loop=inner_loop), seed=0)
    with torch.no_grad():
        synthetic = gtn.synthesise(torch_rng(0))
    return GtnProxy(space, splits.task, synthetic, splits.validation, config, inner_loop)


@pytest.mark.parametrize("inner_loop", [MUON, ADAM], ids=["muon", "adam"])
@pytest.mark.parametrize("config", PROBING.values(), ids=PROBING)
@pytest.mark.parametrize("kind", ["gtn", "real"])
def test_a_step_and_a_look_make_up_the_whole_evaluation(
    kind: str,
    config: ProxyConfig,
    inner_loop: InnerLoopConfig,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    architecture: Architecture,
) -> None:
    evaluator: GtnProxy | RealSteps = (
        proxy_of(tiny_space, toy_splits, config, inner_loop)
        if kind == "gtn"
        else RealSteps(tiny_space, toy_splits, RealBudget(6, BATCH, 2), config, inner_loop)
    )
    counted = evaluator.multiply_adds(architecture)
    assert counted == count_in(lambda: evaluator.score(architecture, seed=7)) > 0


def test_the_optimiser_is_part_of_the_cost(
    tiny_space: SearchSpace, toy_splits: Splits, architecture: Architecture
) -> None:
    muon, adam = (
        proxy_of(tiny_space, toy_splits, ProxyConfig(), one).multiply_adds(architecture)
        for one in (MUON, ADAM)
    )
    assert muon > adam  # which multiplies no matrices


@pytest.mark.parametrize("name", ZERO_COST)
def test_what_needs_no_training_costs_what_its_score_takes(
    name: str, tiny_space: SearchSpace, toy_splits: Splits, architecture: Architecture
) -> None:
    baseline = ZERO_COST[name](tiny_space, toy_splits.task, toy_splits.train)
    assert isinstance(baseline, Counted)
    counted = baseline.multiply_adds(architecture)
    assert counted == count_in(lambda: baseline.score(architecture, seed=3))
    assert (counted == 0) == (name == "params")


def test_counts_are_kept_as_scores_are_under_a_name_of_their_own(
    tiny_space: SearchSpace, toy_splits: Splits
) -> None:
    flops = ZERO_COST["flops"](tiny_space, toy_splits.task, toy_splits.train)
    counting = Counting.of(Named("outer", Named("inner", flops)))
    assert counting is not None
    architectures = [tiny_space.sample(seed, toy_splits.task) for seed in range(3)]
    records = [evaluate(counting, one, seed=0) for one in architectures]
    costs = [flops.multiply_adds(one) for one in architectures]
    assert [record.score for record in records] == costs
    assert {record.evaluator for record in records} == {"multiply-adds of outer"}
    ids = [one.id for one in architectures]
    assert mean_multiply_adds(records, ids) == {"outer": pytest.approx(sum(costs) / 3)}
    assert mean_multiply_adds(records, ids[:1]) == {"outer": costs[0]}
    failed = replace(records[0], score=None, failure="no memory")
    assert mean_multiply_adds([failed, *records[1:]], ids) == {}
    assert mean_multiply_adds([], []) == {}


def test_what_is_looked_up_has_no_count(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("name,accuracy\nwide,0.9\n")
    truth = TableTruth.read(f"{table}:accuracy")
    assert Counting.of(truth) is None
    assert Counting.of(Named("other", truth)) is None


def test_a_full_training_is_counted_by_its_steps_and_looks(
    tiny_space: SearchSpace, toy_splits: Splits, architecture: Architecture
) -> None:
    config = TrainingConfig(epochs=3, batch_size=32, patience=1, learning_rate=0.5)
    truth = TrainedTruth(tiny_space, toy_splits, config, device=torch.device("cpu"))
    told = truth.multiply_adds_of(evaluate(truth, architecture, seed=1))
    trained = truth.train(architecture, seed=1)
    by_hand = count_in(lambda: truth.train(architecture, seed=1))
    by_hand += count_in(lambda: measure(trained.network, toy_splits.test))
    assert told == by_hand
