"""Compares estimators: how well, and for how many seconds, each orders the same architectures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import compress, product
from pathlib import Path
from typing import TypeVar

from nasgtn.data import Splits
from nasgtn.errors import InvalidConfigError, InvalidDataError, UnknownNameError
from nasgtn.estimates import (
    Comparison,
    Estimate,
    Known,
    estimate,
    mean_scores,
    rung_estimates,
)
from nasgtn.evaluation import Evaluator, KeptEvaluations, Named, evaluate
from nasgtn.evaluation.baselines import ZERO_COST
from nasgtn.evaluation.proxy import ProxyConfig, RealBudget, RealSteps
from nasgtn.fusion import calibrate, summed_log_ranks, weightings
from nasgtn.gtn import ADAM, CHOICES, MUON, GtnConfig
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.ranking import best_tenth, spearman
from nasgtn.records import CALIBRATED, ENSEMBLE, FUSED, Evaluation, or_lowest
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.spaces.cost import Cost, measure_cost
from nasgtn.task import Task

GENERATED = ("gtn", ENSEMBLE, FUSED, CALIBRATED)
"""Names of the estimators that a trained generator is part of."""
ESTIMATORS = (*GENERATED, "real:N", "real:N@RATE", "real:N/B", "real:N/B@RATE", *ZERO_COST)
"""Names of the estimators; N is a number of steps on real batches, B of different ones, which
come in turn, RATE their learning rate. Without RATE the best of `RATES` counts."""
RATES = (0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.07, 0.1)
"""Learning rates that `real:N` tries: the generator learned its own, and an opponent of one fixed
rate is judged on how well that fits. They surround the optimiser's default of 0.05, and both ends
ordered worse than the middle on digits (records in results/benchmarks/digits_convnet/)."""

TUNED_OPTIMISERS = (MUON, ADAM)
"""Those that `real:N` tries where the anchors choose the generator's, each at all `RATES`."""
TUNED_METRICS = ("soft_accuracy", "accuracy", "loss", "training_loss", "late_training_loss")
"""Scores that `real:N` tries where `proxy.metric` sets none: the generator learns its own."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """Seeds of a comparison, and where its evaluations are kept."""

    seed: int = 0
    truth_seeds: int = 1
    """True accuracies are means over this many trainings."""
    records: Path | None = None
    """A JSON Lines file: evaluations that it holds are not done again."""
    truth_records: Path | None = None
    """The same for the truth's evaluations; None: they are in `records` too."""
    best: Sequence[Architecture] = ()
    """More architectures of the best tenth, which judge the order there and nothing else."""
    paired: bool = False
    """All estimators start an architecture from the same initial weights; the truth has its own,
    as sharing its luck would flatter them."""

    def __post_init__(self) -> None:
        if self.truth_seeds < 1:
            raise InvalidConfigError(f"truth_seeds must be at least 1, got {self.truth_seeds}")


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """One row of a comparison: an evaluator, or one with several settings, of which one counts."""

    name: str
    settings: Mapping[str | None, Evaluator]
    """By what tells them apart; None where there is one alone. Of several the one counts that
    agrees best with the truth: judged in its favour, on the architectures that are compared."""
    metrics: Sequence[str] = ()
    """Numbers in its records that may be the score, each a setting too; none: the score alone."""
    preparation_seconds: float = 0.0
    """Spent once, before the first architecture."""

    @classmethod
    def of(cls, evaluator: Evaluator, *, preparation_seconds: float = 0.0) -> "Estimator":
        """Take an evaluator as it is."""
        return cls(
            name=evaluator.name,
            settings={None: evaluator},
            preparation_seconds=preparation_seconds,
        )


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """One row of a comparison whose scores are made of those of others (`nasgtn.fusion`)."""

    name: str
    parts: Mapping[str, Evaluator]
    """By the name that `nasgtn.fusion.PARTS` has its weight under; what follows a comma tells
    several of them apart."""
    anchors: Sequence[Evaluation] = ()
    """Labelled architectures, none of which is compared; without them summed log-ranks are
    taken."""
    preparation_seconds: float = 0.0


def make_estimator(
    name: str,
    space: SearchSpace,
    splits: Splits,
    config: ProxyConfig,
    *,
    gtn: GtnConfig,
) -> Estimator:
    """Make an estimator that needs no generator from its name.

    Args:
        name: One of `ESTIMATORS`, but none of `GENERATED`.
        space: Where the architectures come from.
        splits: Its test part is never read.
        config: How the proxy scores; `real:N` follows it.
        gtn: Its batch size, size of the images and options of the space hold for `real:N` too, and
            its optimiser; where anchors choose that, the better one by the truth.

    Raises:
        UnknownNameError: There is no such estimator.
        InvalidConfigError: N, B or RATE is no positive number, or B above N.
    """
    task = splits.task
    if name.startswith("real:"):
        found = RealBudget.read(name, gtn.curriculum.batch_size)
        rate = found.learning_rate
        space = space.with_options(space.options_of_proxy(gtn.space_options))
        small = splits.shrunk(gtn.image_size)
        settings: dict[str | None, Evaluator] = {}
        is_chosen = gtn.inner_loop in [one.inner_loop for one in CHOICES]
        is_open = rate is None and gtn.choose_optimiser and is_chosen
        rules = TUNED_OPTIMISERS if is_open else (gtn.inner_loop,)
        for rule, one in product(rules, RATES if rate is None else (rate,)):
            steps = RealSteps(space, small, found._replace(learning_rate=one), config, rule)
            tag = "" if rule == rules[0] else f", {rule.optimiser}"
            settings[f"learning rate {one:g}{tag}" if rate is None else None] = Named(
                f"{steps.name}{tag}", steps
            )
        return Estimator(
            name=name,
            settings=settings,
            metrics=() if config.metric else TUNED_METRICS,
        )
    if name not in ZERO_COST:
        raise UnknownNameError.of("estimator", name, ESTIMATORS)
    return Estimator.of(ZERO_COST[name](space, task, splits.train))


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
    looked_up = mean_scores(evaluate(truth, one, seed=config.seed) for one in config.best)
    judges = _Judges(known, _known(config.best, looked_up, {}), config.seed)
    everyone = (*architectures, *config.best)
    estimates = []
    for estimator in estimators:
        if isinstance(estimator, Fusion):
            found = judges.estimate(
                estimator.name,
                _fused(estimator, architectures, records, config),
                _fused(estimator, everyone, records, config) if config.best else (),
            )
            estimates.append(replace(found, preparation_seconds=estimator.preparation_seconds))
            continue
        evaluations = {
            setting: [
                records.evaluate(evaluator, one, _seed(evaluator, config))
                for one in _told(everyone, evaluator.name, progress)
            ]
            for setting, evaluator in estimator.settings.items()
        }
        estimates += _best_setting(estimator, evaluations, judges)
    return Comparison(
        n_architectures=len(architectures),
        n_best=len(config.best),
        seed=config.seed,
        truth=truth.name,
        truth_seeds=config.truth_seeds,
        n_truth_failed=len(architectures) - len(known),
        truth_seconds_per_candidate=sum(one.seconds for one in trained) / len(architectures),
        estimators=tuple(estimates),
    )


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


@dataclass(frozen=True)
class _Judges:
    """Architectures of known truth: those that are compared, and more of the best tenth."""

    known: Mapping[str, Known]
    more: Mapping[str, Known]
    seed: int
    """Of the bootstraps."""

    def without_more(self, records: Sequence[Evaluation]) -> list[Evaluation]:
        """Leave out those that judge the best tenth alone."""
        return [one for one in records if one.architecture_id not in self.more]

    def estimate(
        self, name: str, records: Sequence[Evaluation], of_everyone: Sequence[Evaluation]
    ) -> Estimate:
        """Judge the scores of what is compared; if there are more, the tenth by everyone's."""
        found = estimate(name, records, self.known, seed=self.seed)
        if not self.more:
            return found
        is_best = best_tenth([one.truth for one in self.known.values()])
        tenth = {**dict(compress(self.known.items(), is_best)), **self.more}
        return found.with_best_tenth(estimate(name, of_everyone, tenth, seed=self.seed))


def _best_setting(
    estimator: Estimator,
    evaluations: Mapping[str | None, Sequence[Evaluation]],
    judges: "_Judges",
) -> list[Estimate]:
    """Judge an estimator by its best setting, at its end and at the rungs before, if it has any.

    Trying the other settings was preparation. At a rung the score is the one that the evaluator
    told there, whatever number is taken at the end.
    """
    rows: dict[tuple[str | None, str | None], Sequence[Evaluation]] = {
        (setting, None): row for setting, row in evaluations.items()
    }
    if estimator.metrics:
        rows = {
            (setting, metric): [_scored_by(metric, one) for one in row]
            for setting, row in evaluations.items()
            for metric in estimator.metrics
        }

    def merit(place: tuple[str | None, str | None]) -> float:
        scores = mean_scores(rows[place])
        both = [(scores[name], one.truth) for name, one in judges.known.items() if name in scores]
        return or_lowest(spearman(*(zip(*both, strict=True) if both else ((), ()))))

    best = max(rows, key=merit)
    others = [
        one.seconds
        for name, row in evaluations.items()
        if name != best[0]
        for one in judges.without_more(row)
    ]
    end = replace(
        judges.estimate(estimator.name, judges.without_more(rows[best]), rows[best]),
        setting=", ".join(part.replace("_", " ") for part in best if part) or None,
    )
    rungs = rung_estimates({estimator.name: evaluations[best[0]]}, judges.known, seed=judges.seed)
    before = estimator.preparation_seconds + sum(others)
    return [
        replace(row, preparation_seconds=before)
        for row in (end, *(replace(rung, setting=best[0]) for rung in rungs[:-1]))
    ]


def _scored_by(metric: str, record: Evaluation) -> Evaluation:
    """Take another number of the record as its score."""
    return record if record.score is None else replace(record, score=record.metrics[metric])
