"""How numbers are written, and what is said about a run in every case."""

import dataclasses

import pytest
import scipy.stats
from run_data import make_run

from nasgtn.estimates import Estimate, Gain
from nasgtn.ranking import agreement
from nasgtn.report import summarise, words
from nasgtn.report.costs import Costs
from nasgtn.report.pareto import Front

SPACE, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (words.percent(0.9781), f"97.8{SPACE}%"),
        (words.percent(None), words.DASH),
        (words.points(0.0123), f"1.2{SPACE}points"),
        (words.points(-0.0123), f"{MINUS}1.2{SPACE}points"),
        (words.count(1234567.0), "1,234,567"),
        (words.number(-0.456), f"{MINUS}0.46"),
        (words.number(-0.001), "0.00"),
        (words.number(None), words.DASH),
        (words.interval((-1.0, 0.5)), f"{MINUS}1.00 to 0.50"),
        (words.interval(None), ""),
        (words.duration(0.0123), f"12.3{SPACE}ms"),
        (words.duration(59.949), f"59.9{SPACE}s"),
        (words.duration(59.96), f"1{SPACE}min 0{SPACE}s"),
        (words.duration(3661), f"1{SPACE}h 1{SPACE}min"),
        (words.duration(0.0), f"0{SPACE}ms"),
        (words.factor(2.345), "2.3"),
        (words.factor(1234.5), "1,234"),
        (words.shape((3, 32, 32)), "3 \N{MULTIPLICATION SIGN} 32 \N{MULTIPLICATION SIGN} 32"),
        (words.value(0.1 + 0.2), "0.3"),
        (words.value(None), words.DASH),
        (words.plural(1, "architecture"), "1 architecture"),
        (words.plural(1000, "architecture"), "1,000 architectures"),
        (words.plural(2, "entry"), "2 entries"),
    ],
)
def test_numbers_are_written_for_people(written: str, expected: str) -> None:
    assert written == expected


@pytest.mark.parametrize(("correct", "n"), [(0, 10), (350, 360), (360, 360), (5000, 10000)])
def test_accuracy_interval_is_the_score_interval_of_scipy(correct: int, n: int) -> None:
    expected = scipy.stats.binomtest(correct, n).proportion_ci(method="wilson")
    assert words.accuracy_interval(correct / n, n) == pytest.approx((expected.low, expected.high))


def judged(scores: list[float], truth: list[float]) -> Estimate:
    return Estimate(
        name="gtn",
        agreement=agreement(scores, truth, seed=0),
        partial=None,
        seconds_per_candidate=None,
        n_failed=0,
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (None, "is not known"),
        (judged([], []), "Not enough verified architectures (0)"),
        (judged([1, 2], [1, 2]), "Not enough verified architectures (2)"),
        (judged([1, 1, 1], [1, 2, 3]), "no order to compare"),
        (judged([1, 2, 3, 4], [1, 2, 3, 4]), "too few for an interval"),
        (judged([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]), "itself rough with so few. The proxy"),
        (judged([*range(20)], [*range(20)]), "1.00 to 1.00. The proxy orders better than chance"),
        (judged([*range(20)], [-x for x in range(20)]), "worse than chance"),
        (judged([0, 1] * 10, [0, 1, 1, 0] * 5), "may be chance"),
    ],
)
def test_trust_is_put_into_words(row: Estimate | None, said: str) -> None:
    assert said in words.trust_in_words(row)


def costs(proxy: float | None, full: float | None, n: int = 10) -> Costs:
    data = make_run(n_trials=n)
    records = [dataclasses.replace(r, seconds=proxy or 0.0) for r in data.proxy]
    truth = [dataclasses.replace(r, seconds=full or 0.0) for r in data.verification]
    data = dataclasses.replace(
        data,
        proxy=records if proxy else [],
        verification=truth if full else [],
        costs={"meta_training": 60.0},
    )
    return summarise(data).costs


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (costs(None, None), "No proxy score"),
        (costs(1.0, None), f"Scoring 10 architectures took 1{SPACE}min 10{SPACE}s"),
        (costs(1.0, 0.5), "so nothing was saved"),
        (costs(1.0, 2.0), f"less, about 20{SPACE}s. The generator pays from 60 candidates on."),
        (costs(1.0, 61.0), "8.7 times as long. The generator pays from 1 candidate on."),
    ],
)
def test_costs_are_put_into_words(found: Costs, said: str) -> None:
    assert said in words.cost_in_words(found)


def test_a_better_control_is_said() -> None:
    data = make_run()
    verification = [
        dataclasses.replace(r, score=1.0) if r.metrics["is_control"] else r
        for r in data.verification
    ]
    summary = summarise(dataclasses.replace(data, verification=verification))
    assert "a random architecture did better" in words.winner_in_words(summary, data.task)
    assert "did better" not in words.winner_in_words(summarise(data), data.task)


def test_skipped_meta_steps_are_counted() -> None:
    steps: list[dict[str, float | None]] = [
        {"meta_step": n + 1, "meta_loss": None if n == 1 else 1.0} for n in range(3)
    ]
    counts = summarise(dataclasses.replace(make_run(), meta_training=steps)).counts
    assert words.meta_training_in_words(counts).startswith("3 meta-steps (1 skipped")
    counts = summarise(dataclasses.replace(make_run(), meta_training=[])).counts
    assert words.meta_training_in_words(counts) == "not recorded"


def gain_of(low: float, high: float) -> Gain:
    return Gain(name="fused", n=20, spearman=0.7, other=0.5, difference=0.2, interval=(low, high))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (gain_of(0.1, 0.3), "a difference of 0.20, with a 95"),
        (gain_of(0.1, 0.3), "So the proxy adds to it."),
        (gain_of(-0.3, -0.1), "So the proxy makes it worse."),
        (gain_of(-0.1, 0.3), "the proxy may add nothing."),
        (dataclasses.replace(gain_of(0, 0), interval=None), "20 architectures, too few"),
        (dataclasses.replace(gain_of(0, 0), difference=None), "cannot be said"),
    ],
)
def test_what_the_proxy_adds_is_put_into_words(found: Gain, said: str) -> None:
    assert said in words.gain_in_words(found)


def test_seeds_and_latency_of_the_winner_are_said() -> None:
    data = make_run(n_candidates=1, n_control=0)
    metrics = {**data.verification[0].metrics, "latency_ms": 1.5}
    records = [
        dataclasses.replace(data.verification[0], seed=seed, score=score, metrics=metrics)
        for seed, score in enumerate((0.9, 0.94, 0.92))
    ]
    summary = summarise(dataclasses.replace(data, verification=records))
    said = words.winner_in_words(summary, data.task)
    assert f"mean of 3 trainings, from 90.0{SPACE}% to 94.0{SPACE}%" in said
    assert f"in 1.5{SPACE}ms an image" in said


def test_anchors_among_the_verified_are_said() -> None:
    data = make_run()
    assert words.anchors_in_words(summarise(data)) == ""
    for n, said in ((1, "1 of the verified is an anchor"), (2, "2 of the verified are anchors")):
        with_anchors = dataclasses.replace(data, anchors=data.verification[:n])
        assert words.anchors_in_words(summarise(with_anchors)).startswith(said)


def test_the_front_is_put_into_words() -> None:
    front = Front(objectives=("accuracy", "params"), numbers=(1, 2), hypervolume=0.5)
    said = words.front_in_words(front)
    assert said.startswith("2 trials on the Pareto front of accuracy, params; hypervolume 0.500")


def test_the_score_that_chose_the_candidates_is_judged() -> None:
    data = make_run()
    assert words.choice_in_words(data, summarise(data)) == ""  # chosen by the proxy alone
    config = {**data.config, "verification": {"score": "fused"}}
    data = dataclasses.replace(data, config=config)
    row = next(row for row in summarise(data).estimators if row.name == "fused")
    said = words.choice_in_words(data, summarise(data))
    rho = words.number(row.agreement.spearman)
    assert "by the fused score, whose Spearman correlation" in said
    assert f"is {rho}, with a 95" in said
    calibrated = [
        dataclasses.replace(one, evaluator="calibrated", score=0.5)
        for one in data.baselines
        if one.evaluator == "gtn"
    ]
    data = dataclasses.replace(data, baselines=[*data.baselines, *calibrated])
    said = words.choice_in_words(data, summarise(data))
    assert said.endswith("by the calibrated score, whose order could not be judged.")
