"""The gate: architectures of the poorest training-free scores are not trained by the proxy."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from pathlib import Path

from nasgtn.evaluation import Evaluator, evaluate
from nasgtn.fusion import summed_log_ranks
from nasgtn.records import Evaluation, append_record, read_records
from nasgtn.spaces import Architecture

MIN_SEEN = 10
"""Architectures that pass before the first one can be stopped: ranks of fewer say little."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Ranks an architecture among those seen so far, by scores that need no training."""

    evaluators: Mapping[str, Evaluator]
    weights: Mapping[str, float]
    """Of the log-ranks by each of them."""
    records: Path
    """JSON Lines file of their evaluations; what is in it has been seen."""
    seed: int
    """Of their evaluations."""
    share: float
    """The lowest share that is stopped, in (0, 1)."""

    def stops(self, architecture: Architecture) -> bool:
        """Score an architecture, and say whether it is among the lowest share."""
        seen = self._read()
        own = seen.setdefault(architecture.id, {})
        for name, evaluator in self.evaluators.items():
            if name not in own:
                own[name] = evaluate(evaluator, architecture, seed=self.seed)
                append_record(self.records, own[name])
        if len(seen) <= MIN_SEEN:
            return False
        names = list(seen)
        sums = summed_log_ranks(
            [[_score(seen[name].get(part)) for part in self.evaluators] for name in names],
            [self.weights[part] for part in self.evaluators],
        )
        return float((sums < sums[names.index(architecture.id)]).mean()) < self.share

    def _read(self) -> dict[str, dict[str, Evaluation]]:
        seen: dict[str, dict[str, Evaluation]] = {}
        for record in read_records(self.records):
            if record.evaluator in self.evaluators:
                seen.setdefault(record.architecture_id, {})[record.evaluator] = record
        return seen


def _score(record: Evaluation | None) -> float:
    return nan if record is None or record.score is None else record.score
