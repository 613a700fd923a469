"""The figures that compare: quality and cost, ranks, learning curves, classes, stages."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from scipy.stats import rankdata

from nasgtn.estimates import Estimate
from nasgtn.report.classes import ClassResult, Confusion, shares, shown_classes
from nasgtn.report.look import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    colour_of,
    error_bars,
    family_of,
    finish,
    joined,
    plain,
)
from nasgtn.report.summary import Verified
from nasgtn.report.words import duration

MAX_LABEL = 24
"""Characters of a class name beside an axis."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What a figure counts costs in."""

    of: Callable[[Estimate], float | None]
    """An estimator's cost of a candidate."""
    name: str
    hover: str
    """How the cost is written under the pointer."""


SECONDS = Unit(of=lambda row: row.seconds_per_candidate, name="seconds", hover="%{x:.3g} s")
MULTIPLY_ADDS = Unit(
    of=lambda row: row.multiply_adds_per_candidate, name="multiply-adds", hover="%{x:.3s}"
)


def quality_figure(
    rows: Sequence[Estimate], truth_cost: float | None, unit: Unit = SECONDS
) -> go.Figure | None:
    """Spearman's rho of each estimator over its cost, and where training itself stands.

    Args:
        rows: Those without a rho, or that cost nothing, are left out.
        truth_cost: Of one full training; None where the truth was only looked up.
        unit: Of the cost.
    """
    shown = [row for row in rows if row.agreement.spearman is not None and unit.of(row)]
    if not shown:
        return None
    costs = [unit.of(row) or 0.0 for row in shown]
    rhos = [row.agreement.spearman or 0.0 for row in shown]
    figure = go.Figure(
        go.Scatter(
            x=costs,
            y=rhos,
            mode="markers+text",
            marker={"size": 11, "color": [colour_of(row) for row in shown]},
            text=_labels(shown),
            textposition=_sides(costs, rhos),
            error_y=error_bars(shown),
            customdata=[plain(row.title) for row in shown],
            hovertemplate=f"%{{customdata}}: %{{y:.2f}}, {unit.hover}<extra></extra>",
            cliponaxis=False,
        )
    )
    if truth_cost:
        _mark_truth(figure, truth_cost)
        costs.append(truth_cost)
    figure = finish(
        figure,
        f"{unit.name} a candidate (log scale)",
        "Spearman's rho with the truth",
        height=460,
        showlegend=False,
    )
    left, right = (math.log10(end(costs)) for end in (min, max))
    bounds = [
        row.agreement.spearman_interval or (rho, rho) for row, rho in zip(shown, rhos, strict=True)
    ]
    lowest = min(0.0, *(low for low, _ in bounds))
    figure.update_xaxes(type="log", range=[left - 0.5, right + 0.5], dtick=1)
    return figure.update_yaxes(range=[lowest - 0.05, 1.05], zeroline=True, zerolinecolor=GREY)


def _labels(rows: Sequence[Estimate]) -> list[str]:
    """Name each estimator; of several generators, which lie close together, one alone."""
    families = [family_of(row) for row in rows]
    is_first = [family not in families[:place] for place, family in enumerate(families)]
    return [plain(name) if shown else "" for name, shown in zip(families, is_first, strict=True)]


def _mark_truth(figure: go.Figure, cost: float) -> None:
    figure.add_vline(x=cost, line={"color": GREEN, "width": 1.8, "dash": "dash"})
    figure.add_annotation(
        text="the truth itself",
        x=math.log10(cost),  # Plotly takes the exponent on a log axis, for texts alone
        y=0,
        yref="paper",
        yanchor="bottom",
        xanchor="right",
        textangle=-90,
        showarrow=False,
    )


def _sides(x: Sequence[float], y: Sequence[float]) -> list[str]:
    """Put a label to the left where another estimator would stand in it on the right."""
    places = list(zip(x, y, strict=True))
    return [
        "middle left"
        if any(
            0 < math.log10(other / own) < 0.3 and abs(rho - rhos) < 0.3 for other, rhos in places
        )
        else "middle right"
        for own, rho in places
    ]


def slope_figure(verified: Sequence[Verified], winner: Verified | None) -> go.Figure | None:
    """A line from each architecture's rank by proxy score to that by test accuracy, 1 for best.

    Anchors are left out, as they judge no estimator.
    """
    both = [
        v
        for v in verified
        if v.test_accuracy is not None and v.proxy_score is not None and not v.is_anchor
    ]
    if len(both) < 2:
        return None
    ranks = list(
        zip(
            rankdata([-(v.proxy_score or 0.0) for v in both]).tolist(),
            rankdata([-(v.test_accuracy or 0.0) for v in both]).tolist(),
            strict=True,
        )
    )
    figure = go.Figure()
    for name, colour, width, part in _groups(both, winner):
        figure.add_trace(
            go.Scatter(
                x=joined([("proxy", "truth")] * len(part)),
                y=joined([ranks[index] for index in part]),
                mode="lines+markers",
                name=name,
                line={"color": colour, "width": width},
                text=joined([[plain(both[index].description)] * 2 for index in part]),
                hovertemplate="%{text}<br>rank %{y} by %{x}<extra></extra>",
            )
        )
    figure = finish(figure, "order by", "rank, 1 is best", height=440)
    return figure.update_yaxes(autorange="reversed", rangemode="normal")


def curves_figure(verified: Sequence[Verified], winner: Verified | None) -> go.Figure | None:
    """Validation accuracy over the epochs of each full training, of the first seed."""
    drawn = [v for v in verified if v.curve]
    if not drawn:
        return None
    figure = go.Figure()
    for name, colour, width, part in _groups(drawn, winner):
        rows = [drawn[index] for index in part]
        figure.add_trace(
            go.Scatter(
                x=joined([[epoch for epoch, _ in v.curve] for v in rows]),
                y=joined([[accuracy for _, accuracy in v.curve] for v in rows]),
                mode="lines+markers" if all(len(v.curve) < 2 for v in rows) else "lines",
                name=name,
                line={"color": colour, "width": width},
                text=joined([[plain(v.description)] * len(v.curve) for v in rows]),
                hovertemplate="%{text}<br>epoch %{x}: %{y:.1%}<extra></extra>",
            )
        )
    return finish(figure, "epoch", "validation accuracy", yaxis_tickformat=".1~%")


def _groups(
    rows: Sequence[Verified], winner: Verified | None
) -> list[tuple[str, str, float, list[int]]]:
    """Part candidates, control and winner: name, colour, width of the line, places in `rows`."""
    parts: dict[str, list[int]] = {"candidate": [], "control": [], "winner": []}
    for index, row in enumerate(rows):
        parts["winner" if row == winner else "control" if row.is_control else "candidate"].append(
            index
        )
    looks = {"candidate": (BLUE, 1.2), "control": (ORANGE, 1.2), "winner": (GREEN, 3.0)}
    return [(name, *looks[name], part) for name, part in parts.items() if part]


def confusion_figure(classes: Sequence[ClassResult], confusion: Confusion) -> go.Figure | None:
    """Share of the test images of each class (a row) that the winner puts into each class."""
    shown = shown_classes(classes)
    if not shown:
        return None
    names = [plain(classes[label].name[:MAX_LABEL]) for label in shown]
    places = list(range(len(shown)))
    figure = go.Figure(
        go.Heatmap(
            z=shares(classes, confusion, shown),
            x=places,
            y=places,
            zmin=0,
            zmax=1,
            colorscale=[[0, "rgba(58,123,213,0)"], [1, BLUE]],
            colorbar={"tickformat": ".0%", "outlinewidth": 0},
            hovertemplate="%{y} taken for %{x}: %{z:.1%}<extra></extra>",
        )
    )
    figure = finish(figure, "taken for", "class", height=max(360, 160 + 18 * len(shown)))
    figure.update_xaxes(tickvals=places, ticktext=names, tickangle=-60, showgrid=False)
    return figure.update_yaxes(
        tickvals=places, ticktext=names, autorange="reversed", showgrid=False
    )


def timeline_figure(stages: Mapping[str, float]) -> go.Figure | None:
    """The stages one after the other, each as long as it took."""
    shown = {name: seconds for name, seconds in stages.items() if seconds > 0}
    if not shown:
        return None
    starts = [sum(list(shown.values())[:index]) for index in range(len(shown))]
    figure = go.Figure(
        go.Bar(
            x=list(shown.values()),
            base=starts,
            y=[plain(name.replace("_", " ")) for name in shown],
            orientation="h",
            marker={"color": BLUE},
            customdata=[duration(seconds) for seconds in shown.values()],
            hovertemplate="%{y}: %{customdata}<extra></extra>",
        )
    )
    figure = finish(figure, "seconds", None, height=130 + 30 * len(shown))
    return figure.update_yaxes(autorange="reversed", showgrid=False)
