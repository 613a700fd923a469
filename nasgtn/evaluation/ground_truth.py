"""The ground truth: full training on real data."""

from pathlib import Path

import torch
from torch import nn

from nasgtn.data.splits import Splits
from nasgtn.evaluation.evaluator import Report, Scores
from nasgtn.randomness import derive_seed
from nasgtn.records import GROUND_TRUTH, Evaluation
from nasgtn.spaces import Architecture, Choices, SearchSpace
from nasgtn.spaces.cost import count_multiply_adds, count_parameters, measure_latency
from nasgtn.training import Trained, TrainingConfig, confusion, load_weights, measure, train


class TrainedTruth:
    """Trains a network on real data; its score is the accuracy on the test part."""

    name = GROUND_TRUTH

    def __init__(
        self,
        space: SearchSpace,
        splits: Splits,
        config: TrainingConfig,
        *,
        device: torch.device,
    ) -> None:
        self._space = space
        self._splits = splits.to(device)
        self._config = config

    def train(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Trained:
        """Train the network of `architecture`; `seed` decides weights and batches."""
        network = self._space.network(
            architecture.choices, self._splits.task, seed=derive_seed(seed, "weights")
        )
        return train(network, self._splits, self._config, seed=seed, report=report)

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        """Train, then measure the test part; `report` is told epoch and validation accuracy."""
        return self.judge(self.train(architecture, seed=seed, report=report))

    def restore(self, record: Evaluation, weights: Path) -> Trained:
        """Rebuild what a training left: its weights, and what its record tells.

        Raises:
            ArtefactError: The file of the weights is damaged.
        """
        return Trained(
            network=self._load(record.choices, weights),
            validation_accuracy=record.metrics["validation_accuracy"],
            validation_loss=record.metrics["validation_loss"],
            n_epochs=int(record.metrics["n_epochs"]),
            n_steps=int(record.metrics["n_steps"]),
            curve=record.curve,
        )

    def confusion(self, choices: Choices, weights: Path) -> list[tuple[int, int, int]]:
        """Count what a trained network takes the test images of each class for.

        Raises:
            ArtefactError: The file of the weights is damaged.
        """
        return confusion(self._load(choices, weights), self._splits.test)

    def latency(self, choices: Choices, weights: Path) -> float:
        """Measure the seconds that a trained network takes for one image, where it was trained.

        Raises:
            ArtefactError: The file of the weights is damaged.
        """
        return measure_latency(self._load(choices, weights), self._splits.task)

    def _load(self, choices: Choices, weights: Path) -> nn.Module:
        network = self._space.network(choices, self._splits.task, seed=0)
        load_weights(network, weights)
        return network.to(self._splits.test.images.device).eval()

    def multiply_adds_of(self, record: Evaluation) -> int:
        """Count the multiply-adds of a training, looks at validation and test images included.

        Args:
            record: Of `score`; it tells how many steps and looks there were.
        """
        splits, task = self._splits, self._splits.task
        network = self._space.network(record.choices, task, seed=0)
        n_steps, n_looks = int(record.metrics["n_steps"]), len(record.curve)
        n_trained = n_steps * min(self._config.batch_size, len(splits.train))
        n_looked_at = n_looks * len(splits.validation) + len(splits.test)
        there, both = (count_multiply_adds(network, task, and_back=b) for b in (False, True))
        return n_trained * both + n_looked_at * there

    def judge(self, trained: Trained) -> Scores:
        """Measure a trained network on the test part."""
        measured = measure(trained.network, self._splits.test)
        return Scores(
            score=measured.accuracy,
            metrics={
                "test_accuracy": measured.accuracy,
                "test_loss": measured.loss,
                **trained.metrics,
                "n_parameters": count_parameters(trained.network),
            },
            curve=trained.curve,
        )
