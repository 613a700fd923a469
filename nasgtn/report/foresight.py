"""Calibration of the predicted uncertainty: what was foretold of the verified, what was found.

Both are normal scores of ranks among the anchors: 0 in their middle, 1 better than 84 % of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import plotly.graph_objects as go

from nasgtn.fusion import STD, normal_scores
from nasgtn.records import Evaluation
from nasgtn.report.look import BLUE, GREY, ORANGE, finish, plain

WIDTH = 1.959964
"""Standard deviations to each side of a predicted 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """One verified architecture, which no prediction had learned from."""

    description: str
    is_control: bool
    mean: float
    """Predicted before anything was verified."""
    std: float
    found: float
    """Normal score of its validation accuracy, ranked among those of the anchors."""
    is_beyond: bool
    """Better, or worse, than every anchor: `found` is then only a bound."""

    @property
    def standard_score(self) -> float:
        """By how many predicted standard deviations the truth lies above the prediction.

        0 where both lie beyond the anchors on the same side: how far is not known.
        """
        gap = self.found - self.mean
        return 0.0 if self.is_beyond and gap * self.found < 0 else gap / self.std

    @property
    def is_within(self) -> bool:
        """Whether the truth, as far as it is known, lies in the predicted 95 % interval."""
        low, high = self.mean - WIDTH * self.std, self.mean + WIDTH * self.std
        if self.is_beyond:
            return high >= self.found if self.found > 0 else low <= self.found
        return low <= self.found <= high


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What verification found about one architecture."""

    description: str
    is_control: bool
    validation_accuracy: float


def forecasts(
    predictions: Sequence[Evaluation],
    verified: Mapping[str, Truth],
    anchors: Sequence[Evaluation],
) -> tuple[Forecast, ...]:
    """Put what was foretold beside what was found.

    Args:
        predictions: Calibrated scores with the metric `STD`; others are left out.
        verified: By architecture id.
        anchors: With their validation accuracies, which the predictions were learned from; they
            are no test of them, so a verified anchor is left out.
    """
    labels = [one.score for one in anchors if one.score is not None]
    known = {one.architecture_id for one in anchors}
    return tuple(
        _forecast(one, one.score, verified[one.architecture_id], labels)
        for one in predictions
        if one.score is not None and one.metrics.get(STD, 0.0) > 0
        if one.architecture_id in verified and one.architecture_id not in known
    )


def _forecast(
    prediction: Evaluation, mean: float, truth: Truth, labels: Sequence[float]
) -> Forecast:
    accuracy = truth.validation_accuracy
    return Forecast(
        description=truth.description,
        is_control=truth.is_control,
        mean=mean,
        std=prediction.metrics[STD],
        found=float(normal_scores([*labels, accuracy])[-1]),
        is_beyond=not any(label <= accuracy for label in labels)
        or not any(label >= accuracy for label in labels),
    )


def share_within(found: Sequence[Forecast]) -> float:
    """Part of the truths that lie in their predicted 95 % intervals."""
    return fmean(one.is_within for one in found)


def spread(found: Sequence[Forecast]) -> float:
    """Root mean squared standard score; 1 where the predicted uncertainty is right."""
    return math.sqrt(fmean(one.standard_score**2 for one in found))


def foresight_figure(found: Sequence[Forecast]) -> go.Figure | None:
    """What was found over what was predicted, with 95 % intervals; on the diagonal both agree."""
    if not found:
        return None
    figure = go.Figure()
    ends = [one.mean + side * WIDTH * one.std for one in found for side in (-1, 1)]
    ends += [one.found for one in found]
    diagonal = [min(ends), max(ends)]
    figure.add_trace(
        go.Scatter(
            x=diagonal,
            y=diagonal,
            mode="lines",
            name="as predicted",
            line={"color": GREY, "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    for name, colour, symbol, part in (
        ("candidate", BLUE, "circle", [one for one in found if not one.is_control]),
        ("control", ORANGE, "diamond", [one for one in found if one.is_control]),
    ):
        if part:
            halves = [WIDTH * one.std for one in part]
            figure.add_trace(
                go.Scatter(
                    x=[one.mean for one in part],
                    y=[one.found for one in part],
                    mode="markers",
                    name=name,
                    marker={
                        "color": colour,
                        "symbol": [symbol + "-open" * one.is_beyond for one in part],
                        "size": 10,
                    },
                    error_x={
                        "array": halves,
                        "arrayminus": halves,
                        "color": colour,
                        "thickness": 1,
                    },
                    text=[plain(one.description) for one in part],
                    hovertemplate="%{text}<br>predicted %{x:.2f}, found %{y:.2f}<extra></extra>",
                )
            )
    return finish(
        figure,
        "predicted normal score, with its 95 % interval",
        "found by verification",
        showlegend=True,
    )
