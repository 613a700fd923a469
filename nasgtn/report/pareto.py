"""The Pareto front of a search with several objectives, and how much it dominates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasgtn.ranking import undominated

Point = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Front:
    """The trials that no other one beats in everything."""

    objectives: tuple[str, ...]
    """`accuracy` (the score that Optuna was told) is better higher, every other one lower."""
    numbers: tuple[int, ...]
    """Of the trials, in their order."""
    hypervolume: float
    """Part in [0, 1] of the box from the worst to the best value of each objective, among all
    complete trials, that the front dominates."""


def pareto_front(
    trials: Sequence[Mapping[str, Any]],  # as in RunData.history
    objectives: Sequence[str],
) -> Front | None:
    """Find the front; None with one objective, or without trials that have a value of each."""
    done = complete(trials)
    if len(objectives) < 2 or not done or any(len(t["values"]) != len(objectives) for t in done):
        return None
    signs = [1 if name == "accuracy" else -1 for name in objectives]
    points = [
        tuple(sign * float(value) for sign, value in zip(signs, trial["values"], strict=True))
        for trial in done
    ]
    is_best = undominated(points)
    best = {point for point, on_front in zip(points, is_best, strict=True) if on_front}
    return Front(
        objectives=tuple(objectives),
        numbers=tuple(
            int(trial["number"]) for trial, on_front in zip(done, is_best, strict=True) if on_front
        ),
        hypervolume=hypervolume(_scaled(sorted(best), points)),
    )


def complete(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Keep the trials that were scored to the end, each architecture once."""
    return [
        trial
        for trial in trials
        if trial.get("state") == "complete"
        and trial.get("values")
        and not trial.get("is_duplicate")
    ]


def hypervolume(points: Sequence[Point]) -> float:
    """Measure what `points`, higher is better, dominate of the quadrant above the origin.

    Slices along the last axis, and measures each slice in the others.
    """
    if not points:
        return 0.0
    if len(points[0]) == 1:
        return max(point[0] for point in points)
    total = below = 0.0
    for level in sorted({point[-1] for point in points}):
        slice_ = {point[:-1] for point in points if point[-1] >= level}
        total += (level - below) * hypervolume(sorted(slice_))
        below = level
    return total


def _scaled(best: Sequence[Point], points: Sequence[Point]) -> list[Point]:
    """Put the worst value of each objective at 0 and the best at 1; 1 where all are equal."""
    axes = [(min(axis), max(axis)) for axis in zip(*points, strict=True)]
    return [
        tuple(
            (value - low) / (high - low) if high > low else 1.0
            for value, (low, high) in zip(point, axes, strict=True)
        )
        for point in best
    ]
