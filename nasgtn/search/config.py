"""What a search looks for, how, and for how long."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from nasgtn.errors import InvalidConfigError, UnknownNameError

Direction = Literal["maximize", "minimize"]

OBJECTIVES: dict[str, Direction] = {
    "accuracy": "maximize",
    "params": "minimize",
    "flops": "minimize",
    "latency": "minimize",
}
"""Name of each objective, and which way it is better."""

SAMPLERS = ("tpe", "random", "nsga2", "gp")
SCORES = ("gtn", "fused")
PRUNERS = ("median", "halving", "hyperband")

TRIALS_PER_CANDIDATE = 5
"""A search ends after this many trials for each wanted candidate, however many were distinct."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How a search proposes and judges architectures."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    sampler: str = "tpe"
    """How Optuna proposes architectures: tpe, random, nsga2 or gp."""
    trials: int = 48
    """Distinct architectures to evaluate, failed evaluations included. An architecture that comes
    again is looked up, and one beyond a limit is not evaluated: neither counts. A search ends
    with fewer where the space has no more, or after five trials for each of them."""
    score: str = "gtn"
    """What Optuna is told of an architecture: `gtn`, the proxy's score, or `fused`, that and
    training-free scores together, as log-ranks among the anchors, filled up to 24 with random
    architectures."""
    objectives: tuple[str, ...] = ("accuracy",)
    """accuracy (what `score` says, always one of them), params, flops, latency."""
    max_params: int | None = None
    """Architectures with more parameters are not evaluated."""
    max_flops: int | None = None
    """Architectures with more multiply-adds for one image are not evaluated."""
    max_latency_ms: float | None = None
    """Architectures that need more milliseconds for one image are not evaluated."""
    prune: bool = False
    """Stop evaluations whose scores on the way are poor (so there must be `proxy.rungs`, or
    `proxy.n_probes` of 2 or more). What was stopped never becomes a candidate, since its score
    cannot be compared with the others'."""
    pruner: str = "median"
    """What is poor: `median`: below the median of the earlier ones at the same step; `halving`
    (asynchronous successive halving): not in the best part at a rung, a half where each rung has
    twice the steps of the one before; `hyperband`: the same, with a part of the evaluations
    spared at the first rungs."""
    gate: float = 0.0
    """Share, in [0, 1): an architecture is not trained whose summed log-ranks of training-free
    scores lie in the lowest share of those seen so far. It counts as evaluated, and never becomes
    a candidate. 0: all are trained."""
    workers: int = 1
    """Processes that evaluate side by side. More than one: runs with the same seed differ."""
    storage: str | None = None
    """Optuna URL of a database; else a file in the run's folder."""

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UnknownNameError.of("sampler", self.sampler, SAMPLERS)
        if self.score not in SCORES:
            raise UnknownNameError.of("search.score", self.score, SCORES)
        if self.pruner not in PRUNERS:
            raise UnknownNameError.of("pruner", self.pruner, PRUNERS)
        for name in self.objectives:
            if name not in OBJECTIVES:
                raise UnknownNameError.of("objective", name, OBJECTIVES)
        if "accuracy" not in self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise InvalidConfigError(
                "objectives must be different and include accuracy, "
                f"got {', '.join(self.objectives) or 'none'}"
            )
        if self.prune and len(self.objectives) > 1:
            raise InvalidConfigError(
                f"prune needs a single objective, got {', '.join(self.objectives)}"
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("trials", "workers"):
            if getattr(self, name) < 1:
                raise InvalidConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("max_params", "max_flops", "max_latency_ms"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise InvalidConfigError(f"{name} must be positive, got {limit}")
        if not 0 <= self.gate < 1:
            raise InvalidConfigError(f"search.gate must be in [0, 1), got {self.gate}")

    @property
    def directions(self) -> tuple[Direction, ...]:
        return tuple(OBJECTIVES[name] for name in self.objectives)

    @property
    def measures_latency(self) -> bool:
        return self.max_latency_ms is not None or "latency" in self.objectives
