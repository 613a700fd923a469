"""The transfer matrix: every entry is what its proxy and family give alone."""

from pathlib import Path
from statistics import fmean

import pytest
from scipy import stats

from nasgtn.comparison import ComparisonConfig, make_estimator
from nasgtn.data import Splits
from nasgtn.evaluation import Evaluator
from nasgtn.evaluation.proxy import ProxyConfig
from nasgtn.gtn import GtnConfig
from nasgtn.randomness import derive_seed
from nasgtn.records import read_records
from nasgtn.spaces import Architecture, SearchSpace, families_by, only
from nasgtn.transfer import NamedProxy, Transfer, measure_transfer, transfer_tables

CONFIG = ProxyConfig(metric="loss")


@pytest.fixture(scope="module")
def truth(tiny_space: SearchSpace, toy_splits: Splits) -> Evaluator:
    return make_estimator("flops", tiny_space, toy_splits, CONFIG, gtn=GtnConfig())


@pytest.fixture(scope="module")
def proxies(tiny_space: SearchSpace, toy_splits: Splits) -> list[Evaluator]:
    """Real steps: fewer of them in place of a generator that teaches less."""
    one, four = (
        make_estimator(name, tiny_space, toy_splits, CONFIG, gtn=GtnConfig())
        for name in ("real:1", "real:4")
    )
    return [NamedProxy("norm=batch", one), NamedProxy("whole space", one), four]


@pytest.fixture(scope="module")
def families(tiny_space: SearchSpace, toy_splits: Splits) -> dict[str, list[Architecture]]:
    return {
        str(family): only(tiny_space, family).sample_distinct(5, 0, toy_splits.task)
        for family in families_by(tiny_space, "norm", toy_splits.task)
    }


def test_entries_are_those_of_a_direct_computation(
    proxies: list[Evaluator], truth: Evaluator, families: dict[str, list[Architecture]]
) -> None:
    found = measure_transfer(proxies, truth, families, ComparisonConfig(seed=7))
    assert found.trained_on == ("norm=batch", "whole space", "real:4")
    assert found.tested_on == ("norm=batch", "norm=none")
    for proxy, estimates in zip(proxies, found.estimates, strict=True):
        seed = derive_seed(7, "comparison", proxy.name, 0)
        for architectures, estimate in zip(families.values(), estimates, strict=True):
            scores = [proxy.score(one, seed=seed) for one in architectures]
            truths = [truth.score(one, seed=0).score for one in architectures]
            accuracy = fmean(one.metrics["accuracy"] for one in scores)
            assert estimate.accuracy == pytest.approx(accuracy)
            expected = stats.spearmanr([one.score for one in scores], truths).statistic
            assert estimate.spearman == pytest.approx(expected)
            assert (estimate.estimator, estimate.n) == (proxy.name, 5)
            assert estimate.spearman_interval is not None


def test_kept_evaluations_are_not_done_again_and_progress_names_the_family(
    proxies: list[Evaluator],
    truth: Evaluator,
    families: dict[str, list[Architecture]],
    tmp_path: Path,
) -> None:
    config = ComparisonConfig(records=tmp_path / "records.jsonl")
    few = {name: found[:3] for name, found in families.items()}
    told: list[tuple[str, int, int]] = []

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        told.append((stage, done, total))

    first = measure_transfer(proxies[1:], truth, few, config, progress=tell)
    assert ("tested on norm=batch: whole space", 3, 3) in told
    assert ("tested on norm=none: real:4", 1, 3) in told
    kept = (tmp_path / "records.jsonl").read_text()
    assert len(kept.splitlines()) == 2 * 3 * 3
    assert measure_transfer(proxies[1:], truth, few, config) == first
    assert (tmp_path / "records.jsonl").read_text() == kept
    more = measure_transfer(proxies, truth, few, config)
    assert more.estimates[1:] == first.estimates
    records = read_records(tmp_path / "records.jsonl")
    assert len(records) == 2 * 3 * 4
    assert {record.evaluator for record in records[18:]} == {"norm=batch"}


def test_tables_have_a_row_a_generator_and_a_column_a_family(
    proxies: list[Evaluator], truth: Evaluator, families: dict[str, list[Architecture]]
) -> None:
    few = {"norm=batch": families["norm=batch"], "norm=none": families["norm=none"][:2]}
    found = measure_transfer(proxies, truth, few, ComparisonConfig())
    for table in transfer_tables(found).values():
        assert table[0] == ["trained on", "norm=batch", "norm=none"]
        assert [row[0] for row in table[1:]] == ["norm=batch", "whole space", "real:4"]
    accuracies, correlations = transfer_tables(found).values()
    one = found.estimates[2][0]
    assert one.spearman_interval is not None
    assert accuracies[3][1] == f"{one.accuracy:.3f}"
    low, high = one.spearman_interval
    assert correlations[3][1:] == [f"{one.spearman:.2f} [{low:.2f}, {high:.2f}] n=5", "- n=2"]


def test_an_evaluator_that_fails_everywhere_has_a_dash(
    truth: Evaluator, families: dict[str, list[Architecture]], tiny_space: SearchSpace
) -> None:
    class Broken:
        name = "broken"

        def score(self, *args: object, **options: object) -> None:
            raise ValueError("no")

    found: Transfer = measure_transfer(
        [Broken()],  # type: ignore[list-item]  # wrong on purpose
        truth,
        families,
        ComparisonConfig(),
    )
    accuracies, correlations = transfer_tables(found).values()
    assert accuracies[1] == ["broken", "- (5 failed)", "- (5 failed)"]
    assert correlations[1] == ["broken", "- n=0", "- n=0"]
