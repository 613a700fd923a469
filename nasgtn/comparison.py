"""Compares estimators: how well, and for how many seconds, each orders the same architectures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TypeVar

from nasgtn.data import Splits
from nasgtn.errors import InvalidConfigError, InvalidDataError, UnknownNameError
from nasgtn.estimates import (
    Comparison,
    Estimate,
    Judges,
    Known,
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
from nasgtn.ranking import spearman
from nasgtn.records import CALIBRATED, ENSEMBLE, FUSED, Evaluation, or_lowest
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.spaces.cost import Cost, measure_cost
from nasgtn.task import Task

FEW = 5
"""Or a twentieth of what is compared: so many more of the best tenth a sum ranks together."""
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
    """Seeds of a comparison, where its evaluations are kept, and who judges the best tenth."""

    seed: int = 0
    truth_seeds: int = 1
    """True accuracies are means over this many trainings."""
    records: Path | None = None
    """A JSON Lines file: evaluations that it holds are not done again."""
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

    def scored(evaluator: Evaluator, some: Sequence[Architecture]) -> list[Evaluation]:
        seed = _seed(evaluator, config)
        return [
            records.evaluate(evaluator, one, seed) for one in _told(some, evaluator.name, progress)
        ]

    looked_up = mean_scores(evaluate(truth, one, seed=config.seed) for one in config.best)
    judges = Judges(known, _known(config.best, looked_up, {}), config.seed)
    estimates = []
    for estimator in estimators:
        if isinstance(estimator, Fusion):
            row = _fused(estimator, architectures, records, config)
            more = _fused_beside(estimator, architectures, records, config)
            found = judges.estimate(estimator.name, row, more)
            estimates.append(replace(found, preparation_seconds=estimator.preparation_seconds))
            continue
        evaluations = {
            setting: scored(evaluator, architectures)
            for setting, evaluator in estimator.settings.items()
        }
        setting = _best_setting(estimator, evaluations, known)
        more = scored(estimator.settings[setting[0]], config.best)
        estimates += _judged(estimator, evaluations, setting, more, judges)
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
    judges: Judges,
) -> list[Estimate]:
    """Judge an estimator by this setting, at its end and at the rungs before, if it has any.

    Trying the other settings was preparation. At a rung the score is the one that the evaluator
    told there, whatever number is taken at the end.
    """
    name, metric = setting
    row = evaluations[name]
    end = replace(
        judges.estimate(estimator.name, _scored_by(metric, row), _scored_by(metric, more)),
        setting=", ".join(part.replace("_", " ") for part in setting if part) or None,
    )
    rungs = rung_estimates({estimator.name: row}, judges.known, seed=judges.seed)
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
