"""Evaluator: the protocol that proxies, baselines and the ground truth follow."""

import errno
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch

from nasgtn.records import Evaluation
from nasgtn.spaces import Architecture


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What an evaluator measured."""

    score: float
    """Higher is better. A number that is not finite counts as a failure."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    curve: tuple[tuple[int, float], ...] = ()
    seconds: float | None = None
    """Charged in place of the time that the evaluation takes; None: that time."""


@runtime_checkable
class Report(Protocol):
    """Takes the score so far, and says whether to go on."""

    def __call__(self, step: int, score: float) -> bool:
        """Return False to stop the evaluation here."""


@runtime_checkable
class Evaluator(Protocol):
    """Scores one architecture. Its state never changes: calls may come in any order."""

    @property
    def name(self) -> str:
        """One word for records and tables, such as `gtn` or `real:16`."""

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        """Score the network of `architecture`; the same seed gives the same scores.

        Args:
            architecture: From the evaluator's search space.
            seed: Decides initial weights and, where there are any, the order of the batches.
            report: Told the score after each rung; the evaluation ends when it returns False.
        """


@runtime_checkable
class Counted(Protocol):
    """An evaluator that can say what an evaluation costs, whatever the machine."""

    def multiply_adds(self, architecture: Architecture) -> int:
        """Count the multiply-adds of an evaluation that is not stopped before its end.

        Those of `nasgtn.spaces.cost`, on the way forward, on the way back and in the optimiser.
        """


@dataclass(frozen=True)
class Named:
    """An evaluator under another name: one of several of a kind, such as proxies of generators."""

    name: str
    evaluator: Evaluator

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        return self.evaluator.score(architecture, seed=seed, report=report)


def evaluate(
    evaluator: Evaluator, architecture: Architecture, *, seed: int, report: Report | None = None
) -> Evaluation:
    """Run an evaluator and record what came, a failure included.

    Only a full disk, `KeyboardInterrupt` and its like pass through: one bad architecture must not
    end a search.
    """
    start = time.perf_counter()
    scores, failure = None, None
    try:
        scores = evaluator.score(architecture, seed=seed, report=report)
        if not math.isfinite(scores.score):
            failure = f"the score is not finite ({scores.score})"
    except Exception as error:  # a user's network may raise anything
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        failure = f"{type(error).__name__}: {error}"
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    failed = scores is None or failure is not None
    charged = None if scores is None else scores.seconds
    return Evaluation(
        evaluator=evaluator.name,
        architecture_id=architecture.id,
        choices=architecture.choices,
        seed=seed,
        score=None if failed or scores is None else float(scores.score),
        seconds=time.perf_counter() - start if charged is None else charged,
        failure=failure,
        metrics=_finite(scores.metrics) if scores else {},
        curve=tuple(point for point in scores.curve if math.isfinite(point[1])) if scores else (),
    )


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
