"""What a run cost, in seconds and in multiply-adds."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from nasgtn.fusion import parts_of
from nasgtn.records import CALIBRATED, FUSIONS, GROUND_TRUTH, WITHOUT
from nasgtn.report.data import RunData

GENERATOR_STAGES = ("anchors", "meta_training")
"""What the generator costs: the anchors that it learns from, and its own training."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What the run took, and what training every candidate would have taken."""

    stages: Mapping[str, float]
    """Seconds of each."""
    n_candidates: int
    """Distinct architectures that the proxy could score."""
    proxy_seconds: float | None
    """Mean of one candidate."""
    full_seconds: float | None
    """Mean of one full training."""
    multiply_adds: Mapping[str, float]
    """Of one evaluation, by estimator, or of a full training, its looks at validation and test
    images included: a mean over the verified; what was not counted is not there."""
    speed_up: float | None
    """All candidates trained in full, over the generator's training (its anchors' included), all
    parts of their fused scores and the short trainings of a shortlist."""
    speed_up_without_generator: float | None
    break_even: int | None
    """Candidates from which the generator has paid for itself; None where it never does."""

    @property
    def full_multiply_adds(self) -> float | None:
        """Those of one full training."""
        return self.multiply_adds.get(GROUND_TRUTH)


def costs_of(data: RunData) -> Costs:
    """Sum up what a run took."""
    proxy = mean(record.seconds for record in data.proxy if record.score is not None)
    full = mean(record.seconds for record in data.verification if record.score is not None)
    n = sum(one.score is not None for one in data.proxy)
    once = sum(data.costs.get(stage, 0.0) for stage in (*GENERATOR_STAGES, "shortlist"))
    fusion = data.costs.get("fusion", 0.0)
    a_score = None if proxy is None else proxy + fusion / n
    saved = full - a_score if a_score is not None and full is not None else 0.0
    return Costs(
        stages=dict(data.costs),
        n_candidates=n,
        proxy_seconds=proxy,
        full_seconds=full,
        multiply_adds=_multiply_adds(data),
        speed_up=n * full / (once + n * a_score) if a_score and full else None,
        speed_up_without_generator=full / proxy if proxy and full else None,
        break_even=math.ceil(once / saved) if saved > 0 else None,
    )


def _multiply_adds(data: RunData) -> dict[str, float]:
    """Take what was counted, and what the fused scores are by that: the sums of their parts."""
    found = dict(data.multiply_adds)
    for name in FUSIONS:
        parts = parts_of(
            with_gtn=not name.endswith(WITHOUT), is_calibrated=name.startswith(CALIBRATED)
        )
        if data.multiply_adds.keys() >= {*parts}:
            found[name] = sum(data.multiply_adds[part] for part in parts)
    return found


def mean(values: Iterable[float | None]) -> float | None:
    """Average what is there; None where nothing is."""
    known = [float(value) for value in values if value is not None]
    return fmean(known) if known else None
