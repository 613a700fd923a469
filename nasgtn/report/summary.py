"""From the records of a run to the numbers of its report."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from nasgtn.estimates import (
    Estimate,
    Gain,
    Known,
    estimate,
    gain,
    mean_scores,
    rung_estimates,
)
from nasgtn.records import CALIBRATED, FUSED, WITHOUT, Evaluation, or_lowest
from nasgtn.report.classes import ClassResult, Confusion, class_results
from nasgtn.report.costs import Costs, costs_of, mean
from nasgtn.report.data import RunData
from nasgtn.report.foresight import Forecast, Truth, forecasts
from nasgtn.report.pareto import Front, pareto_front

PROXY = "gtn"
"""Name of the evaluator whose scores steer the search."""
CHOOSING = (CALIBRATED, FUSED)
"""Scores that are put together from the proxy and others; the first that is there chooses."""
INTERVAL_SEED = 0
"""Of the bootstrap, so that a report can be made again with the same numbers."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """One architecture with its true accuracy; means over seeds where there are several."""

    architecture_id: str
    description: str
    choices: Mapping[str, Any]  # the choices of a search space: str, bool, int, float or None
    is_control: bool
    is_anchor: bool
    """The generator learned from its accuracy, so that it judges no estimator."""
    n_seeds: int
    """Successful trainings."""
    test_accuracy: float | None
    test_accuracies: tuple[float, ...]
    """One a seed."""
    validation_accuracy: float | None
    proxy_score: float | None
    n_parameters: int | None
    n_multiply_adds: int | None
    latency_ms: float | None
    seconds: float
    """Of one training."""
    curve: tuple[tuple[int, float], ...]
    """Epoch and validation accuracy of the first training."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of the trials, and of the meta-steps."""

    n_trials: int
    n_distinct: int
    n_duplicates: int
    n_pruned: int
    n_gated: int
    """Not trained, as their training-free scores were too poor."""
    n_infeasible: int
    n_failed: int
    n_meta_steps: int
    n_skipped: int
    """Meta-steps whose loss or gradient was not finite."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A message, and how often it came."""

    stage: str
    message: str
    count: int
    example: str
    """Description of the first architecture that failed so."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The numbers of a report, which its figures are drawn from."""

    name: str
    winner: Verified | None
    control_mean: float | None
    """Mean test accuracy of the control."""
    control_best: float | None
    verified: tuple[Verified, ...]
    """Best test accuracy first, failures last."""
    estimators: tuple[Estimate, ...]
    """The proxy first, then the baselines by falling Spearman's rho."""
    counts: Counts
    rungs: tuple[Estimate, ...]
    """The proxy, and the short training on real data, at each step where they were looked at."""
    best_scores: tuple[Verified, ...]
    """Without verification: the architectures of highest proxy score."""
    costs: Costs
    failures: tuple[Failure, ...]
    gains: tuple[Gain, ...]
    """What the proxy adds to each fused score."""
    forecasts: tuple[Forecast, ...]
    """What the calibrated score foretold of the verified, and what was found."""
    trials: tuple[Mapping[str, Any], ...]  # as in RunData.history, with choices
    importances: Mapping[str, float]
    meta_training: tuple[Mapping[str, Any], ...]  # as in RunData
    learning_rates: tuple[float, ...]
    momenta: tuple[float, ...]
    front: Front | None
    """Of a search with several objectives."""
    classes: tuple[ClassResult, ...]
    """Of the winner, on the test images."""
    confusion: Confusion

    @property
    def proxy(self) -> Estimate | None:
        """The row of the proxy."""
        return next((row for row in self.estimators if row.name == PROXY), None)

    def json(self) -> str:
        """Write it as JSON; the same data give the same text."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"


def summarise(data: RunData) -> Summary:
    """Compute every number of the report; the same data give the same numbers."""
    verified = _verified(data)
    records, known = _judged(data, verified), _known(verified)
    costs = costs_of(data)
    names = [str(name) for name in data.task.get("class_names", ())]
    controls = [v.test_accuracy for v in verified if v.is_control and v.test_accuracy is not None]
    return Summary(
        name=data.name,
        winner=find_winner(verified),
        control_mean=fmean(controls) if controls else None,
        control_best=max(controls, default=None),
        verified=verified,
        estimators=_estimators(records, known, costs.multiply_adds) if known else (),
        counts=_counts(data),
        rungs=rung_estimates(records, known, costs.multiply_adds, seed=INTERVAL_SEED),
        best_scores=_best_scores(data),
        costs=costs,
        failures=_failures(data),
        gains=_gains(records, known),
        forecasts=_forecasts(data, verified),
        trials=_trials(data),
        importances=dict(data.importances),
        meta_training=tuple(data.meta_training),
        learning_rates=tuple(map(float, data.learning_rates)),
        momenta=tuple(map(float, data.momenta)),
        front=pareto_front(data.history, data.config.get("search", {}).get("objectives", ())),
        classes=class_results(data.confusion, names),
        confusion=data.confusion,
    )


def find_winner(verified: Iterable[Verified]) -> Verified | None:
    """Take the candidate of highest validation accuracy: test images choose nothing.

    Controls take part only where no candidate was trained.
    """
    trained = [v for v in verified if v.test_accuracy is not None]
    candidates = [v for v in trained if not v.is_control] or trained

    def merit(one: Verified) -> tuple[float, float, str]:
        accuracy, score = or_lowest(one.validation_accuracy), or_lowest(one.proxy_score)
        return accuracy, score, one.architecture_id

    return max(candidates, key=merit, default=None)


def _verified(data: RunData) -> tuple[Verified, ...]:
    groups = _by_architecture(data.verification)
    scores = mean_scores([*data.control, *data.proxy])
    found = [_verify(data, records, scores) for records in groups.values()]
    winner = find_winner(found)
    if winner is not None and winner.latency_ms is None:  # the search measures it if asked to
        found[found.index(winner)] = replace(winner, latency_ms=data.latency_ms)
    return tuple(sorted(found, key=lambda v: or_lowest(v.test_accuracy))[::-1])


def _verify(data: RunData, records: list[Evaluation], scores: Mapping[str, float]) -> Verified:
    first = records[0]
    n_parameters, n_multiply_adds = (
        _mean_metric(records, name) for name in ("n_parameters", "n_multiply_adds")
    )
    return Verified(
        architecture_id=first.architecture_id,
        description=data.descriptions.get(first.architecture_id, first.architecture_id),
        choices=dict(first.choices),
        is_control=bool(_mean_metric(records, "is_control")),
        is_anchor=first.architecture_id in data.anchor_ids,
        n_seeds=sum(record.score is not None for record in records),
        test_accuracy=mean(record.score for record in records),
        test_accuracies=tuple(one.score for one in records if one.score is not None),
        validation_accuracy=_mean_metric(records, "validation_accuracy"),
        proxy_score=scores.get(first.architecture_id),
        n_parameters=None if n_parameters is None else round(n_parameters),
        n_multiply_adds=None if n_multiply_adds is None else round(n_multiply_adds),
        latency_ms=_mean_metric(records, "latency_ms"),
        seconds=fmean(record.seconds for record in records),
        curve=first.curve,
    )


def _judged(data: RunData, verified: Sequence[Verified]) -> dict[str, list[Evaluation]]:
    """Gather the evaluations of each estimator."""
    by_name: dict[str, list[Evaluation]] = {}
    for record in data.baselines:
        by_name.setdefault(record.evaluator, []).append(record)
    if PROXY not in by_name and data.proxy and verified:
        ids = {v.architecture_id for v in verified}
        both = (*data.proxy, *data.control)
        by_name[PROXY] = [record for record in both if record.architecture_id in ids]
    return by_name


def _known(verified: Sequence[Verified]) -> dict[str, Known]:
    """List the architectures that may judge an estimator: verified, and no anchors."""
    return {
        v.architecture_id: Known(
            description=v.description,
            truth=v.test_accuracy,
            n_parameters=v.n_parameters,
            n_multiply_adds=v.n_multiply_adds,
        )
        for v in verified
        if v.test_accuracy is not None and not v.is_anchor
    }


def _gains(
    by_name: Mapping[str, Sequence[Evaluation]], known: Mapping[str, Known]
) -> tuple[Gain, ...]:
    return tuple(
        gain(name, records, by_name[name + WITHOUT], known, seed=INTERVAL_SEED)
        for name, records in by_name.items()
        if name + WITHOUT in by_name
    )


def _forecasts(data: RunData, verified: Sequence[Verified]) -> tuple[Forecast, ...]:
    if data.has_short_anchors:
        return ()  # what was foretold are ranks among short trainings
    truths = {
        v.architecture_id: Truth(
            description=v.description,
            is_control=v.is_control,
            validation_accuracy=v.validation_accuracy,
        )
        for v in verified
        if v.validation_accuracy is not None
    }
    predictions = [one for one in data.baselines if one.evaluator == CALIBRATED]
    return forecasts(predictions, truths, data.anchors)


def _trials(data: RunData) -> tuple[Mapping[str, Any], ...]:
    choices = {record.architecture_id: dict(record.choices) for record in data.proxy}
    return tuple(
        {**trial, "choices": choices.get(str(trial.get("architecture_id")), {})}
        for trial in data.history
    )


def _estimators(
    by_name: Mapping[str, Sequence[Evaluation]],
    known: Mapping[str, Known],
    multiply_adds: Mapping[str, float],
) -> tuple[Estimate, ...]:
    rows = [
        replace(
            estimate(name, records, known, seed=INTERVAL_SEED),
            multiply_adds_per_candidate=multiply_adds.get(name),
        )
        for name, records in by_name.items()
    ]

    def order(row: Estimate) -> tuple[bool, float, str]:
        return row.name != PROXY, -or_lowest(row.agreement.spearman), row.name

    return tuple(sorted(rows, key=order))


def _counts(data: RunData) -> Counts:
    states = [trial.get("state") for trial in data.history]
    return Counts(
        n_trials=len(data.history),
        n_distinct=len({record.architecture_id for record in data.proxy}),
        n_duplicates=sum(bool(trial.get("is_duplicate")) for trial in data.history),
        n_pruned=states.count("pruned"),
        n_gated=states.count("gated"),
        n_infeasible=states.count("infeasible"),
        n_failed=states.count("failed"),
        n_meta_steps=len(data.meta_training),
        n_skipped=sum(step.get("meta_loss") is None for step in data.meta_training),
    )


def _best_scores(data: RunData) -> tuple[Verified, ...]:
    if data.verification:
        return ()
    scores = mean_scores(data.proxy)
    scored = _by_architecture(record for record in data.proxy if record.score is not None)
    best = sorted(scored, key=lambda name: -scores[name])[:5]
    return tuple(
        replace(
            _verify(data, scored[name], scores), n_seeds=0, test_accuracy=None, test_accuracies=()
        )
        for name in best
    )


def _failures(data: RunData) -> tuple[Failure, ...]:
    found: dict[tuple[str, str], list[Evaluation]] = {}
    stages = (
        ("anchors", data.anchors),
        ("search", data.proxy),
        ("control", data.control),
        ("shortlist", data.shortlist),
        ("verification", data.verification),
        ("baselines", data.baselines),
    )
    for stage, records in stages:
        for record in records:
            if record.failure is not None and not record.metrics.get("is_gated"):
                where = f"{stage} ({record.evaluator})" if stage == "baselines" else stage
                found.setdefault((where, record.failure), []).append(record)
    return tuple(
        Failure(
            stage=stage,
            message=message,
            count=len(records),
            example=data.descriptions.get(records[0].architecture_id, records[0].architecture_id),
        )
        for (stage, message), records in found.items()
    )


def _by_architecture(records: Iterable[Evaluation]) -> dict[str, list[Evaluation]]:
    groups: dict[str, list[Evaluation]] = {}
    for record in records:
        groups.setdefault(record.architecture_id, []).append(record)
    return groups


def _mean_metric(records: Iterable[Evaluation], name: str) -> float | None:
    return mean(record.metrics.get(name) for record in records)
