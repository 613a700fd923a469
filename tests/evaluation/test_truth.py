"""Accuracies of a table, charged as trainings; what a table itself does is in test_table.py."""

from pathlib import Path

import pytest
import torch
from contracts import EVALUATOR_CONTRACT, EvaluatorRule

from nasgtn.data import Splits
from nasgtn.errors import InvalidConfigError, InvalidDataError
from nasgtn.evaluation import ChargedTable, TrainedTruth, TruthConfig, evaluate, make_truth
from nasgtn.spaces import SearchSpace
from nasgtn.training import TrainingConfig

TRAINING = TrainingConfig(epochs=2)
CPU = torch.device("cpu")


def table_of(folder: Path, space: SearchSpace, splits: Splits, *, unit: float) -> str:
    """Write a table of 20 architectures, whose accuracies are 0.50, 0.51, ... times `unit`."""
    drawn = space.sample_distinct(20, 0, splits.task)
    rows = [f"{one.description},{unit * (50 + n) / 100}" for n, one in enumerate(drawn)]
    path = folder / "table.csv"
    path.write_text("\n".join(["name,accuracy", *rows]) + "\n")
    return f"{path}:accuracy"


@pytest.mark.parametrize("holds", EVALUATOR_CONTRACT, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("unit", [1, 100])
def test_accuracies_are_parts_of_one_whatever_the_table_has(
    tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path, unit: float, holds: EvaluatorRule
) -> None:
    table = table_of(tmp_path, tiny_space, toy_splits, unit=unit)
    config = TruthConfig(table=table, seconds=60)
    truth = make_truth(config, TRAINING, tiny_space, toy_splits, CPU)
    drawn = tiny_space.sample_distinct(20, 0, toy_splits.task)
    holds(truth, drawn[7])
    assert [evaluate(truth, one, seed=0).score for one in drawn] == pytest.approx(
        [0.5 + n / 100 for n in range(20)]
    )


def test_the_charge_is_what_the_record_says_that_it_took(
    tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    table = table_of(tmp_path, tiny_space, toy_splits, unit=1)
    config = TruthConfig(table=table, seconds=60, seconds_per_multiply_add=0.5)
    truth = make_truth(config, TRAINING, tiny_space, toy_splits, CPU)
    one = tiny_space.sample_distinct(20, 0, toy_splits.task)[3]
    width, pool = one.choices["width"], one.choices["pool"]
    assert isinstance(width, int)
    assert isinstance(pool, int)
    multiply_adds = 64 * 9 * width + 3 * width * pool**2
    assert evaluate(truth, one, seed=0).seconds == 60 + 0.5 * multiply_adds


def test_what_the_table_lacks_is_charged_the_time_of_looking(
    tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    config = TruthConfig(table=table_of(tmp_path, tiny_space, toy_splits, unit=1), seconds=60)
    truth = make_truth(config, TRAINING, tiny_space, toy_splits, CPU)
    known = {one.id for one in tiny_space.sample_distinct(20, 0, toy_splits.task)}
    (other,) = tiny_space.sample_distinct(1, 1, toy_splits.task, exclude=frozenset(known))
    record = evaluate(truth, other, seed=0)
    assert "must have a row of each architecture" in str(record.failure)
    assert record.seconds < 60


def test_without_a_table_networks_are_trained(tiny_space: SearchSpace, toy_splits: Splits) -> None:
    truth = make_truth(TruthConfig(), TRAINING, tiny_space, toy_splits, CPU)
    assert isinstance(truth, TrainedTruth)
    assert not isinstance(truth, ChargedTable)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"table": "a.csv:b"}, "truth.table needs truth.seconds or .* above 0"),
        ({"seconds": 1.0}, "charge what is looked up in truth.table, which is not set"),
        ({"table": "a.csv:b", "seconds": -1.0}, "truth.seconds must be at least 0, got -1.0"),
        ({"table": "a.csv:b", "seconds_per_multiply_add": float("nan")}, "at least 0, got nan"),
    ],
)
def test_a_table_without_a_charge_and_the_reverse_are_refused(
    values: dict[str, str | float], message: str
) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        TruthConfig(**values)  # type: ignore[arg-type]


def test_a_column_that_is_no_accuracy_is_refused(
    tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    config = TruthConfig(table=table_of(tmp_path, tiny_space, toy_splits, unit=1000), seconds=1)
    with pytest.raises(InvalidDataError, match=r"must hold accuracies.*got 500\.0 to 690\.0"):
        make_truth(config, TRAINING, tiny_space, toy_splits, CPU)
