"""Who is verified next: the architectures of best fused score, given all that is known by then."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nasgtn.fusion import (
    MIN_LABELS,
    PARTS,
    STD,
    Prediction,
    calibrate,
    choose_sum,
    expected_improvement,
    normal_scores,
    parts_of,
    summed_log_ranks,
    upper_confidence_bound,
    weightings,
)
from nasgtn.records import CALIBRATED, FUSED, WITHOUT, Evaluation


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool:
    """Architectures with their scores by several evaluators."""

    ids: tuple[str, ...]
    scores: Mapping[str, NDArray[np.float64]]
    """By evaluator, one an architecture; NaN where it has none."""
    seconds: Mapping[str, NDArray[np.float64]]
    """What they took."""

    @classmethod
    def of(cls, ids: Sequence[str], records: Sequence[Evaluation]) -> "Pool":
        """Gather the scores of the evaluators in `PARTS`."""
        places = {name: place for place, name in enumerate(ids)}
        scores = {part: np.full(len(places), math.nan) for part in PARTS}
        seconds = {part: np.zeros(len(places)) for part in PARTS}
        for record in records:
            if record.evaluator in scores and record.architecture_id in places:
                place = places[record.architecture_id]
                seconds[record.evaluator][place] = record.seconds
                if record.score is not None:
                    scores[record.evaluator][place] = record.score
        return cls(ids=tuple(places), scores=scores, seconds=seconds)

    def table(self, *, with_gtn: bool = True) -> tuple[NDArray[np.float64], list[list[float]]]:
        """Return features (archs, parts), and the parts' weights in each sum."""
        names = [part for part in self.scores if with_gtn or part != "gtn"]
        return np.column_stack([self.scores[name] for name in names]), weightings(names)

    def chosen_sum(self, labels: Mapping[str, float], *, seed: int) -> dict[str, float]:
        """Choose the parts' weights in a sum by labels; without enough of them the usual ones."""
        features, weights = self.table()
        known = self._known(labels)
        place = 0
        if known is not None:
            is_known = np.isfinite(known)
            place = choose_sum(features[is_known], known[is_known], weights, seed=seed)
        return dict(zip(self.scores, weights[place], strict=True))

    def fused(self, *, with_gtn: bool = True) -> NDArray[np.float64]:
        """Score every architecture without any label."""
        features, weights = self.table(with_gtn=with_gtn)
        return summed_log_ranks(features, weights[0])

    def took(self, *, with_gtn: bool = True, is_calibrated: bool) -> NDArray[np.float64]:
        """Sum the seconds of each architecture's parts; without labels some are not read."""
        parts = parts_of(with_gtn=with_gtn, is_calibrated=is_calibrated)
        return np.sum([self.seconds[part] for part in parts], axis=0)  # type: ignore[no-any-return]

    def calibrated(
        self, labels: Mapping[str, float], *, seed: int, with_gtn: bool = True
    ) -> Prediction | None:
        """Predict every architecture's label; None where too few are known, or all are equal.

        The generator has learned the order of the anchors, so that on their labels the proxy looks
        better than it is: the prediction leans to it, and is less sure than it says.

        Args:
            labels: True accuracies by architecture id; those of others are not read.
            seed: See `nasgtn.fusion.calibrate`.
            with_gtn: Whether the proxy is one of the features.
        """
        known = self._known(labels)
        if known is None:
            return None
        features, weights = self.table(with_gtn=with_gtn)
        return calibrate(features, known, seed=seed, weights=weights)

    def _known(self, labels: Mapping[str, float]) -> NDArray[np.float64] | None:
        """Return the label of each architecture, or NaN; None if they are too few, or equal."""
        known = np.array([labels.get(name, math.nan) for name in self.ids])
        found = known[np.isfinite(known)]
        return None if len(found) < MIN_LABELS or np.ptp(found) == 0 else known


def rate(
    pool: Pool, labels: Mapping[str, float], acquisition: str, *, seed: int
) -> dict[str, float]:
    """Say how much each architecture deserves to be verified next; by id.

    Args:
        pool: Candidates and labelled architectures.
        labels: Validation accuracies that are known.
        acquisition: `mean`, `ei` (expected improvement over the best label) or `ucb` (upper
            confidence bound). Without enough labels the fused score decides.
        seed: Of the calibration.
    """
    prediction = pool.calibrated(labels, seed=seed)
    if prediction is None:
        values = pool.fused()
    elif acquisition == "ei":
        known = [labels[name] for name in pool.ids if name in labels]
        values = expected_improvement(prediction, float(normal_scores(known).max()))
    elif acquisition == "ucb":
        values = upper_confidence_bound(prediction)
    else:
        values = prediction.mean
    return dict(zip(pool.ids, values.tolist(), strict=True))


def fused_records(
    pool: Pool, proxy: Sequence[Evaluation], labels: Mapping[str, float], *, seed: int
) -> list[Evaluation]:
    """Make the evaluations of the fused scores, with and without the proxy, for the report.

    Calibrated ones have the metric `STD`, so that what was foretold can be held against what
    verification finds.

    Args:
        pool: Candidates and anchors.
        proxy: The candidates' evaluations by the proxy.
        labels: Of the anchors alone: what is verified must not judge itself.
        seed: Of the calibration.
    """
    columns = {FUSED: (pool.fused(), True), FUSED + WITHOUT: (pool.fused(with_gtn=False), False)}
    spreads: dict[str, NDArray[np.float64]] = {}
    for name, with_gtn in ((CALIBRATED, True), (CALIBRATED + WITHOUT, False)):
        prediction = pool.calibrated(labels, seed=seed, with_gtn=with_gtn)
        if prediction is not None:
            columns[name] = prediction.mean, with_gtn
            spreads[name] = prediction.std
    took = {
        name: pool.took(with_gtn=with_gtn, is_calibrated=name in spreads)
        for name, (_, with_gtn) in columns.items()
    }
    places = {name: place for place, name in enumerate(pool.ids)}
    return [
        replace(
            one,
            evaluator=name,
            score=float(values[places[one.architecture_id]]),
            seconds=float(took[name][places[one.architecture_id]]),
            failure=None,
            metrics={STD: float(spreads[name][places[one.architecture_id]])}
            if name in spreads
            else {},
            curve=(),
        )
        for name, (values, _) in columns.items()
        for one in proxy
        if one.architecture_id in places
    ]
