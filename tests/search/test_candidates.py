import itertools

import numpy as np
import pytest

from nasgtn.records import Evaluation
from nasgtn.search import best_candidates, comparable


def evaluation(name: str, score: float | None, **metrics: float) -> Evaluation:
    failure = "RuntimeError: too large" if score is None else None
    return Evaluation(
        evaluator="gtn",
        architecture_id=name,
        choices={"name": name},
        seed=0,
        score=score,
        seconds=0.1,
        failure=failure,
        metrics=metrics,
    )


def names(evaluations: list[Evaluation]) -> list[str]:
    return [one.architecture_id for one in evaluations]


RECORDS = [
    evaluation("a", 0.5),
    evaluation("b", 0.9),
    evaluation("failed", None),
    evaluation("c", 0.7),
    evaluation("pruned", 0.99, is_pruned=1.0),
    evaluation("b", 0.9),
    evaluation("d", 0.7),
]


def test_only_whole_scores_of_distinct_architectures_compare() -> None:
    assert names(comparable(RECORDS)) == ["a", "b", "c", "d"]


def test_the_best_come_first_and_equals_in_the_order_of_evaluation() -> None:
    assert names(best_candidates(RECORDS, 3)) == ["b", "c", "d"]
    assert names(best_candidates(RECORDS, 30)) == ["b", "c", "d", "a"]


@pytest.mark.parametrize("seed", range(5))
def test_with_two_objectives_the_pareto_front_comes_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = [(float(a), float(p)) for a, p in rng.integers(0, 12, (25, 2))]
    records = [evaluation(f"{i:02d}", a, n_parameters=p) for i, (a, p) in enumerate(points)]

    def is_beaten(i: int) -> bool:  # brute force, written out
        accuracy, size = points[i]
        return any((a >= accuracy and p < size) or (a > accuracy and p <= size) for a, p in points)

    front = {f"{i:02d}" for i in range(25) if not is_beaten(i)}
    ranked = best_candidates(records, 25, ("accuracy", "params"))
    assert set(names(ranked[: len(front)])) == front
    for group in (ranked[: len(front)], ranked[len(front) :]):
        scores = [one.score or 0.0 for one in group]
        assert all(a >= b for a, b in itertools.pairwise(scores))
