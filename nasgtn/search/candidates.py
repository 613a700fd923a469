"""Which of the evaluated architectures are worth a full training."""

from collections.abc import Sequence

from nasgtn.ranking import undominated
from nasgtn.records import Evaluation
from nasgtn.search.config import OBJECTIVES
from nasgtn.search.objective import IS_PRUNED, values_of


def comparable(records: Sequence[Evaluation]) -> list[Evaluation]:
    """Keep one evaluation of each architecture that was scored to the end, in order."""
    kept: dict[str, Evaluation] = {}
    for record in records:
        if record.score is not None and not record.metrics.get(IS_PRUNED):
            kept.setdefault(record.architecture_id, record)
    return list(kept.values())


def best_candidates(
    records: Sequence[Evaluation], n: int, objectives: tuple[str, ...] = ("accuracy",)
) -> list[Evaluation]:
    """Choose the best `n` distinct architectures, best first.

    With several objectives those come first that no other one beats in all of them. Within both
    groups the score decides, and among equals the order of evaluation.
    """
    evaluations = comparable(records)
    front = _pareto_front(evaluations, objectives) if len(objectives) > 1 else set()
    ranked = sorted(evaluations, key=lambda e: (e.architecture_id not in front, -_score(e)))
    return ranked[:n]


def _pareto_front(evaluations: Sequence[Evaluation], objectives: tuple[str, ...]) -> set[str]:
    signs = [1 if OBJECTIVES[name] == "maximize" else -1 for name in objectives]
    points = [
        [sign * value for sign, value in zip(signs, values_of(one, objectives), strict=True)]
        for one in evaluations
    ]
    fronts = zip(evaluations, undominated(points), strict=True)
    return {one.architecture_id for one, is_best in fronts if is_best}


def _score(evaluation: Evaluation) -> float:
    assert evaluation.score is not None
    return evaluation.score
