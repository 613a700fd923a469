"""What a study is told where a search goes by the fused score: log-ranks within a fixed group."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nasgtn.evaluation import Evaluator, evaluate
from nasgtn.fusion import Reference
from nasgtn.records import Evaluation, append_record, read_records
from nasgtn.spaces import Architecture


@dataclass(frozen=True, kw_only=True)
class TrainingFree:
    """Evaluators that need no training, and the records of what they scored."""

    evaluators: Mapping[str, Evaluator]
    records: Path
    """JSON Lines file of their evaluations; what is in it is not done again."""
    seed: int
    """Of their evaluations."""

    def read(self) -> dict[str, dict[str, Evaluation]]:
        """Return all evaluations so far, by architecture id and evaluator."""
        seen: dict[str, dict[str, Evaluation]] = {}
        for record in read_records(self.records):
            if record.evaluator in self.evaluators:
                seen.setdefault(record.architecture_id, {})[record.evaluator] = record
        return seen

    def score(self, architecture: Architecture) -> dict[str, dict[str, Evaluation]]:
        """Evaluate an architecture, and return all evaluations, its own among them."""
        seen = self.read()
        own = seen.setdefault(architecture.id, {})
        for name, evaluator in self.evaluators.items():
            if name not in own:
                own[name] = evaluate(evaluator, architecture, seed=self.seed)
                append_record(self.records, own[name])
        return seen

    def scores_of(self, architecture: Architecture) -> dict[str, float | None]:
        """Evaluate an architecture, and return its scores by evaluator; None for what failed."""
        own = self.score(architecture)[architecture.id]
        return {name: one.score for name, one in own.items()}


@dataclass(frozen=True, kw_only=True)
class FusedScore:
    """Sums the proxy's log-rank and those of training-free scores in a reference group."""

    free: TrainingFree
    reference: Reference

    def of(self, architecture: Architecture, evaluation: Evaluation) -> float:
        """Score an architecture that the proxy has evaluated; higher is better."""
        scores = {**self.free.scores_of(architecture), evaluation.evaluator: evaluation.score}
        return self.reference.summed_log_ranks(scores)
