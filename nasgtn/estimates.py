"""From evaluations to numbers: how well each estimator orders architectures of known truth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import compress
from statistics import fmean
from typing import NamedTuple

import numpy as np

from nasgtn.ranking import (
    Agreement,
    Interval,
    agreement,
    best_tenth,
    partial_spearman,
    spearman_gain,
)
from nasgtn.records import Evaluation


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of an architecture that the truth could score."""

    description: str
    truth: float
    n_parameters: int | None = None
    n_multiply_adds: int | None = None


class Point(NamedTuple):
    """One architecture as an estimator and the truth see it."""

    description: str
    score: float
    truth: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How one estimator orders the architectures that have a true accuracy."""

    name: str
    """Of the estimator."""
    setting: str | None = None
    """Of a tuned estimator: the setting that agrees best with the truth."""
    agreement: Agreement
    partial: float | None
    """Spearman's rho after parameters and multiply-adds are taken out."""
    n_failed: int
    """Architectures that the estimator could not score."""
    seconds_per_candidate: float | None
    """Mean over the scored architectures; what was needed once, beforehand, is not in it."""
    multiply_adds_per_candidate: float | None = None
    """What does not depend on the machine (`nasgtn.spaces.cost`), way back and optimiser included:
    a mean over all architectures that were compared; None where it was not counted."""
    accuracy: float | None = None
    """Mean validation accuracy after a proxy's last step; None for what does not train."""
    preparation_seconds: float = 0.0
    """Spent once for all architectures: training a generator, or trying other settings."""
    points: tuple[Point, ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """Name and setting."""
        return f"{self.name} ({self.setting})" if self.setting else self.name

    def with_best_tenth(self, best: "Estimate") -> "Estimate":
        """Take the order of the best tenth from an estimate on more of its architectures."""
        found = best.agreement
        return replace(
            self,
            agreement=replace(
                self.agreement,
                n_best_tenth=found.n,
                best_tenth=found.spearman,
                best_tenth_interval=found.spearman_interval,
                best_tenth_kendall=found.kendall,
                best_tenth_kendall_interval=found.kendall_interval,
            ),
        )

    def flat(self) -> dict[str, object]:
        """Write all but the points as one row: the numbers of the agreement beside the others."""
        return {
            "estimator": self.name,
            "setting": self.setting,
            **asdict(self.agreement),
            "partial": self.partial,
            "n_failed": self.n_failed,
            "seconds_per_candidate": self.seconds_per_candidate,
            "multiply_adds_per_candidate": self.multiply_adds_per_candidate,
            "accuracy": self.accuracy,
            "preparation_seconds": self.preparation_seconds,
        }


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How much better one estimator orders than another, on the same architectures."""

    name: str
    """Of the one."""
    n: int
    spearman: float | None
    """Of the one."""
    other: float | None
    """Spearman's rho of the other."""
    difference: float | None
    interval: Interval | None
    """Of the difference: both are judged on the same resamples."""


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
    n_best: int = 0
    """More architectures of the best tenth, which judge the order there and nothing else."""

    def flat(self) -> dict[str, object]:
        """Write it as JSON has it, with one flat row an estimator."""
        return {**vars(self), "estimators": [row.flat() for row in self.estimators]}


def estimate(
    name: str, records: Sequence[Evaluation], known: Mapping[str, Known], *, seed: int
) -> Estimate:
    """Compare an estimator's scores with the truth.

    Args:
        name: Of the estimator.
        records: Its evaluations; several of one architecture count as their mean.
        known: By architecture id; others are left out.
        seed: Of the bootstrap.
    """
    scores = mean_scores(records)
    both = [(scores[name], one) for name, one in known.items() if name in scores]
    found, truth = [score for score, _ in both], [one.truth for _, one in both]
    sizes = [
        (one.n_parameters, one.n_multiply_adds)
        for _, one in both
        if one.n_parameters is not None and one.n_multiply_adds is not None
    ]
    scored = [record for record in records if record.score is not None]
    accuracies = [one.metrics["accuracy"] for one in scored if "accuracy" in one.metrics]
    return Estimate(
        name=name,
        agreement=agreement(found, truth, seed=seed, top_k=choose_top_k(len(both))),
        partial=partial_spearman(found, truth, list(zip(*sizes, strict=True)))
        if len(sizes) == len(both)
        else None,
        n_failed=len(records) - len(scored),
        seconds_per_candidate=fmean(one.seconds for one in scored) if scored else None,
        accuracy=fmean(accuracies) if accuracies else None,
        points=tuple(Point(one.description, score, one.truth) for score, one in both),
    )


@dataclass(frozen=True)
class Judges:
    """Architectures of known truth: those that are compared, and more of the best tenth."""

    known: Mapping[str, Known]
    more: Mapping[str, Known]
    seed: int
    """Of the bootstraps."""

    def estimate(
        self, name: str, records: Sequence[Evaluation], more: Sequence[Evaluation]
    ) -> Estimate:
        """Judge the scores of what is compared, and in the best tenth those of more."""
        found = estimate(name, records, self.known, seed=self.seed)
        if not self.more:
            return found
        is_best = best_tenth([one.truth for one in self.known.values()])
        tenth = {**dict(compress(self.known.items(), is_best)), **self.more}
        return found.with_best_tenth(estimate(name, [*records, *more], tenth, seed=self.seed))


def rung_estimates(
    by_name: Mapping[str, Sequence[Evaluation]],
    known: Mapping[str, Known],
    multiply_adds: Mapping[str, float],
    *,
    seed: int,
) -> tuple[Estimate, ...]:
    """Judge every evaluator with a curve at each of its steps, on the same architectures.

    What an evaluation costs is shared out evenly among its steps.

    Args:
        by_name: Evaluations by evaluator.
        known: Architectures that may judge; of those without a whole curve nothing is said.
        multiply_adds: A candidate's, by evaluator, where they were counted.
        seed: Of the bootstrap.
    """
    found: list[Estimate] = []
    for name, records in by_name.items():
        judged = [one for one in records if one.architecture_id in known and one.curve]
        last = max((one.curve[-1][0] for one in judged), default=0)
        whole = [one for one in judged if one.curve[-1][0] == last]
        steps = [step for step, _ in whole[0].curve] if whole else []
        if len(steps) > 1:
            cost = multiply_adds.get(name)
            for step in steps:
                cut = [_cut(one, step) for one in whole]
                row = estimate(f"{name} after {step}", cut, known, seed=seed)
                share = None if cost is None else cost * step / last
                found.append(replace(row, multiply_adds_per_candidate=share))
    return tuple(found)


def _cut(record: Evaluation, step: int) -> Evaluation:
    """Make the evaluation that would have ended after `step`."""
    seconds = record.seconds * step / record.curve[-1][0]
    return replace(record, score=dict(record.curve)[step], seconds=seconds, metrics={})


def gain(
    name: str,
    records: Sequence[Evaluation],
    others: Sequence[Evaluation],
    known: Mapping[str, Known],
    *,
    seed: int,
) -> Gain:
    """Compare two estimators' orders with the truth; only what both could score counts."""
    scores, rivals = mean_scores(records), mean_scores(others)
    both = [
        (scores[i], rivals[i], one.truth)
        for i, one in known.items()
        if i in scores and i in rivals
    ]
    columns = list(zip(*both, strict=True)) or [(), (), ()]
    found = spearman_gain(*columns, rng=np.random.default_rng(seed))
    return Gain(name=name, n=len(both), **asdict(found))


def mean_scores(records: Iterable[Evaluation]) -> dict[str, float]:
    """Average the scores of each architecture that has one, by id."""
    scores: dict[str, list[float]] = {}
    for record in records:
        if record.score is not None:
            scores.setdefault(record.architecture_id, []).append(record.score)
    return {name: fmean(found) for name, found in scores.items()}


def choose_top_k(n: int) -> int:
    """Ask for the best five, or the best third of fewer than fifteen architectures."""
    return max(1, min(5, n // 3))
