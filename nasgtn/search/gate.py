"""The gate: architectures of the poorest training-free scores are not trained by the proxy."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

from nasgtn.fusion import summed_log_ranks
from nasgtn.records import Evaluation
from nasgtn.search.fused import TrainingFree
from nasgtn.spaces import Architecture

MIN_SEEN = 10
"""Architectures with scores before the first one can be stopped: ranks among fewer say little."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Ranks an architecture among those seen so far, by scores that need no training."""

    free: TrainingFree
    weights: Mapping[str, float]
    """Of the log-ranks by each of its evaluators."""
    share: float
    """The lowest share that is stopped, in (0, 1)."""

    def stops(self, architecture: Architecture) -> bool:
        """Score an architecture, and say whether it is among the lowest share."""
        seen = self.free.score(architecture)
        if len(seen) <= MIN_SEEN:
            return False
        names = list(seen)
        sums = summed_log_ranks(
            [[_score(seen[name].get(part)) for part in self.weights] for name in names],
            list(self.weights.values()),
        )
        return float((sums < sums[names.index(architecture.id)]).mean()) < self.share


def _score(record: Evaluation | None) -> float:
    return nan if record is None or record.score is None else record.score
