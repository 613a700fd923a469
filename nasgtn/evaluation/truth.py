"""Where a run takes true accuracies from: full training, or a table and a charge for each."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from nasgtn.data.splits import Splits
from nasgtn.errors import InvalidConfigError, InvalidDataError
from nasgtn.evaluation.evaluator import Report, Scores
from nasgtn.evaluation.ground_truth import TrainedTruth
from nasgtn.evaluation.table import TableTruth
from nasgtn.records import GROUND_TRUTH
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.spaces.cost import count_multiply_adds
from nasgtn.task import Task
from nasgtn.training import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class TruthConfig:
    """Where the accuracies of anchors and verified architectures come from."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    table: str | None = None
    """FILE.csv[.gz]:COLUMN, accuracies in [0, 1] or in percent. None: every one of these
    architectures is trained."""
    seconds: float = 0.0
    """What one of the table's trainings counts in every cost."""
    seconds_per_multiply_add: float = 0.0
    """The same, for each multiply-add that one image takes in the network (as the options of the
    space build it); both add up."""
    short_table: str | None = None
    """FILE.csv[.gz]:COLUMN, accuracies after a shorter training: where a shortlist is looked up.
    None: it is trained."""
    short_share: float = 0.0
    """Part of a full training's charge that such a shorter one counts, in (0, 1]."""

    def __post_init__(self) -> None:
        for name in ("seconds", "seconds_per_multiply_add"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InvalidConfigError(
                    f"truth.{name} must be at least 0, got {getattr(self, name)}"
                )
        is_charged = self.seconds > 0 or self.seconds_per_multiply_add > 0
        if self.table is not None and not is_charged:
            raise InvalidConfigError(
                "truth.table needs truth.seconds or truth.seconds_per_multiply_add above 0, as "
                "the table's trainings count in every cost, got 0 for both"
            )
        if self.table is None and is_charged:
            raise InvalidConfigError(
                "truth.seconds and truth.seconds_per_multiply_add charge what is looked up in "
                "truth.table, which is not set"
            )
        if self.short_table is not None and self.table is None:
            raise InvalidConfigError(
                "truth.short_table needs the full trainings of truth.table, which is not set"
            )
        if not 0 <= self.short_share <= 1 or bool(self.short_share) != bool(self.short_table):
            raise InvalidConfigError(
                "truth.short_share must be in (0, 1] with truth.short_table, and 0 without one, "
                f"got {self.short_share}"
            )

    @property
    def short(self) -> "TruthConfig | None":
        """Where the accuracies of a shortlist come from; None: not from a table."""
        if self.short_table is None:
            return None
        return replace(
            self,
            table=self.short_table,
            seconds=self.short_share * self.seconds,
            seconds_per_multiply_add=self.short_share * self.seconds_per_multiply_add,
            short_table=None,
            short_share=0.0,
        )


class ChargedTable:
    """Looks an accuracy up in a table, and charges for the training that it took.

    The table's one accuracy stands for validation and test alike. No network is trained, so there
    are no weights.

    Args:
        table: Its numbers are taken as percent where one of them is above 1.
        config: What a look-up is charged.
        space: Builds the networks whose multiply-adds are counted.
        task: What they are built for.

    Raises:
        InvalidDataError: The column holds something else than accuracies.
    """

    name = GROUND_TRUTH

    def __init__(
        self, table: TableTruth, config: TruthConfig, space: SearchSpace, task: Task
    ) -> None:
        known = [value for value in table.values if value is not None]
        low, high = min(known, default=0.0), max(known, default=0.0)
        if not (low >= 0 and high <= 100):
            raise InvalidDataError(
                f"{config.table} must hold accuracies, in [0, 1] or in percent, got {low} to "
                f"{high}"
            )
        self._table = table
        self._unit = 0.01 if high > 1 else 1.0
        self.best = self._unit * high
        """The highest accuracy of the table."""
        self._config = config
        self._space = space
        self._task = task

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        accuracy = self._unit * self._table.score(architecture, seed=seed).score
        return Scores(
            score=accuracy,
            metrics={"test_accuracy": accuracy, "validation_accuracy": accuracy},
            seconds=self._charge(architecture),
        )

    def _charge(self, architecture: Architecture) -> float:
        charge, rate = self._config.seconds, self._config.seconds_per_multiply_add
        if rate > 0:
            network = self._space.network(architecture.choices, self._task, seed=0)
            charge += rate * count_multiply_adds(network, self._task)
        return charge


Truth = TrainedTruth | ChargedTable
"""What tells true accuracies in [0, 1]."""


def make_truth(
    config: TruthConfig,
    training: TrainingConfig,
    space: SearchSpace,
    splits: Splits,
    device: torch.device,
) -> Truth:
    """Make what tells the accuracies of anchors and verified architectures.

    Raises:
        InvalidDataError, UnknownNameError: The table cannot be read, or has no such accuracies.
    """
    if config.table is None:
        return TrainedTruth(space, splits, training, device=device)
    return ChargedTable(TableTruth.read(config.table), config, space, splits.task)
