"""What evaluations cost in multiply-adds, counted and kept as scores are."""

from collections.abc import Collection, Iterable
from statistics import fmean

from nasgtn.evaluation.evaluator import Counted, Evaluator, Named, Report, Scores
from nasgtn.records import Evaluation
from nasgtn.spaces import Architecture

PREFIX = "multiply-adds of "


class Counting:
    """The multiply-adds of a counted evaluator, as a score: they can be kept as scores are."""

    def __init__(self, name: str, evaluator: Counted) -> None:
        self.name = f"{PREFIX}{name}"
        self._evaluator = evaluator

    @classmethod
    def of(cls, evaluator: Evaluator) -> "Counting | None":
        """Look for what can be counted, behind other names too; None: nothing can."""
        inner = evaluator
        while isinstance(inner, Named):
            inner = inner.evaluator
        return cls(evaluator.name, inner) if isinstance(inner, Counted) else None

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        return Scores(score=float(self._evaluator.multiply_adds(architecture)))


def mean_multiply_adds(
    records: Iterable[Evaluation], architectures: Collection[str]
) -> dict[str, float]:
    """Average what was counted over some architectures, by the evaluator that it was counted of.

    Args:
        records: Of `Counting`.
        architectures: Ids; an evaluator whose count of one of them is missing has no mean.
    """
    found: dict[str, dict[str, float]] = {}
    for one in records:
        if one.score is not None and one.architecture_id in architectures:
            counts = found.setdefault(one.evaluator.removeprefix(PREFIX), {})
            counts[one.architecture_id] = one.score
    return {
        name: fmean(counts.values())
        for name, counts in found.items()
        if counts and len(counts) == len({*architectures})
    }
