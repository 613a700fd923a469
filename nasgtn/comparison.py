"""Compares estimators: how well, and for how many seconds, each orders the same architectures."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from nasgtn.errors import InvalidConfigError, InvalidDataError
from nasgtn.estimates import (
    Comparison,
    Estimate,
    Judges,
    Known,
    mean_scores,
    rung_estimates,
)
from nasgtn.estimators import Estimator, Fusion
from nasgtn.evaluation import Counting, Evaluator, KeptEvaluations, evaluate
from nasgtn.fusion import calibrate, summed_log_ranks, weightings
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.ranking import spearman
from nasgtn.records import Evaluation, or_lowest
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.spaces.cost import Cost, measure_cost
from nasgtn.task import Task

FEW = 5
"""Or a twentieth of what is compared: so many more of the best tenth a sum ranks together."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """Seeds of a comparison, where its evaluations are kept, and who judges the best tenth."""

    seed: int = 0
    truth_seeds: int = 1
    """True accuracies are means over this many trainings."""
    records: Path | None = None
    """A JSON Lines file: evaluations that it holds are not done again. What they cost in
    multiply-adds is in another beside it (`counts`)."""
    truth_records: Path | None = None
    """The same for the truth's evaluations; None: they are in `records` too."""
    best: Sequence[Architecture] = ()
    """More architectures of the best tenth (`nasgtn.evaluation.best_tenth_of`), which judge the
    order there and nothing else. The truth is asked for them, and keeps nothing."""
    paired: bool = False
    """All estimators start an architecture from the same initial weights; the truth has its own,
    as sharing its luck would flatter them."""

    def __post_init__(self) -> None:
        if self.truth_seeds < 1:
            raise InvalidConfigError(f"truth_seeds must be at least 1, got {self.truth_seeds}")

    @property
    def counts(self) -> Path | None:
        """Name the file of the multiply-adds."""
        path = self.records
        return path and path.with_name(f"{path.stem}.multiply_adds{path.suffix}")


def compare(
    estimators: Sequence[Estimator | Fusion],
    truth: Evaluator,
    architectures: Sequence[Architecture],
    config: ComparisonConfig,
    *,
    costs: Mapping[str, Cost] | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Score every architecture with every estimator and with the truth, and compare the orders.

    Args:
        estimators: See `make_estimator`.
        truth: Trained, or looked up; it never sees what an estimator found out.
        architectures: Distinct ones; one that the truth cannot score is left out of the numbers.
        config: Seeds, and the files that keep the evaluations.
        costs: By architecture id, see `measure_costs`; without all of them there is no `partial`.
        progress: Told after each evaluation.

    Raises:
        InvalidDataError: The truth cannot score any of the architectures.
    """
    records = KeptEvaluations(config.records)
    truths = KeptEvaluations(config.truth_records) if config.truth_records else records
    trained = [
        truths.evaluate(truth, one, derive_seed(config.seed, "comparison", truth.name, index))
        for one, index in _told(
            list(product(architectures, range(config.truth_seeds))), truth.name, progress
        )
    ]
    known = _known(architectures, mean_scores(trained), costs or {})
    if not known:
        raise InvalidDataError(
            f"the truth must score at least one of {len(architectures)} architectures, but the "
            f"first of them gave: {trained[0].failure if trained else 'nothing'}"
        )

    scoring = _Scoring(records, KeptEvaluations(config.counts), config, progress)
    looked_up = mean_scores(evaluate(truth, one, seed=config.seed) for one in config.best)
    judges = Judges(known, _known(config.best, looked_up, {}), config.seed)
    estimates = []
    for estimator in estimators:
        if isinstance(estimator, Fusion):
            row = _fused(estimator, architectures, records, config)
            more = _fused_beside(estimator, architectures, records, config)
            found = judges.estimate(estimator.name, row, more)
            estimates.append(
                replace(
                    found,
                    multiply_adds_per_candidate=scoring.count(
                        estimator.parts.values(), architectures
                    ),
                    preparation_seconds=estimator.preparation_seconds,
                )
            )
            continue
        evaluations = {
            setting: scoring.score(evaluator, architectures)
            for setting, evaluator in estimator.settings.items()
        }
        setting = _best_setting(estimator, evaluations, known)
        evaluator = estimator.settings[setting[0]]
        more = scoring.score(evaluator, config.best)
        cost = scoring.count([evaluator], architectures)
        estimates += _judged(estimator, evaluations, setting, more, cost, judges)
    return Comparison(
        n_architectures=len(architectures),
        n_best=len(judges.more),
        seed=config.seed,
        truth=truth.name,
        truth_seeds=config.truth_seeds,
        n_truth_failed=len(architectures) - len(known),
        truth_seconds_per_candidate=sum(one.seconds for one in trained) / len(architectures),
        estimators=tuple(estimates),
    )


@dataclass(frozen=True)
class _Scoring:
    """Scores architectures, or looks up what is kept, and tells how far it is."""

    records: KeptEvaluations
    counts: KeptEvaluations
    config: ComparisonConfig
    progress: Progress

    def score(self, evaluator: Evaluator, some: Sequence[Architecture]) -> list[Evaluation]:
        """Score each of some architectures."""
        return self._each(self.records, evaluator, some, _seed(evaluator, self.config))

    def count(self, evaluators: Iterable[Evaluator], some: Sequence[Architecture]) -> float | None:
        """Add up the evaluators' mean multiply-adds; None where one of them has no count."""
        total = 0.0
        for evaluator in evaluators:
            counting = Counting.of(evaluator)
            if counting is None:
                return None
            counts = mean_scores(self._each(self.counts, counting, some, 0)).values()
            if not counts:
                return None
            total += fmean(counts)
        return total

    def _each(
        self, kept: KeptEvaluations, evaluator: Evaluator, some: Sequence[Architecture], seed: int
    ) -> list[Evaluation]:
        told = _told(some, evaluator.name, self.progress)
        return [kept.evaluate(evaluator, one, seed) for one in told]


def _fused(
    fusion: Fusion,
    architectures: Sequence[Architecture],
    records: KeptEvaluations,
    config: ComparisonConfig,
) -> list[Evaluation]:
    """Make the scores of a fusion from those of its parts, on all architectures together."""
    anchors = [
        Architecture(id=one.architecture_id, choices=one.choices, description="")
        for one in fusion.anchors
    ]
    table = [
        [records.evaluate(part, one, _seed(part, config)) for part in fusion.parts.values()]
        for one in (*architectures, *anchors)
    ]
    features = [[math.nan if e.score is None else e.score for e in row] for row in table]
    weights = weightings([part.partition(",")[0] for part in fusion.parts])
    if fusion.anchors:
        merits = [math.nan if one.score is None else one.score for one in fusion.anchors]
        labels = [math.nan] * len(architectures) + merits
        scores = calibrate(features, labels, seed=config.seed, weights=weights).mean
    else:
        scores = summed_log_ranks(features, weights[0])
    return [
        replace(
            row[0],
            evaluator=fusion.name,
            score=score,
            seconds=seconds,
            failure=None,
            metrics={},
            curve=(),
        )
        for row, score, seconds in zip(
            table[: len(architectures)],
            scores.tolist(),
            (sum(one.seconds for one in row) for row in table),
            strict=False,
        )
    ]


def _fused_beside(
    fusion: Fusion,
    architectures: Sequence[Architecture],
    records: KeptEvaluations,
    config: ComparisonConfig,
) -> list[Evaluation]:
    """Make the scores of more architectures, few of them at a time beside the others.

    Ranks among many that the truth has picked would flatter the sum.
    """
    size = max(FEW, len(architectures) // 20)
    return [
        one
        for begin in range(0, len(config.best), size)
        for one in _fused(
            fusion, (*architectures, *config.best[begin : begin + size]), records, config
        )[len(architectures) :]
    ]


def measure_costs(
    space: SearchSpace, task: Task, architectures: Sequence[Architecture]
) -> dict[str, Cost]:
    """Count parameters and multiply-adds by architecture id; a network that fails has no cost."""
    costs = {}
    for one in architectures:
        with suppress(Exception):  # a user's network may raise anything
            costs[one.id] = measure_cost(space.network(one.choices, task, seed=0), task)
    return costs


def _seed(evaluator: Evaluator, config: ComparisonConfig) -> int:
    """Derive the seed of an estimator's evaluations."""
    if config.paired:
        return derive_seed(config.seed, "comparison", "paired")
    return derive_seed(config.seed, "comparison", evaluator.name, 0)


def _told(units: Sequence[T], stage: str, progress: Progress) -> Iterator[T]:
    """Yield each unit, and tell that it is done when the next one is asked for."""
    for number, unit in enumerate(units, start=1):
        yield unit
        progress(stage, number, len(units))


def _known(
    architectures: Sequence[Architecture], truths: Mapping[str, float], costs: Mapping[str, Cost]
) -> dict[str, Known]:
    found = {}
    for one in architectures:
        if one.id in truths:
            cost = costs.get(one.id)
            found[one.id] = Known(
                description=one.description,
                truth=truths[one.id],
                n_parameters=cost.n_parameters if cost else None,
                n_multiply_adds=cost.n_multiply_adds if cost else None,
            )
    return found


Setting = tuple[str | None, str | None]
"""One of an estimator's settings, and of its metrics."""


def _best_setting(
    estimator: Estimator,
    evaluations: Mapping[str | None, Sequence[Evaluation]],
    known: Mapping[str, Known],
) -> Setting:
    """Find the setting that agrees best with the truth."""

    def merit(setting: Setting) -> float:
        scores = mean_scores(_scored_by(setting[1], evaluations[setting[0]]))
        both = [name for name in known if name in scores]
        rho = spearman([scores[name] for name in both], [known[name].truth for name in both])
        return or_lowest(rho)

    return max(product(evaluations, estimator.metrics or (None,)), key=merit)


def _judged(
    estimator: Estimator,
    evaluations: Mapping[str | None, Sequence[Evaluation]],
    setting: Setting,
    more: Sequence[Evaluation],
    cost: float | None,
    judges: Judges,
) -> list[Estimate]:
    """Judge an estimator by this setting, at its end and at the rungs before, if it has any.

    Trying the other settings was preparation. At a rung the score is the one that the evaluator
    told there, whatever number is taken at the end. `cost` is a candidate's, in multiply-adds.
    """
    name, metric = setting
    row = evaluations[name]
    end = replace(
        judges.estimate(estimator.name, _scored_by(metric, row), _scored_by(metric, more)),
        setting=", ".join(part.replace("_", " ") for part in setting if part) or None,
        multiply_adds_per_candidate=cost,
    )
    costs = {} if cost is None else {estimator.name: cost}
    rungs = rung_estimates({estimator.name: row}, judges.known, costs, seed=judges.seed)
    others = [one.seconds for key, other in evaluations.items() if key != name for one in other]
    before = estimator.preparation_seconds + sum(others)
    return [
        replace(one, preparation_seconds=before)
        for one in (end, *(replace(rung, setting=name) for rung in rungs[:-1]))
    ]


def _scored_by(metric: str | None, records: Sequence[Evaluation]) -> list[Evaluation]:
    """Take another number of the records as their score; None: leave it."""
    return [
        one if one.score is None or metric is None else replace(one, score=one.metrics[metric])
        for one in records
    ]
