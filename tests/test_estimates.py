"""One estimator's numbers, from its evaluations and what is known of the architectures."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats

from nasgtn.estimates import Comparison, Estimate, Known, choose_top_k, estimate, gain, mean_scores
from nasgtn.records import Evaluation

RNG = np.random.default_rng(0)
TRUTH = RNG.random(20)
SCORES = TRUTH + 0.2 * RNG.standard_normal(20)
KNOWN = {
    str(i): Known(description=f"width={i}", truth=float(truth)) for i, truth in enumerate(TRUTH)
}


def evaluation(i: int, score: float | None, *, seed: int = 0) -> Evaluation:
    return Evaluation(
        evaluator="naswot",
        architecture_id=str(i),
        choices={},
        seed=seed,
        score=score,
        seconds=0.5 if score is None else 0.25,
        failure="ValueError: no score" if score is None else None,
    )


def whole() -> Estimate:
    records = [evaluation(i, float(score)) for i, score in enumerate(SCORES)]
    return estimate("naswot", records, KNOWN, seed=0)


def test_numbers_are_those_of_scipy() -> None:
    row = whole()
    assert row.agreement.spearman == pytest.approx(stats.spearmanr(SCORES, TRUTH).statistic)
    assert row.agreement.kendall == pytest.approx(stats.kendalltau(SCORES, TRUTH).statistic)
    assert row.points[3] == ("width=3", SCORES[3], TRUTH[3])


def test_only_what_both_could_score_counts() -> None:
    records = [evaluation(i, None if i == 2 else float(i)) for i in range(5)]
    row = estimate("naswot", [*records, evaluation(99, 1.0)], KNOWN, seed=0)
    assert [point.description for point in row.points] == [f"width={i}" for i in (0, 1, 3, 4)]
    assert (row.agreement.n, row.n_failed) == (4, 1)
    assert row.seconds_per_candidate == 0.25


def test_accuracy_is_the_mean_of_those_that_were_scored() -> None:
    scored = [
        dataclasses.replace(evaluation(i, -1.0), metrics={"accuracy": accuracy})
        for i, accuracy in enumerate((0.5, 0.75))
    ]
    failed = dataclasses.replace(evaluation(2, None), metrics={"accuracy": 0.1})
    row = estimate("gtn", [*scored, failed], KNOWN, seed=0)
    assert (row.accuracy, row.flat()["accuracy"]) == (0.625, 0.625)
    assert whole().accuracy is None


def test_several_evaluations_of_one_architecture_are_their_mean() -> None:
    records = [evaluation(0, 1.0), evaluation(0, 4.0, seed=1), evaluation(1, None)]
    assert mean_scores(records) == {"0": 2.5}


def test_rows_are_flat_json() -> None:
    row = whole()
    flat = json.loads(json.dumps(row.flat(), allow_nan=False))
    assert set(dataclasses.asdict(row.agreement)) < set(flat)
    assert (flat["estimator"], flat["spearman"]) == ("naswot", row.agreement.spearman)
    assert "points" not in flat
    comparison = Comparison(
        n_architectures=20,
        seed=0,
        truth="ground_truth",
        truth_seeds=1,
        n_truth_failed=0,
        truth_seconds_per_candidate=1.0,
        estimators=(row,),
    )
    told = json.loads(json.dumps(comparison.flat(), allow_nan=False))
    assert told["estimators"] == [flat]
    assert set(told) == {field.name for field in dataclasses.fields(comparison)}


@pytest.mark.parametrize(("n", "k"), [(0, 1), (3, 1), (10, 3), (15, 5), (40, 5)])
def test_top_k_is_at_most_a_third(n: int, k: int) -> None:
    assert choose_top_k(n) == k


def test_a_gain_is_judged_on_what_both_could_score() -> None:
    records = [evaluation(i, None if i == 2 else float(score)) for i, score in enumerate(SCORES)]
    others = [evaluation(i, float(-score)) for i, score in enumerate(SCORES[:12])]
    found = gain("fused", records, others, KNOWN, seed=0)
    both = [i for i in range(12) if i != 2]
    rho = stats.spearmanr(SCORES[both], TRUTH[both]).statistic
    assert (found.name, found.n) == ("fused", 11)
    assert (found.spearman, found.other) == pytest.approx((rho, -rho))
    assert found.difference == pytest.approx(2 * rho)
    assert gain("fused", [], others, KNOWN, seed=0).difference is None
