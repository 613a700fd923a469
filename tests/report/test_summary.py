"""The numbers of a report: which architecture wins, what agreement, costs and failures say."""

import dataclasses
import json

import pytest
import scipy.stats
from run_data import make_run

from nasgtn.records import Evaluation
from nasgtn.report import RunData, summarise


def truth(data: RunData, index: int, **changes: object) -> RunData:
    """Change one record of the verification."""
    records = list(data.verification)
    records[index] = dataclasses.replace(records[index], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(data, verification=records)


def test_the_winner_is_chosen_by_validation_and_never_by_test() -> None:
    data = make_run()
    index = 3
    metrics = {**data.verification[index].metrics, "validation_accuracy": 1.5}
    data = truth(data, index, score=0.01, metrics=metrics)
    summary = summarise(data)
    assert summary.winner is not None
    assert summary.winner.architecture_id == data.verification[index].architecture_id
    assert summary.winner.test_accuracy == 0.01
    assert summary.verified[-1] == summary.winner


def test_a_control_does_not_win_while_a_candidate_was_trained() -> None:
    data = make_run()
    control = data.verification[-1]
    metrics = {**control.metrics, "validation_accuracy": 1.5}
    data = truth(data, -1, score=1.0, metrics=metrics)
    winner = summarise(data).winner
    assert winner is not None
    assert not winner.is_control
    alone = dataclasses.replace(data, verification=data.verification[-1:])
    winner = summarise(alone).winner
    assert winner is not None
    assert winner.is_control


def test_seeds_of_one_architecture_are_one_row_with_their_mean() -> None:
    data = make_run()
    first = data.verification[0]
    assert first.score is not None
    again = dataclasses.replace(first, seed=1, score=first.score - 0.1)
    failed = dataclasses.replace(first, seed=2, score=None, failure="diverged")
    summary = summarise(
        dataclasses.replace(data, verification=[*data.verification, again, failed])
    )
    row = next(v for v in summary.verified if v.architecture_id == first.architecture_id)
    assert len(summary.verified) == 10
    assert row.n_seeds == 2
    assert row.test_accuracy == pytest.approx(first.score - 0.05)
    assert summary.proxy is not None
    assert summary.proxy.agreement.n == 10


def test_every_estimator_is_compared_on_the_same_architectures() -> None:
    data = make_run(n_candidates=8, n_control=8)
    summary = summarise(data)
    assert [row.agreement.n for row in summary.estimators] == [16] * 9
    assert summary.estimators[0].name == "gtn"
    rhos = [row.agreement.spearman or 0 for row in summary.estimators[1:]]
    assert rhos == sorted(rhos, reverse=True)
    scores = {r.architecture_id: r.score for r in data.baselines if r.evaluator == "naswot"}
    expected = scipy.stats.spearmanr(
        [scores[r.architecture_id] for r in data.verification],
        [r.score for r in data.verification],
    ).statistic
    row = next(row for row in summary.estimators if row.name == "naswot")
    assert row.agreement.spearman == pytest.approx(expected)
    assert row.seconds_per_candidate == pytest.approx(0.02)


def test_costs_are_told_in_multiply_adds_too() -> None:
    data = make_run()
    summary = summarise(data)
    rows = {row.name: row.multiply_adds_per_candidate for row in summary.estimators}
    parts = ("flops", "jacob_cov", "synflow", "naswot")
    without = sum(data.multiply_adds[part] for part in parts)
    assert {name: rows[name] for name in data.multiply_adds if name in rows} == {
        name: cost for name, cost in data.multiply_adds.items() if name in rows
    }
    assert rows["fused without gtn"] == without
    assert rows["fused"] == without + data.multiply_adds["gtn"]
    assert summary.costs.full_multiply_adds == data.multiply_adds["ground_truth"]
    uncounted = {name: cost for name, cost in data.multiply_adds.items() if name != "naswot"}
    rows = {
        row.name: row.multiply_adds_per_candidate
        for row in summarise(dataclasses.replace(data, multiply_adds=uncounted)).estimators
    }
    assert (rows["naswot"], rows["fused"], rows["gtn"]) == (None, None, 1.5e9)


def test_the_proxy_is_judged_by_its_search_scores_where_baselines_were_not_run() -> None:
    data = make_run()
    with_rows = summarise(data).proxy
    without = summarise(dataclasses.replace(data, baselines=[])).proxy
    assert with_rows is not None
    assert without is not None
    assert without.agreement == with_rows.agreement


def test_failed_evaluations_are_left_out_and_counted() -> None:
    data = make_run()
    index = next(i for i, r in enumerate(data.baselines) if r.evaluator == "synflow")
    baselines = list(data.baselines)
    baselines[index] = dataclasses.replace(
        baselines[index], score=None, failure="ValueError: no gradient"
    )
    summary = summarise(dataclasses.replace(data, baselines=baselines))
    row = next(row for row in summary.estimators if row.name == "synflow")
    assert (row.n_failed, row.agreement.n) == (1, 9)
    failure = next(f for f in summary.failures if f.stage == "baselines (synflow)")
    assert (failure.message, failure.count) == ("ValueError: no gradient", 1)


def test_what_the_proxy_could_not_score_saves_no_training() -> None:
    data = make_run()
    scored = [one for one in data.proxy if one.score is not None]
    failed = [
        dataclasses.replace(one, score=None, failure="gated", metrics={"is_gated": 1.0})
        for one in scored[:4]
    ]
    some = dataclasses.replace(data, proxy=[*failed, *scored[4:]])
    without = dataclasses.replace(data, proxy=scored[4:])
    assert summarise(some).costs == summarise(without).costs
    assert summarise(some).costs.n_candidates == len(scored) - 4


def test_equal_failures_are_one_row_with_their_number() -> None:
    data = make_run()
    failures = summarise(data).failures
    failed = [record for record in data.proxy if record.failure]
    assert [(f.stage, f.count) for f in failures] == [("search", len(failed))]


def test_counts_add_up() -> None:
    data = make_run()
    counts = summarise(data).counts
    assert (counts.n_trials, counts.n_distinct) == (48, 45)
    assert counts.n_duplicates == 48 - 45
    assert counts.n_failed == sum(trial["state"] == "failed" for trial in data.history)


def test_speed_up_counts_the_training_of_the_generator() -> None:
    record = {"choices": {}, "seed": 0, "score": 0.5}
    proxy = [
        Evaluation(evaluator="gtn", architecture_id=str(i), seconds=1.0, **record)  # type: ignore[arg-type]
        for i in range(50)
    ]
    verification = [
        Evaluation(evaluator="ground_truth", architecture_id="0", seconds=11.0, **record)  # type: ignore[arg-type]
    ]
    data = dataclasses.replace(
        make_run(), proxy=proxy, verification=verification, costs={"meta_training": 60.0}
    )
    costs = summarise(data).costs
    assert costs.speed_up == pytest.approx(50 * 11 / (60 + 50))
    assert costs.speed_up_without_generator == pytest.approx(11)
    assert costs.break_even == 6
    data = dataclasses.replace(data, costs={"meta_training": 60.0, "fusion": 100.0})
    costs = summarise(data).costs
    assert costs.speed_up == pytest.approx(50 * 11 / (60 + 50 + 100))
    assert costs.break_even == 8  # of 60 / (11 - 1 - 100 / 50)


def test_a_proxy_slower_than_the_truth_never_pays() -> None:
    data = make_run()
    data = dataclasses.replace(
        data, verification=[dataclasses.replace(r, seconds=1e-4) for r in data.verification]
    )
    costs = summarise(data).costs
    assert costs.break_even is None
    assert costs.speed_up is not None
    assert costs.speed_up < 1


def test_without_verification_the_best_scores_are_listed() -> None:
    data = dataclasses.replace(make_run(), verification=[], baselines=[])
    summary = summarise(data)
    assert summary.winner is None
    assert summary.estimators == ()
    scores = [row.proxy_score or 0 for row in summary.best_scores]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == max(record.score or 0 for record in data.proxy)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_verified_architectures_have_no_agreement(n: int) -> None:
    data = make_run(n_candidates=n, n_control=0)
    for row in summarise(data).estimators:
        assert row.agreement.spearman is None
        assert row.agreement.spearman_interval is None


def test_summary_is_json_without_nan_and_the_same_every_time() -> None:
    for data in (make_run(), make_run(n_candidates=1, n_control=0), make_run(n_trials=0)):
        texts = [summarise(data).json() for _ in range(2)]
        assert texts[0] == texts[1]
        assert json.loads(texts[0])["name"] == data.name


def test_what_the_proxy_adds_is_the_difference_of_the_two_rows() -> None:
    data = make_run(n_candidates=8, n_control=8)
    summary = summarise(data)
    rows = {row.name: row.agreement.spearman for row in summary.estimators}
    (found,) = summary.gains
    assert (found.name, found.n) == ("fused", 16)
    assert (found.spearman, found.other) == (rows["fused"], rows["fused without gtn"])
    learned_from = {one.architecture_id for one in data.verification[:6]}
    for anchors in ({"anchors": data.verification[:6]}, {"learned_from": learned_from}):
        anchored = dataclasses.replace(data, **anchors)
        assert summarise(anchored).gains[0].n == 10
    bare = [one for one in data.baselines if "without" not in one.evaluator]
    assert summarise(dataclasses.replace(data, baselines=bare)).gains == ()


def test_the_winner_has_its_seeds_latency_and_curve() -> None:
    data = make_run(n_candidates=1, n_control=0)
    first = data.verification[0]
    first = dataclasses.replace(first, metrics={**first.metrics, "latency_ms": 1.5})
    second = dataclasses.replace(first, seed=1, score=0.5, curve=())
    winner = summarise(dataclasses.replace(data, verification=[first, second])).winner
    assert winner is not None
    assert winner.test_accuracies == (first.score, 0.5)
    assert winner.latency_ms == 1.5
    assert winner.curve == first.curve


def test_a_latency_that_was_measured_afterwards_is_the_winners() -> None:
    data = make_run()
    summary = summarise(dataclasses.replace(data, latency_ms=2.5))
    assert summary.winner is not None
    assert summary.winner.latency_ms == 2.5
    assert [v.latency_ms for v in summary.verified if v != summary.winner] == [None] * 9
