"""Evaluations of anchors, as they stand in `anchors.jsonl`."""

from collections.abc import Iterable

from nasgtn.records import Evaluation
from nasgtn.spaces import Architecture


def anchors_of(
    architectures: Iterable[Architecture], scores: Iterable[float], seconds: float = 0.0
) -> list[Evaluation]:
    """Give each architecture a merit."""
    return [
        Evaluation(
            evaluator="anchor",
            architecture_id=one.id,
            choices=one.choices,
            seed=0,
            score=score,
            seconds=seconds,
        )
        for one, score in zip(architectures, scores, strict=False)
    ]
