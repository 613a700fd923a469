"""From evaluations to numbers: how well each estimator orders architectures of known truth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import NamedTuple

from nasgtn.ranking import Agreement, agreement, partial_spearman
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
    accuracy: float | None = None
    """Mean validation accuracy after a proxy's last step; None for what does not train."""
    preparation_seconds: float = 0.0
    """Spent once for all architectures: training a generator, or trying other settings."""
    points: tuple[Point, ...] = field(default=(), repr=False)

    def flat(self) -> dict[str, object]:
        """Write all but the points as one row: the numbers of the agreement beside the others."""
        return {
            "estimator": self.name,
            "setting": self.setting,
            **asdict(self.agreement),
            "partial": self.partial,
            "n_failed": self.n_failed,
            "seconds_per_candidate": self.seconds_per_candidate,
            "accuracy": self.accuracy,
            "preparation_seconds": self.preparation_seconds,
        }


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
