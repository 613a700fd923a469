import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, recall_score
from torch import nn

from nasgtn.data import DataConfig, Part, Splits, load_splits
from nasgtn.errors import DivergedError, InvalidConfigError
from nasgtn.randomness import seeded
from nasgtn.task import Task
from nasgtn.training import (
    Trained,
    TrainingConfig,
    confusion,
    measure,
    one_cycle,
    train,
    train_to_the_end,
)

SHORT = TrainingConfig(epochs=6, batch_size=32, learning_rate=0.02)


def small_network(seed: int = 0, *, dropout: float = 0.0) -> nn.Module:
    with seeded(seed):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(128, 3),
        )


def weights(trained: Trained) -> Iterator[torch.Tensor]:
    yield from trained.network.state_dict().values()


def test_a_network_learns_the_toy_task(toy_splits: Splits) -> None:
    trained = train(small_network(), toy_splits, SHORT, seed=0)
    assert measure(trained.network, toy_splits.test).accuracy > 0.9
    assert trained.curve[0][1] < trained.curve[-1][1]
    assert [epoch for epoch, _ in trained.curve] == [1, 2, 3, 4, 5, 6]
    assert (trained.n_epochs, trained.n_steps) == (6, 18)
    assert not trained.network.training


def test_the_weights_that_come_back_are_the_best_on_validation(toy_splits: Splits) -> None:
    harsh = TrainingConfig(epochs=8, batch_size=32, learning_rate=0.3, patience=99)
    trained = train(small_network(), toy_splits, harsh, seed=1)
    measured = measure(trained.network, toy_splits.validation)
    assert measured.accuracy == trained.validation_accuracy
    assert measured.loss == trained.validation_loss
    assert trained.validation_accuracy == max(accuracy for _, accuracy in trained.curve)


def test_the_seed_decides_everything(toy_splits: Splits) -> None:
    first, again, other = (
        train(small_network(dropout=0.5), toy_splits, SHORT, seed=seed) for seed in (0, 0, 1)
    )
    assert first.curve == again.curve
    assert all(map(torch.equal, weights(first), weights(again)))
    assert not all(map(torch.equal, weights(first), weights(other)))


def test_the_global_generator_is_left_alone(toy_splits: Splits) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train(small_network(dropout=0.5), toy_splits, SHORT, seed=0)
    assert torch.equal(torch.rand(1), expected)


def test_the_test_part_is_never_read(toy_splits: Splits, toy_task: Task) -> None:
    nan = Part(torch.full((4, 1, 8, 8), math.nan), torch.zeros(4, dtype=torch.int64))
    blind = Splits(
        task=toy_task, train=toy_splits.train, validation=toy_splits.validation, test=nan
    )
    ours, theirs = (train(small_network(), s, SHORT, seed=0) for s in (blind, toy_splits))
    assert ours.curve == theirs.curve


def test_steps_are_capped_and_the_schedule_fits_in(toy_splits: Splits) -> None:
    capped = TrainingConfig(epochs=1000, max_steps=10, batch_size=32)
    trained = train(small_network(), toy_splits, capped, seed=0)
    assert trained.n_steps == 10
    assert [epoch for epoch, _ in trained.curve] == [1, 2, 3, 4]


def test_validation_is_measured_at_most_twenty_times(toy_splits: Splits) -> None:
    long = TrainingConfig(epochs=50, batch_size=96, patience=99)
    epochs = [epoch for epoch, _ in train(small_network(), toy_splits, long, seed=0).curve]
    assert len(epochs) == 20
    assert epochs[-1] == 50
    assert {after - before for before, after in pairwise(epochs)} == {2, 3}


def test_training_stops_when_validation_stands_still(toy_splits: Splits) -> None:
    frozen = TrainingConfig(epochs=20, batch_size=32, learning_rate=1e-30, patience=3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    trained = train(network, toy_splits, frozen, seed=0)
    assert trained.n_epochs == 4  # the first is the best, three more are no better


def test_a_report_can_stop_the_training(toy_splits: Splits) -> None:
    told = []

    def report(epoch: int, accuracy: float) -> bool:
        told.append((epoch, accuracy))
        return epoch < 2

    trained = train(small_network(), toy_splits, SHORT, seed=0, report=report)
    assert tuple(told) == trained.curve
    assert trained.n_epochs == 2


def test_batches_of_one_image_are_left_out(toy_splits: Splits) -> None:
    # 96 images in batches of 19 leave one over, which batch normalisation refuses
    uneven = TrainingConfig(epochs=1, batch_size=19)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3))
    assert train(network, toy_splits, uneven, seed=0).n_steps == 5


def test_sgd_smoothing_and_cutout_work(toy_splits: Splits) -> None:
    config = TrainingConfig(
        epochs=8,
        batch_size=32,
        optimiser="sgd",
        learning_rate=0.1,
        label_smoothing=0.1,
        cutout=2,
        crop=0,
    )
    assert train(small_network(), toy_splits, config, seed=0).validation_accuracy > 0.9


def test_a_diverged_training_says_so(toy_splits: Splits) -> None:
    wild = TrainingConfig(epochs=5, batch_size=32, optimiser="sgd", learning_rate=1e30)
    with pytest.raises(DivergedError, match="the training loss must stay finite, got"):
        train(small_network(), toy_splits, wild, seed=0)


def test_measures_agree_with_scikit_learn(toy_splits: Splits) -> None:
    network, part = small_network(), toy_splits.test
    network.train()
    measured = measure(network, part, batch_size=7)
    assert network.training
    with torch.no_grad():
        probabilities = network.eval()(part.images).double().softmax(1).numpy()
    labels, predicted = part.labels.numpy(), probabilities.argmax(1)
    assert measured.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert measured.loss == pytest.approx(log_loss(labels, probabilities), rel=1e-6)
    recall = recall_score(labels, predicted, average=None, zero_division=0)
    assert measured.class_accuracy == pytest.approx(tuple(recall))


def test_a_class_without_images_has_no_accuracy(toy_splits: Splits) -> None:
    part = toy_splits.test
    some = Part(part.images[part.labels > 0], part.labels[part.labels > 0])
    assert measure(small_network(), some).class_accuracy[0] is None


def test_schedule_equals_torchs_one_cycle() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=1.0, total_steps=101, pct_start=26 / 101, cycle_momentum=False
    )  # their climb is a cosine too, so compare where both come down: steps 25 to 100
    expected = []
    for _ in range(101):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if len(expected) < 101:
            theirs.step()
    ours = [one_cycle(step / 100) for step in range(101)]
    assert ours[25:] == pytest.approx(expected[25:], abs=1e-4)
    assert np.diff(ours[:26]) == pytest.approx(np.full(25, 0.96 / 25))


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"max_steps": 0},
        {"batch_size": 0},
        {"patience": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"weight_decay": -1.0},
        {"label_smoothing": 1.0},
        {"crop": -1},
        {"cutout": -1},
    ],
)
def test_config_checks_itself(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfigError, match=rf"training\.{next(iter(values))} must be"):
        TrainingConfig(**values)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_training_runs_where_the_splits_are(toy_splits: Splits) -> None:
    on_gpu = train(small_network(), toy_splits.to("cuda"), SHORT, seed=0)
    assert all(value.is_cuda for value in weights(on_gpu))
    on_cpu = train(small_network(), toy_splits, SHORT, seed=0)
    assert on_gpu.validation_accuracy == pytest.approx(on_cpu.validation_accuracy, abs=0.05)


@pytest.mark.slow
def test_the_defaults_bring_a_small_network_to_97_percent_of_digits() -> None:
    splits = load_splits(DataConfig(), seed=0)
    with seeded(0):
        network = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Flatten(),
            nn.Linear(256, 10),
        )
    trained = train(network, splits, TrainingConfig(), seed=0)
    assert measure(trained.network, splits.test).accuracy > 0.97


def test_a_whole_schedule_ends_with_its_last_weights_whatever_validation_says(
    toy_splits: Splits,
) -> None:
    network, again = small_network(dropout=0.5), small_network(dropout=0.5)
    impatient = replace(SHORT, patience=1)
    part, task = toy_splits.train.joined(toy_splits.validation), toy_splits.task
    n_steps = train_to_the_end(network, part, task, impatient, seed=0)
    assert n_steps == 6 * ((96 + 48) // 32)
    assert not network.training
    assert measure(network, toy_splits.test).accuracy > 0.9
    train_to_the_end(again, part, task, SHORT, seed=0)
    for name, value in again.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])


def test_a_whole_schedule_that_diverges_is_an_error(toy_splits: Splits) -> None:
    wild = replace(SHORT, optimiser="sgd", learning_rate=1e30)
    with pytest.raises(DivergedError, match="training loss"):
        train_to_the_end(small_network(), toy_splits.train, toy_splits.task, wild, seed=0)


def test_the_confusion_is_that_of_scikit_learn(toy_splits: Splits) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    part = toy_splits.test
    table = np.zeros((3, 3), dtype=int)
    for label, predicted, n in confusion(network, part, batch_size=7):
        table[label, predicted] = n
    expected = confusion_matrix(part.labels, network(part.images).argmax(1), labels=range(3))
    assert np.array_equal(table, expected)


def test_logits_that_are_not_finite_are_no_class(toy_splits: Splits) -> None:
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 3), torch.nan)

    found = confusion(Broken(), toy_splits.test)
    assert {predicted for _, predicted, _ in found} == {-1}
    assert sum(n for _, _, n in found) == len(toy_splits.test)
