import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from scipy import stats

from nasgtn.comparison import ComparisonConfig, check_settings, compare, make_estimator
from nasgtn.data import Splits
from nasgtn.errors import ArtefactError, InvalidConfigError, InvalidDataError, UnknownNameError
from nasgtn.evaluation import Evaluator, Report, Scores
from nasgtn.evaluation.proxy import ProxyConfig
from nasgtn.gtn import GtnConfig
from nasgtn.records import read_records
from nasgtn.spaces import Architecture, SearchSpace

PROXY, GTN = ProxyConfig(), GtnConfig()


def estimators(names: Sequence[str], space: SearchSpace, splits: Splits) -> list[Evaluator]:
    return [make_estimator(name, space, splits, PROXY, gtn=GTN) for name in names]


@pytest.fixture(scope="module")
def architectures(tiny_space: SearchSpace, toy_splits: Splits) -> list[Architecture]:
    return tiny_space.sample_distinct(12, 0, toy_splits.task)


class Wide:
    """A truth that prefers wide networks, and cannot score those that use tanh."""

    name = "wide"

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        if architecture.choices["activation"] == "tanh":
            raise ValueError("no tanh")
        width = architecture.choices["width"]
        assert isinstance(width, int)
        return Scores(score=width + seed % 7)


def test_numbers_are_those_of_scipy_on_the_same_architectures(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    params, flops, naswot = estimators(("params", "flops", "naswot"), tiny_space, toy_splits)
    comparison = compare([params, naswot], flops, architectures, ComparisonConfig())
    assert comparison.n_architectures == comparison.estimators[0].n == len(architectures)
    truth = [flops.score(one, seed=0).score for one in architectures]
    scores = [params.score(one, seed=0).score for one in architectures]
    first, second = comparison.estimators
    assert (first.estimator, second.estimator) == ("params", "naswot")
    assert first.spearman == pytest.approx(stats.spearmanr(scores, truth).statistic)
    assert first.kendall == pytest.approx(stats.kendalltau(scores, truth).statistic)
    assert first.spearman_interval is not None
    assert first.spearman_interval[0] <= first.spearman_interval[1]
    assert first.seconds_per_candidate is not None
    assert first.seconds_per_candidate > 0


def test_architectures_without_a_truth_are_left_out_and_counted(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    n_tanh = sum(one.choices["activation"] == "tanh" for one in architectures)
    assert 0 < n_tanh < len(architectures)
    found = compare(
        estimators(["params"], tiny_space, toy_splits), Wide(), architectures, ComparisonConfig()
    )
    assert found.n_truth_failed == n_tanh
    assert found.estimators[0].n == len(architectures) - n_tanh
    assert found.estimators[0].n_failed == 0


def test_an_estimator_that_fails_everywhere_has_no_numbers(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    tanh = [one for one in architectures if one.choices["activation"] == "tanh"]
    truth = estimators(["params"], tiny_space, toy_splits)[0]
    row = compare([Wide()], truth, tanh, ComparisonConfig()).estimators[0]
    assert (row.n, row.n_failed) == (0, len(tanh))
    assert (row.spearman, row.kendall, row.seconds_per_candidate) == (None, None, None)


def test_a_truth_that_knows_none_of_the_architectures_is_an_error(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    tanh = [one for one in architectures if one.choices["activation"] == "tanh"]
    with pytest.raises(InvalidDataError, match=r"must score at least one .* ValueError: no tanh"):
        compare(estimators(["params"], tiny_space, toy_splits), Wide(), tanh, ComparisonConfig())


def test_true_accuracies_are_averaged_over_their_seeds(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    path = tmp_path / "records.jsonl"
    config = ComparisonConfig(truth_seeds=3, records=path)
    relu = [one for one in architectures if one.choices["activation"] == "relu"]
    found = compare(estimators(["params"], tiny_space, toy_splits), Wide(), relu, config)
    records = [record for record in read_records(path) if record.evaluator == "wide"]
    assert len({record.seed for record in records}) == 3
    means = [
        sum(record.score or 0 for record in records if record.architecture_id == one.id) / 3
        for one in relu
    ]
    params = make_estimator("params", tiny_space, toy_splits, PROXY, gtn=GTN)
    scores = [params.score(one, seed=0).score for one in relu]
    assert found.estimators[0].spearman == pytest.approx(stats.spearmanr(scores, means).statistic)


def test_kept_evaluations_are_not_done_again(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    config = ComparisonConfig(records=tmp_path / "records.jsonl")
    params, flops, naswot = estimators(("params", "flops", "naswot"), tiny_space, toy_splits)
    first = compare([params], flops, architectures[:8], config)
    assert compare([params], flops, architectures[:8], config) == first
    assert len(read_records(tmp_path / "records.jsonl")) == 16
    compare([params, naswot], flops, architectures, config)
    assert len(read_records(tmp_path / "records.jsonl")) == 3 * len(architectures)


def test_records_made_with_other_settings_are_refused(tmp_path: Path) -> None:
    records = tmp_path / "new" / "records.jsonl"
    check_settings(records, {"seed": 0})
    records.write_text("")
    check_settings(records, {"seed": 0})
    with pytest.raises(ArtefactError, match="same settings"):
        check_settings(records, {"seed": 1})
    assert json.loads((tmp_path / "new" / "records.jsonl.settings.json").read_text()) == {
        "seed": 0
    }


def test_real_steps_are_an_estimator_and_never_read_the_test_part(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    real = make_estimator("real:4", tiny_space, toy_splits, PROXY, gtn=GTN)
    assert real.name == "real:4"
    faster = make_estimator("real:4@0.5", tiny_space, toy_splits, PROXY, gtn=GTN)
    assert faster.name == "real:4@0.5"
    scores = [one.score(architectures[0], seed=0).metrics["loss"] for one in (real, faster)]
    assert scores[0] != scores[1]
    assert 0 <= real.score(architectures[0], seed=0).score <= 1


def test_preparation_is_told_apart(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    params, flops = estimators(("params", "flops"), tiny_space, toy_splits)
    found = compare(
        [params], flops, architectures[:3], ComparisonConfig(), preparation={"params": 12.5}
    )
    assert found.estimators[0].preparation_seconds == 12.5


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("synflw", UnknownNameError, "did you mean synflow"),
        ("gtn", InvalidConfigError, "needs a trained generator"),
        ("real:0", InvalidConfigError, "positive number of steps"),
        ("real:many", InvalidConfigError, "positive number of steps"),
        ("real:4@0", InvalidConfigError, "positive learning rate"),
        ("real:4@nan", InvalidConfigError, "positive learning rate"),
        ("real", UnknownNameError, "real:N"),
    ],
)
def test_unknown_estimators_are_refused(
    tiny_space: SearchSpace, toy_splits: Splits, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_estimator(name, tiny_space, toy_splits, PROXY, gtn=GTN)


def test_a_truth_needs_a_seed() -> None:
    with pytest.raises(InvalidConfigError, match="truth_seeds must be at least 1, got 0"):
        ComparisonConfig(truth_seeds=0)
