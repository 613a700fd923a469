import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from scipy import stats

from nasgtn.comparison import ComparisonConfig, compare, measure_costs
from nasgtn.data import Splits
from nasgtn.errors import (
    ArtefactError,
    InvalidConfigError,
    InvalidDataError,
    InvalidSpaceError,
    UnknownNameError,
)
from nasgtn.estimators import RATES, TUNED_METRICS, Estimator, Fusion, make_estimator
from nasgtn.evaluation import Evaluator, Report, Scores, best_tenth_of, check_settings, evaluate
from nasgtn.evaluation.baselines import ZERO_COST
from nasgtn.evaluation.proxy import ProxyConfig
from nasgtn.fusion import PARTS, calibrate, summed_log_ranks, weightings
from nasgtn.gtn import GtnConfig
from nasgtn.randomness import derive_seed
from nasgtn.records import read_records
from nasgtn.spaces import Architecture, SearchSpace

PROXY, GTN, CONFIG = ProxyConfig(), GtnConfig(), ComparisonConfig()


def estimators(names: Sequence[str], space: SearchSpace, splits: Splits) -> list[Estimator]:
    return [make_estimator(name, space, splits, PROXY, gtn=GTN) for name in names]


def evaluator(name: str, space: SearchSpace, splits: Splits) -> Evaluator:
    return make_estimator(name, space, splits, PROXY, gtn=GTN).settings[None]


@pytest.fixture(scope="module")
def architectures(tiny_space: SearchSpace, toy_splits: Splits) -> list[Architecture]:
    return tiny_space.sample_distinct(12, 0, toy_splits.task)


class Score:
    """Scores an architecture by its width, as it is told to."""

    def __init__(self, name: str, scores: Mapping[object, float]) -> None:
        self.name = name
        self._scores = scores

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        return Scores(score=self._scores[architecture.choices["width"]])


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
    flops, params = (evaluator(name, tiny_space, toy_splits) for name in ("flops", "params"))
    compared = estimators(("params", "naswot"), tiny_space, toy_splits)
    comparison = compare(compared, flops, architectures, ComparisonConfig())
    first, second = comparison.estimators
    assert comparison.n_architectures == first.agreement.n == len(architectures)
    truth = [flops.score(one, seed=0).score for one in architectures]
    scores = [params.score(one, seed=0).score for one in architectures]
    assert (first.name, second.name) == ("params", "naswot")
    assert first.agreement.spearman == pytest.approx(stats.spearmanr(scores, truth).statistic)
    assert first.agreement.kendall == pytest.approx(stats.kendalltau(scores, truth).statistic)
    assert first.agreement.spearman_interval is not None
    assert first.agreement.spearman_interval[0] <= first.agreement.spearman_interval[1]
    assert [point[1:] for point in first.points] == list(zip(scores, truth, strict=True))
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
    assert found.estimators[0].agreement.n == len(architectures) - n_tanh
    assert found.estimators[0].n_failed == 0


def test_an_estimator_that_fails_everywhere_has_no_numbers(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    tanh = [one for one in architectures if one.choices["activation"] == "tanh"]
    truth = evaluator("params", tiny_space, toy_splits)
    row = compare([Estimator.of(Wide())], truth, tanh, ComparisonConfig()).estimators[0]
    assert (row.agreement.n, row.n_failed) == (0, len(tanh))
    assert (row.agreement.spearman, row.agreement.kendall) == (None, None)
    assert row.seconds_per_candidate is None


def test_a_truth_that_knows_none_of_the_architectures_is_an_error(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    tanh = [one for one in architectures if one.choices["activation"] == "tanh"]
    with pytest.raises(InvalidDataError, match=r"must score at least one .* ValueError: no tanh"):
        compare(estimators(["params"], tiny_space, toy_splits), Wide(), tanh, ComparisonConfig())


def test_more_of_the_best_tenth_judge_the_order_there_and_nothing_else(
    tiny_space: SearchSpace, toy_splits: Splits
) -> None:
    truth, params = (evaluator(name, tiny_space, toy_splits) for name in ("flops", "params"))

    def values(judge: Evaluator, some: Sequence[Architecture]) -> list[float]:
        return [judge.score(one, seed=0).score for one in some]

    sample = tiny_space.sample_distinct(12, 0, toy_splits.task)
    lowest = sorted(values(truth, sample))[-3]
    more = best_tenth_of(tiny_space, truth, sample).sample_distinct(
        7, 1, toy_splits.task, exclude=frozenset(one.id for one in sample)
    )
    assert len({one.id for one in (*sample, *more)}) == 12 + 7
    assert min(values(truth, more)) >= lowest
    fused = Fusion(
        name="sum",
        parts={name: evaluator(name, tiny_space, toy_splits) for name in ("synflow", "naswot")},
    )
    rows: list[Estimator | Fusion] = [
        *estimators(("params", "real:2"), tiny_space, toy_splits),
        fused,
    ]
    usual = compare(rows, truth, sample, ComparisonConfig())
    found = compare(rows, truth, sample, ComparisonConfig(best=more))
    assert (usual.n_best, found.n_best) == (0, 7)
    tenth = [one for one in sample if truth.score(one, seed=0).score >= lowest] + more
    by_sum: dict[str, float] = {}
    for beside in ([], more[:5], more[5:]):  # few at a time
        everyone = [*sample, *beside]
        parts = [values(part, everyone) for part in fused.parts.values()]
        sums = summed_log_ranks(np.column_stack(parts), weightings(list(fused.parts))[0])
        for one, score in zip(everyone, sums, strict=True):
            by_sum.setdefault(one.id, score)
    for scores, row in (
        (values(params, tenth), found.estimators[0]),
        ([by_sum[one.id] for one in tenth], found.estimators[2]),
    ):
        rho = stats.spearmanr(scores, values(truth, tenth)).statistic
        assert row.agreement.best_tenth == pytest.approx(rho)
        assert row.agreement.n_best_tenth == len(tenth)
    for before, after in zip(usual.estimators, found.estimators, strict=True):
        assert before.agreement.n_best_tenth == len(tenth) - 7
        assert (after.setting, after.n_failed) == (before.setting, before.n_failed)
        assert (after.accuracy, after.partial) == (before.accuracy, before.partial)
        assert [point[1:] for point in after.points] == [point[1:] for point in before.points]
        assert (
            dataclasses.replace(
                after.agreement,
                **{
                    name: getattr(before.agreement, name)
                    for name in vars(after.agreement)
                    if "tenth" in name
                },
            )
            == before.agreement
        )


def test_what_has_no_truth_belongs_to_no_best_tenth(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    best = best_tenth_of(tiny_space, Wide(), architectures)
    drawn = best.sample_distinct(20, 0, toy_splits.task)
    assert {one.choices["activation"] for one in drawn} == {"relu"}
    known = [one.choices["width"] for one in architectures if one.choices["activation"] == "relu"]
    assert min(one.choices["width"] for one in drawn) == sorted(known)[-3]  # type: ignore[type-var]
    tanh = [one for one in architectures if one.choices["activation"] == "tanh"]
    with pytest.raises(InvalidSpaceError, match="of the best tenth' must have architectures"):
        best_tenth_of(tiny_space, Wide(), tanh).sample_distinct(1, 0, toy_splits.task)


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
    params = evaluator("params", tiny_space, toy_splits)
    scores = [params.score(one, seed=0).score for one in relu]
    rho = found.estimators[0].agreement.spearman
    assert rho == pytest.approx(stats.spearmanr(scores, means).statistic)


def test_kept_evaluations_are_not_done_again(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    config = ComparisonConfig(records=tmp_path / "records.jsonl")
    params, naswot = estimators(("params", "naswot"), tiny_space, toy_splits)
    flops = evaluator("flops", tiny_space, toy_splits)
    first = compare([params], flops, architectures[:8], config)
    assert compare([params], flops, architectures[:8], config) == first
    assert len(read_records(tmp_path / "records.jsonl")) == 16
    compare([params, naswot], flops, architectures, config)
    assert len(read_records(tmp_path / "records.jsonl")) == 3 * len(architectures)


def test_costs_are_counted_in_multiply_adds_and_kept(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    config = ComparisonConfig(records=tmp_path / "records.jsonl")
    proxy = dataclasses.replace(PROXY, rungs=(1, 2), metric="loss")
    real = make_estimator("real:4@0.02", tiny_space, toy_splits, proxy, gtn=GTN)
    task, train = toy_splits.task, toy_splits.train
    parts = {name: ZERO_COST[name](tiny_space, task, train) for name in ("flops", "naswot")}
    alone = [Estimator.of(part) for part in parts.values()]
    both = Fusion(name="both", parts=parts)
    rows: list[Estimator | Fusion] = [real, *alone, both, Estimator.of(Wide())]
    truth = evaluator("params", tiny_space, toy_splits)
    found = compare(rows, truth, architectures, config).estimators
    costs = {row.name: row.multiply_adds_per_candidate for row in found}
    by_hand = {
        name: fmean(part.multiply_adds(one) for one in architectures)
        for name, part in parts.items()
    }
    assert {name: costs[name] for name in parts} == pytest.approx(by_hand)
    assert costs["both"] == pytest.approx(sum(by_hand.values()))
    assert costs["wide"] is None  # nobody says what it costs
    whole = costs["real:4@0.02"]
    assert whole is not None
    rungs = [costs[f"real:4@0.02 after {step}"] for step in (1, 2)]
    assert rungs == pytest.approx([whole / 4, whole / 2])
    assert config.counts is not None
    kept = read_records(config.counts)
    assert len(kept) == 3 * len(architectures)
    again = compare(rows, truth, architectures, config).estimators
    assert [row.flat() for row in again] == [row.flat() for row in found]
    assert read_records(config.counts) == kept


@pytest.mark.parametrize("kept", [1, -1], ids=["torn", "without its end"])
def test_a_last_line_that_a_kill_cut_off_is_mended(
    tiny_space: SearchSpace,
    toy_splits: Splits,
    architectures: list[Architecture],
    tmp_path: Path,
    kept: int,
) -> None:
    """In the truth's file as in the other: what is appended must not continue that line."""
    paths = tmp_path / "records.jsonl", tmp_path / "truth.jsonl"
    config = ComparisonConfig(records=paths[0], truth_records=paths[1])
    params = estimators(["params"], tiny_space, toy_splits)
    truth = evaluator("flops", tiny_space, toy_splits)
    compare(params, truth, architectures[:4], config)
    for path in paths:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([*lines[:3], lines[3][:kept]]))
    compare(params, truth, architectures, config)
    for path in paths:
        ids = [json.loads(line)["architecture_id"] for line in path.read_text().splitlines()]
        assert ids == [one.id for one in architectures]


def test_estimators_are_paired_by_their_seed_if_asked(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    compared = estimators(["real:1@0.02", "real:1@0.05"], tiny_space, toy_splits)
    seeds: dict[bool, list[int]] = {}
    for paired in (False, True):
        path = tmp_path / f"{paired}.jsonl"
        config = ComparisonConfig(records=path, paired=paired)
        compare(compared, Wide(), architectures[:2], config)
        seeds[paired] = [record.seed for record in read_records(path)]
    assert len({*seeds[False]}) == 3
    truth, first, second = (seeds[True][start : start + 2] for start in (0, 2, 4))
    assert first == second
    assert not {*truth} & {*first}
    assert truth == seeds[False][:2]


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


def test_the_truth_has_a_file_of_its_own_if_asked(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    truth, compared = Wide(), estimators(["params"], tiny_space, toy_splits)
    for name in ("a", "b"):
        config = ComparisonConfig(records=tmp_path / name, truth_records=tmp_path / "truth")
        compare(compared, truth, architectures, config)
    assert [record.evaluator for record in read_records(tmp_path / "truth")] == ["wide"] * 12
    for name in ("a", "b"):
        assert [one.evaluator for one in read_records(tmp_path / name)] == ["params"] * 12


def test_real_steps_are_an_estimator_with_a_rate_of_their_own(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    real = evaluator("real:4@0.05", tiny_space, toy_splits)
    faster = evaluator("real:4@0.5", tiny_space, toy_splits)
    assert (real.name, faster.name) == ("real:4@0.05", "real:4@0.5")
    scores = [one.score(architectures[0], seed=0).metrics["loss"] for one in (real, faster)]
    assert scores[0] != scores[1]
    assert 0 <= real.score(architectures[0], seed=0).score <= 1


def test_optimiser_rate_and_metric_of_real_steps_are_tuned_in_their_favour(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture], tmp_path: Path
) -> None:
    records = tmp_path / "records.jsonl"
    relu = [one for one in architectures if one.choices["activation"] == "relu"]
    tuned = make_estimator("real:4", tiny_space, toy_splits, PROXY, gtn=GTN)
    row = compare([tuned], Wide(), relu, ComparisonConfig(records=records)).estimators[0]
    kept = read_records(records)
    truth = [one.score for one in kept if one.evaluator == "wide"]
    tags = ("", ", adam")
    by_setting = {
        f"{rate:g}{tag}": [one for one in kept if one.evaluator == f"real:4@{rate:g}{tag}"]
        for tag in tags
        for rate in RATES
    }
    rhos = {
        (setting, metric): stats.spearmanr([one.metrics[metric] for one in found], truth).statistic
        for setting, found in by_setting.items()
        for metric in TUNED_METRICS
    }
    best, metric = max(rhos, key=lambda setting: rhos[setting])
    assert len(set(rhos.values())) > 1
    setting = f"learning rate {best}, {metric.replace('_', ' ')}"
    assert (row.name, row.setting) == ("real:4", setting)
    assert row.agreement.spearman == pytest.approx(rhos[best, metric])
    assert row.seconds_per_candidate == pytest.approx(
        sum(one.seconds for one in by_setting[best]) / len(relu)
    )
    others = [one.seconds for name in by_setting if name != best for one in by_setting[name]]
    assert row.preparation_seconds == pytest.approx(sum(others))
    first, metric = max(
        (setting for setting in rhos if "adam" not in setting[0]), key=lambda one: rhos[one]
    )
    again = estimators((f"real:4@{first}", "real:4"), tiny_space, toy_splits)
    fixed, tuned_row = compare(again, Wide(), relu, ComparisonConfig(records=records)).estimators
    assert (fixed.setting, fixed.preparation_seconds) == (metric.replace("_", " "), 0.0)
    assert fixed.agreement.spearman == pytest.approx(rhos[first, metric])
    assert tuned_row.agreement == row.agreement
    assert read_records(records) == kept


def test_a_setting_without_an_order_loses(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    widths = {one.choices["width"] for one in architectures}
    scored: dict[str | None, Evaluator] = {
        "flat": Score("flat", dict.fromkeys(widths, 1.0)),
        "wrong": Score("wrong", {width: -float(str(width)) for width in widths}),
    }
    relu = [one for one in architectures if one.choices["activation"] == "relu"]
    tuned = Estimator(name="tuned", settings=scored)
    alone = Estimator(name="alone", settings={"flat": scored["flat"]})
    both, flat = compare([tuned, alone], Wide(), relu, ComparisonConfig()).estimators
    assert (both.setting, flat.setting) == ("wrong", "flat")
    assert flat.agreement.spearman is None


def test_size_is_taken_out_of_the_agreement(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    costs = measure_costs(tiny_space, toy_splits.task, architectures)
    compared = estimators(("params", "naswot"), tiny_space, toy_splits)
    truth = evaluator("synflow", tiny_space, toy_splits)
    params, naswot = compare(
        compared, truth, architectures, ComparisonConfig(), costs=costs
    ).estimators
    assert params.partial is None
    scores, truths = (
        stats.rankdata([point[place] for point in naswot.points]) for place in (1, 2)
    )
    sizes = [(costs[one.id].n_parameters, costs[one.id].n_multiply_adds) for one in architectures]
    ranks = np.array([stats.rankdata(column) for column in zip(*sizes, strict=True)])
    # A second source: the entry of the inverse correlation matrix gives the partial correlation.
    precision = np.linalg.inv(np.corrcoef([scores, truths, *ranks]))
    expected = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    assert naswot.partial == pytest.approx(expected)
    missing = {name: cost for name, cost in costs.items() if name != architectures[0].id}
    found = compare(compared, truth, architectures, ComparisonConfig(), costs=missing)
    assert [row.partial for row in found.estimators] == [None, None]


def test_a_network_that_cannot_be_built_has_no_cost(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    broken = dataclasses.replace(architectures[0], id="broken", choices={"width": 4})
    costs = measure_costs(tiny_space, toy_splits.task, [broken, architectures[1]])
    assert set(costs) == {architectures[1].id}


def test_preparation_is_told_apart(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    flops, params = (evaluator(name, tiny_space, toy_splits) for name in ("flops", "params"))
    prepared = Estimator.of(params, preparation_seconds=12.5)
    found = compare([prepared], flops, architectures[:3], ComparisonConfig())
    assert found.estimators[0].preparation_seconds == 12.5


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("synflw", UnknownNameError, "did you mean synflow"),
        ("real:0", InvalidConfigError, "positive number of steps"),
        ("real:many", InvalidConfigError, "positive number of steps"),
        ("real:4@0", InvalidConfigError, "positive learning rate"),
        ("real:4/0", InvalidConfigError, "no more different batches"),
        ("real:4/5", InvalidConfigError, "no more different batches"),
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


def test_a_fusion_is_made_of_the_scores_of_its_parts(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    parts = {name: evaluator(name, tiny_space, toy_splits) for name in ("flops", "jacob_cov")}
    truth = evaluator("params", tiny_space, toy_splits)
    alone = [Estimator.of(part) for part in parts.values()]
    found = compare([*alone, Fusion(name="both", parts=parts)], truth, architectures, CONFIG)
    flops, jacob, both = found.estimators
    by_hand = summed_log_ranks(
        [[one.score, other.score] for one, other in zip(flops.points, jacob.points, strict=True)],
        [PARTS["flops"], PARTS["jacob_cov"]],
    )
    assert [point.score for point in both.points] == pytest.approx(by_hand)
    assert both.seconds_per_candidate == pytest.approx(
        (flops.seconds_per_candidate or 0) + (jacob.seconds_per_candidate or 0)
    )


def test_anchors_calibrate_a_fusion_and_are_not_compared(
    tiny_space: SearchSpace, toy_splits: Splits, architectures: list[Architecture]
) -> None:
    parts = {name: evaluator(name, tiny_space, toy_splits) for name in ("flops", "jacob_cov")}
    truth = evaluator("params", tiny_space, toy_splits)
    exclude = frozenset(one.id for one in architectures)
    others = tiny_space.sample_distinct(10, 5, toy_splits.task, exclude=exclude)
    anchors = [evaluate(truth, one, seed=0) for one in others]
    fusion = Fusion(name="both", parts=parts, anchors=anchors, preparation_seconds=7.0)
    (row,) = compare([fusion], truth, architectures, CONFIG).estimators
    assert row.agreement.n == len(architectures)
    assert row.preparation_seconds == 7.0
    seeds = {part: derive_seed(0, "comparison", part.name, 0) for part in parts.values()}
    features = [
        [part.score(one, seed=seeds[part]).score for part in parts.values()]
        for one in (*architectures, *others)
    ]
    labels = [float("nan")] * len(architectures) + [one.score or 0.0 for one in anchors]
    expected = calibrate(features, labels, seed=0, weights=weightings(list(parts))).mean
    scores = [point.score for point in row.points]
    assert scores == pytest.approx(expected[: len(architectures)])
