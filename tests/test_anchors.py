import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nasgtn.anchors import AnchorConfig, ValidatedTruth, draw_anchors, evaluate_anchors
from nasgtn.artefacts import ANCHOR_WEIGHTS, ANCHORS, weights_name
from nasgtn.data import Part, Splits
from nasgtn.errors import InvalidConfigError
from nasgtn.evaluation import TrainedTruth
from nasgtn.evaluation.baselines import Parameters
from nasgtn.records import read_records
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.training import TrainingConfig, load_weights, measure

QUICK = TrainingConfig(epochs=2, batch_size=16)
SEED = 7


@pytest.fixture
def architectures(tiny_space: SearchSpace, toy_splits: Splits) -> list[Architecture]:
    return draw_anchors(tiny_space, toy_splits.task, 4, seed=0)


def truth_of(space: SearchSpace, splits: Splits) -> TrainedTruth:
    return TrainedTruth(space, splits, QUICK, device=torch.device("cpu"))


def test_anchors_are_distinct_and_none_is_excluded(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    exclude = frozenset(one.id for one in architectures)
    others = draw_anchors(tiny_space, toy_splits.task, 8, seed=0, exclude=exclude)
    assert len({one.id for one in others}) == 8
    assert exclude.isdisjoint(one.id for one in others)


def test_the_merit_is_validation_accuracy_and_test_images_are_never_read(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    poisoned = replace(
        toy_splits,
        test=Part(torch.full_like(toy_splits.test.images, math.nan), toy_splits.test.labels),
    )
    truth = ValidatedTruth(truth_of(tiny_space, poisoned), tmp_path / ANCHOR_WEIGHTS)
    records = evaluate_anchors(truth, architectures, tmp_path / ANCHORS, seed=SEED)
    for architecture, record in zip(architectures, records, strict=True):
        network = tiny_space.network(architecture.choices, toy_splits.task, seed=0)
        load_weights(network, tmp_path / ANCHOR_WEIGHTS / weights_name(architecture.id, SEED))
        found = measure(network, toy_splits.validation)
        assert record.score == record.metrics["validation_accuracy"] == found.accuracy
        assert record.metrics["validation_loss"] == pytest.approx(found.loss)


def test_what_is_there_is_not_trained_again(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    cheap = Parameters(tiny_space, toy_splits.task, toy_splits.train)
    first = evaluate_anchors(cheap, architectures[:2], tmp_path / ANCHORS, seed=SEED)
    with (tmp_path / ANCHORS).open("a") as file:
        file.write('{"evaluator": "torn')
    found = evaluate_anchors(cheap, architectures, tmp_path / ANCHORS, seed=SEED)
    assert found[:2] == first
    assert read_records(tmp_path / ANCHORS) == found
    assert [one.architecture_id for one in found] == [one.id for one in architectures]


def test_an_anchor_that_cannot_be_trained_is_recorded_and_left_out(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    poisoned = replace(
        toy_splits,
        train=Part(torch.full_like(toy_splits.train.images, math.nan), toy_splits.train.labels),
    )
    truth = ValidatedTruth(truth_of(tiny_space, poisoned))
    assert evaluate_anchors(truth, architectures[:2], tmp_path / ANCHORS, seed=SEED) == []
    assert all(one.failure for one in read_records(tmp_path / ANCHORS))


def test_a_restored_training_is_the_training_itself(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    truth = truth_of(tiny_space, toy_splits)
    (record,) = evaluate_anchors(
        ValidatedTruth(truth, tmp_path / ANCHOR_WEIGHTS), architectures[:1], None, seed=SEED
    )
    path = tmp_path / ANCHOR_WEIGHTS / weights_name(architectures[0].id, SEED)
    restored = truth.judge(truth.restore(record, path))
    assert restored == truth.score(architectures[0], seed=SEED)


def test_a_number_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match=r"anchors\.n must be at least 0"):
        AnchorConfig(n=-1)
