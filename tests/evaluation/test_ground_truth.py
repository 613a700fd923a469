import pytest
import torch
from contracts import EVALUATOR_CONTRACT, EvaluatorRule

from nasgtn.data import Splits
from nasgtn.evaluation import TrainedTruth, evaluate
from nasgtn.spaces import SearchSpace, count_parameters
from nasgtn.training import TrainingConfig, measure

CONFIG = TrainingConfig(epochs=4, batch_size=32, learning_rate=0.02)
CPU = torch.device("cpu")


@pytest.fixture
def trained_truth(tiny_space: SearchSpace, toy_splits: Splits) -> TrainedTruth:
    return TrainedTruth(tiny_space, toy_splits, CONFIG, device=CPU)


@pytest.mark.parametrize("holds", EVALUATOR_CONTRACT, ids=lambda rule: rule.__name__)
def test_training_keeps_the_contract(
    trained_truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits, holds: EvaluatorRule
) -> None:
    holds(trained_truth, tiny_space.sample(0, toy_splits.task))


def test_the_score_is_the_accuracy_on_the_test_part(
    trained_truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits
) -> None:
    architecture = tiny_space.sample(0, toy_splits.task)
    evaluation = evaluate(trained_truth, architecture, seed=5)
    assert evaluation.evaluator == "ground_truth"
    assert evaluation.failure is None
    trained = trained_truth.train(architecture, seed=5)
    assert evaluation.score == measure(trained.network, toy_splits.test).accuracy
    assert evaluation.metrics["test_accuracy"] == evaluation.score
    assert evaluation.metrics["validation_accuracy"] == trained.validation_accuracy
    assert evaluation.metrics["validation_loss"] == trained.validation_loss
    assert evaluation.metrics["n_epochs"] == trained.n_epochs
    network = tiny_space.network(architecture.choices, toy_splits.task, seed=0)
    assert evaluation.metrics["n_parameters"] == count_parameters(network)
    assert evaluation.curve == trained.curve


def test_another_seed_gives_other_weights(
    trained_truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits
) -> None:
    architecture = tiny_space.sample(0, toy_splits.task)
    first, again, other = (
        evaluate(trained_truth, architecture, seed=seed).metrics["test_loss"] for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_diverged_training_is_a_failure(tiny_space: SearchSpace, toy_splits: Splits) -> None:
    wild = TrainingConfig(epochs=4, batch_size=32, optimiser="sgd", learning_rate=1e30)
    truth = TrainedTruth(tiny_space, toy_splits, wild, device=CPU)
    evaluation = evaluate(truth, tiny_space.sample(0, toy_splits.task), seed=0)
    assert evaluation.score is None
    assert evaluation.failure is not None
    assert evaluation.failure.startswith("DivergedError")
