"""The transfer matrix: every entry is what its proxy and family give alone."""

import json
from pathlib import Path
from statistics import fmean

import pytest
from scipy import stats

from nasgtn.comparison import ComparisonConfig
from nasgtn.data import Splits
from nasgtn.estimators import RATES, TUNED_OPTIMISERS, Estimator, make_estimator
from nasgtn.evaluation import Evaluator, Named
from nasgtn.evaluation.proxy import ProxyConfig
from nasgtn.gtn import GtnConfig
from nasgtn.randomness import derive_seed
from nasgtn.records import read_records
from nasgtn.spaces import Architecture, SearchSpace, families_by, only
from nasgtn.transfer import Transfer, measure_transfer, transfer_tables

CONFIG = ProxyConfig(metric="loss")


def estimator(name: str, space: SearchSpace, splits: Splits) -> Estimator:
    return make_estimator(name, space, splits, CONFIG, gtn=GtnConfig())


@pytest.fixture(scope="module")
def truth(tiny_space: SearchSpace, toy_splits: Splits) -> Evaluator:
    return estimator("flops", tiny_space, toy_splits).settings[None]


@pytest.fixture(scope="module")
def rows(tiny_space: SearchSpace, toy_splits: Splits) -> list[Estimator]:
    """Real steps: fewer of them in place of a generator that teaches less."""
    one = estimator("real:1@0.02", tiny_space, toy_splits).settings[None]
    return [
        Estimator.of(Named("norm=batch", one), preparation_seconds=2.5),
        Estimator.of(Named("whole space", one)),
        estimator("real:4", tiny_space, toy_splits),
    ]


@pytest.fixture(scope="module")
def families(tiny_space: SearchSpace, toy_splits: Splits) -> dict[str, list[Architecture]]:
    return {
        str(family): only(tiny_space, family).sample_distinct(5, 0, toy_splits.task)
        for family in families_by(tiny_space, "norm", toy_splits.task)
    }


def test_entries_are_those_of_a_direct_computation(
    rows: list[Estimator], truth: Evaluator, families: dict[str, list[Architecture]]
) -> None:
    found = measure_transfer(rows, truth, families, ComparisonConfig(seed=7))
    assert found.trained_on == ("norm=batch", "whole space", "real:4")
    assert found.tested_on == ("norm=batch", "norm=none")
    seed = derive_seed(7, "comparison", "paired")
    for row, estimates in zip(rows, found.estimates, strict=True):
        for architectures, estimate in zip(families.values(), estimates, strict=True):
            proxy = row.settings[estimate.setting]
            scores = [proxy.score(one, seed=seed) for one in architectures]
            truths = [truth.score(one, seed=0).score for one in architectures]
            accuracy = fmean(one.metrics["accuracy"] for one in scores)
            assert estimate.accuracy == pytest.approx(accuracy)
            expected = stats.spearmanr([one.score for one in scores], truths).statistic
            assert estimate.agreement.spearman == pytest.approx(expected)
            assert (estimate.name, estimate.agreement.n) == (row.name, 5)
            assert estimate.agreement.spearman_interval is not None
    assert [one.preparation_seconds for one in found.estimates[0]] == [2.5, 2.5]


def test_kept_evaluations_are_not_done_again_and_progress_names_the_family(
    rows: list[Estimator],
    truth: Evaluator,
    families: dict[str, list[Architecture]],
    tmp_path: Path,
) -> None:
    config = ComparisonConfig(records=tmp_path / "records.jsonl")
    few = {name: found[:3] for name, found in families.items()}
    told: list[tuple[str, int, int]] = []

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        told.append((stage, done, total))

    first = measure_transfer(rows[1:], truth, few, config, progress=tell)
    assert ("tested on norm=batch: whole space", 3, 3) in told
    assert ("tested on norm=none: real:4@0.02", 1, 3) in told
    kept = (tmp_path / "records.jsonl").read_text()
    n_kept = len(kept.splitlines())
    assert n_kept == 2 * 3 * (1 + 1 + len(TUNED_OPTIMISERS) * len(RATES))
    assert measure_transfer(rows[1:], truth, few, config) == first
    assert (tmp_path / "records.jsonl").read_text() == kept
    more = measure_transfer(rows, truth, few, config)
    assert more.estimates[1:] == first.estimates
    records = read_records(tmp_path / "records.jsonl")
    assert len(records) == n_kept + 2 * 3
    assert {record.evaluator for record in records[n_kept:]} == {"norm=batch"}


def test_the_same_initial_weights_are_used_in_every_row(
    rows: list[Estimator],
    truth: Evaluator,
    families: dict[str, list[Architecture]],
    tmp_path: Path,
) -> None:
    """Two rows of one proxy differ in nothing but their names."""
    config = ComparisonConfig(records=tmp_path / "records.jsonl")
    first, second = measure_transfer(rows[:2], truth, families, config).estimates
    assert [one.points for one in first] == [one.points for one in second]
    seeds = {
        is_truth: {
            record.seed
            for record in read_records(tmp_path / "records.jsonl")
            if (record.evaluator == truth.name) == is_truth
        }
        for is_truth in (True, False)
    }
    assert (len(seeds[True]), len(seeds[False])) == (1, 1)
    assert seeds[True] != seeds[False]


def test_it_goes_on_after_a_kill_that_tore_the_last_line(
    rows: list[Estimator],
    truth: Evaluator,
    families: dict[str, list[Architecture]],
    tmp_path: Path,
) -> None:
    path = tmp_path / "records.jsonl"
    config = ComparisonConfig(records=path)
    measure_transfer(rows[:2], truth, families, config)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:7], lines[7][:40]]))
    measure_transfer(rows[:2], truth, families, config)
    old, new = (
        [json.loads(line) for line in text] for text in (lines, path.read_text().splitlines())
    )
    assert [one["score"] for one in new] == [one["score"] for one in old]


def test_tables_have_a_row_a_generator_and_a_column_a_family(
    rows: list[Estimator], truth: Evaluator, families: dict[str, list[Architecture]]
) -> None:
    few = {"norm=batch": families["norm=batch"], "norm=none": families["norm=none"][:2]}
    found = measure_transfer(rows, truth, few, ComparisonConfig())
    for table in transfer_tables(found).values():
        assert table[0] == ["trained on", "norm=batch", "norm=none"]
        assert [row[0] for row in table[1:]] == ["norm=batch", "whole space", "real:4"]
    accuracies, correlations = transfer_tables(found).values()
    one = found.estimates[2][0]
    rho, interval = one.agreement.spearman, one.agreement.spearman_interval
    assert interval is not None
    assert accuracies[3][1] == f"{one.accuracy:.3f}"
    low, high = interval
    assert correlations[3][1:] == [f"{rho:.2f} [{low:.2f}, {high:.2f}] n=5", "- n=2"]


def test_an_evaluator_that_fails_everywhere_has_a_dash(
    truth: Evaluator, families: dict[str, list[Architecture]], tiny_space: SearchSpace
) -> None:
    class Broken:
        name = "broken"

        def score(self, *args: object, **options: object) -> None:
            raise ValueError("no")

    found: Transfer = measure_transfer(
        [Estimator.of(Broken())],  # type: ignore[arg-type]  # wrong on purpose
        truth,
        families,
        ComparisonConfig(),
    )
    accuracies, correlations = transfer_tables(found).values()
    assert accuracies[1] == ["broken", "- (5 failed)", "- (5 failed)"]
    assert correlations[1] == ["broken", "- n=0", "- n=0"]


def test_rungs_on_the_way_are_no_rows_of_the_matrix(
    tiny_space: SearchSpace,
    toy_splits: Splits,
    truth: Evaluator,
    families: dict[str, list[Architecture]],
) -> None:
    config = ProxyConfig(metric="loss", rungs=(1,))
    real = make_estimator("real:2@0.02", tiny_space, toy_splits, config, gtn=GtnConfig())
    found = measure_transfer([real], truth, families, ComparisonConfig(seed=7))
    assert [[one.name for one in row] for row in found.estimates] == [["real:2@0.02"] * 2]
