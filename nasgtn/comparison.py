"""Compares estimators: how well, and for how many seconds, each orders the same architectures."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from nasgtn.artefacts import write_text
from nasgtn.data import Splits
from nasgtn.errors import ArtefactError, InvalidConfigError, InvalidDataError, UnknownNameError
from nasgtn.evaluation import Evaluator, evaluate
from nasgtn.evaluation.baselines import ZERO_COST
from nasgtn.evaluation.proxy import GtnProxy, ProxyConfig, RealSteps
from nasgtn.gtn import GtnConfig, SyntheticData
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.ranking import agreement
from nasgtn.records import Evaluation, append_record, read_records
from nasgtn.spaces import Architecture, SearchSpace

ESTIMATORS = ("gtn", "real:N", "real:N@RATE", *ZERO_COST)
"""Names of the estimators; N is a number of steps on real batches, RATE their learning rate."""

Interval = tuple[float, float]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """Seeds of a comparison, and where its evaluations are kept."""

    seed: int = 0
    truth_seeds: int = 1
    """True accuracies are means over this many trainings."""
    records: Path | None = None
    """A JSON Lines file: evaluations that it holds are not done again."""

    def __post_init__(self) -> None:
        if self.truth_seeds < 1:
            raise InvalidConfigError(f"truth_seeds must be at least 1, got {self.truth_seeds}")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How one estimator orders the architectures that have a true accuracy."""

    estimator: str
    n: int
    """Architectures that both the estimator and the truth could score."""
    n_failed: int
    """Architectures that the estimator could not score."""
    spearman: float | None
    spearman_interval: Interval | None
    """95 % bootstrap interval."""
    kendall: float | None
    kendall_interval: Interval | None
    best_half: float | None
    """Spearman over the half that is best by truth."""
    best_half_interval: Interval | None
    best_tenth: float | None
    best_tenth_interval: Interval | None
    top_k: int
    top_k_recall: float | None
    """Part of the truly best `top_k` among the `top_k` of highest score."""
    seconds_per_candidate: float | None
    """Mean over the scored architectures; what was needed once, beforehand, is not in it."""
    accuracy: float | None = None
    """Mean validation accuracy after a proxy's last step; None for what does not train."""
    preparation_seconds: float
    """Spent once for all architectures: meta-training of the generator."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Several estimators against one truth, on the same architectures."""

    n_architectures: int
    seed: int
    truth: str
    truth_seeds: int
    n_truth_failed: int
    truth_seconds_per_candidate: float
    estimators: tuple[Estimate, ...]
    """In the order that was asked for."""


def make_estimator(
    name: str,
    space: SearchSpace,
    splits: Splits,
    config: ProxyConfig,
    *,
    gtn: GtnConfig,
    synthetic: SyntheticData | None = None,
) -> Evaluator:
    """Make an estimator from its name: `gtn`, `real:N`, or a training-free baseline.

    Args:
        name: One of `ESTIMATORS`.
        space: Where the architectures come from.
        splits: Its test part is never read.
        config: How the proxy scores; `real:N` follows it too.
        gtn: Its optimiser, batch size and size of the images hold for both.
        synthetic: The generator's batches; `gtn` alone needs them.

    Raises:
        UnknownNameError: There is no such estimator.
        InvalidConfigError: `gtn` without `synthetic`, or N is no positive number.
    """
    task = splits.task
    if name == "gtn":
        if synthetic is None:
            raise InvalidConfigError("the estimator gtn needs a trained generator, got none")
        return GtnProxy(space, task, synthetic, splits.validation, config, gtn.inner_loop)
    kind, colon, budget = name.partition(":")
    if kind == "real" and colon:
        n_steps, rate = _real_budget(name, budget)
        batches = n_steps, gtn.curriculum.batch_size
        small = splits.shrunk(gtn.image_size)
        return RealSteps(space, small, batches, config, gtn.inner_loop, learning_rate=rate)
    if name not in ZERO_COST:
        raise UnknownNameError.of("estimator", name, ESTIMATORS)
    return ZERO_COST[name](space, task, splits.train)


def _real_budget(name: str, budget: str) -> tuple[int, float | None]:
    """Read `N` or `N@RATE`."""
    steps, at, rate = budget.partition("@")
    try:
        found = int(steps), float(rate) if at else None
    except ValueError:
        found = 0, None
    if found[0] < 1 or (found[1] is not None and not 0 < found[1] < math.inf):
        raise InvalidConfigError(
            "real:N or real:N@RATE needs a positive number of steps and a positive learning "
            f"rate, got {name!r}"
        )
    return found


def compare(
    estimators: Sequence[Evaluator],
    truth: Evaluator,
    architectures: Sequence[Architecture],
    config: ComparisonConfig,
    *,
    preparation: Mapping[str, float] | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Score every architecture with every estimator and with the truth, and compare the orders.

    Args:
        estimators: See `make_estimator`.
        truth: Trained, or looked up; it never sees what an estimator found out.
        architectures: Distinct ones; one that the truth cannot score is left out of the numbers.
        config: Seeds, and the file that keeps the evaluations.
        preparation: Seconds by estimator that were spent once, before the first architecture.
        progress: Told after each evaluation.

    Raises:
        InvalidDataError: The truth cannot score any of the architectures.
    """
    records = _Records(config)
    trained = [
        records.evaluate(truth, one, index)
        for one, index in _told(
            list(product(architectures, range(config.truth_seeds))), truth.name, progress
        )
    ]
    truths = _means(trained)
    if not truths:
        raise InvalidDataError(
            f"the truth must score at least one of {len(architectures)} architectures, but the "
            f"first of them gave: {trained[0].failure if trained else 'nothing'}"
        )
    estimates = []
    for estimator in estimators:
        evaluations = [
            records.evaluate(estimator, one, 0)
            for one in _told(architectures, estimator.name, progress)
        ]
        seconds = (preparation or {}).get(estimator.name, 0.0)
        estimates.append(_estimate(evaluations, truths, seconds, config.seed))
    return Comparison(
        n_architectures=len(architectures),
        seed=config.seed,
        truth=truth.name,
        truth_seeds=config.truth_seeds,
        n_truth_failed=len(architectures) - len(truths),
        truth_seconds_per_candidate=sum(one.seconds for one in trained) / len(architectures),
        estimators=tuple(estimates),
    )


def _told(units: Sequence[T], stage: str, progress: Progress) -> Iterator[T]:
    """Yield each unit, and tell that it is done when the next one is asked for."""
    for number, unit in enumerate(units, start=1):
        yield unit
        progress(stage, number, len(units))


def _means(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Average the scores of each architecture over those of its seeds that gave one."""
    scores: dict[str, list[float]] = {}
    for evaluation in evaluations:
        if evaluation.score is not None:
            scores.setdefault(evaluation.architecture_id, []).append(evaluation.score)
    return {name: fmean(found) for name, found in scores.items()}


def _estimate(
    evaluations: Sequence[Evaluation], truths: Mapping[str, float], preparation: float, seed: int
) -> Estimate:
    pairs = [
        (evaluation.score, truths[evaluation.architecture_id])
        for evaluation in evaluations
        if evaluation.score is not None and evaluation.architecture_id in truths
    ]
    found = agreement([pair[0] for pair in pairs], [pair[1] for pair in pairs], seed=seed)
    scored = [one for one in evaluations if one.score is not None]
    accuracies = [one.metrics["accuracy"] for one in scored if "accuracy" in one.metrics]
    return Estimate(
        estimator=evaluations[0].evaluator,
        n=found.n,
        n_failed=len(evaluations) - len(scored),
        spearman=found.spearman,
        spearman_interval=found.spearman_interval,
        kendall=found.kendall,
        kendall_interval=found.kendall_interval,
        best_half=found.best_half,
        best_half_interval=found.best_half_interval,
        best_tenth=found.best_tenth,
        best_tenth_interval=found.best_tenth_interval,
        top_k=found.top_k,
        top_k_recall=found.top_k_recall,
        seconds_per_candidate=fmean(one.seconds for one in scored) if scored else None,
        accuracy=fmean(accuracies) if accuracies else None,
        preparation_seconds=preparation,
    )


class _Records:
    """Evaluations by evaluator, architecture and seed: those of the file are not done again."""

    def __init__(self, config: ComparisonConfig) -> None:
        self._path = config.records
        self._seed = config.seed
        self._known: dict[tuple[str, str, int], Evaluation] = {}
        if config.records is not None:
            for record in read_records(config.records):
                self._known[record.evaluator, record.architecture_id, record.seed] = record

    def evaluate(self, evaluator: Evaluator, architecture: Architecture, index: int) -> Evaluation:
        seed = derive_seed(self._seed, "comparison", evaluator.name, index)
        key = (evaluator.name, architecture.id, seed)
        if key not in self._known:
            self._known[key] = evaluate(evaluator, architecture, seed=seed)
            if self._path is not None:
                append_record(self._path, self._known[key])
        return self._known[key]


def check_settings(records: Path, settings: Mapping[str, object]) -> None:
    """Keep what evaluations are made with beside their file, and refuse to mix two kinds.

    Args:
        records: File of the evaluations; it need not exist yet.
        settings: JSON-able: everything that an evaluation depends on.

    Raises:
        ArtefactError: The file was made with other settings.
    """
    path = records.with_name(records.name + ".settings.json")
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    if not records.exists():
        records.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        raise ArtefactError(
            f"{records} must hold evaluations made with the same settings, but it was made "
            f"with others (see {path}); choose another file"
        )
