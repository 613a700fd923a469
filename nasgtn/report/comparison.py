"""The page of a comparison: which estimator orders best, and for how many seconds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from nasgtn.estimates import Comparison, Estimate
from nasgtn.report import words
from nasgtn.report.figures import GREEN, GREY, colour_of, error_bars, finish, plain
from nasgtn.report.page import fill, toml

MAX_SCATTERS = 24
"""Estimators that get a figure of their own; each is a drawing the browser has to make."""


@dataclass(frozen=True, kw_only=True)
class ComparisonData:
    """Everything that the page shows, as plain data."""

    comparison: Comparison
    dataset: str
    space: str
    table: str | None
    """Of the true values, in a unit of its own; None: accuracies of trained networks."""
    command: str
    """That reruns it."""
    config: Mapping[str, Any]  # nested tables of TOML values
    environment: Mapping[str, str]


def render_comparison(data: ComparisonData) -> str:
    """Write the page; the same data give the same text."""
    rows = sorted(data.comparison.estimators, key=_order)
    scatters = {
        f"scatter-{number}": row
        for number, row in enumerate(rows[:MAX_SCATTERS], start=1)
        if row.points
    }
    quality = quality_figure(rows, None if data.table else data.comparison)
    figures = {} if quality is None else {"quality": quality}
    for name, row in scatters.items():
        figures[name] = scatter_figure(row, is_accuracy=data.table is None)
    return fill(
        "comparison.html",
        figures,
        {
            "quality": "Quality against cost",
            **{name: _name(row) for name, row in scatters.items()},
        },
        data=data,
        rows=rows,
        scatters=list(scatters),
        answer=answer_in_words(rows),
        truth_in_words=truth_in_words(data),
        config=toml(data.config),
    )


def quality_figure(rows: Sequence[Estimate], trained: Comparison | None) -> go.Figure | None:
    """Spearman's rho of each estimator over its seconds, and where training itself stands.

    Args:
        rows: Those without a rho, or without seconds, are left out.
        trained: Marks its truth's cost; None where that was only looked up.
    """
    shown = [row for row in rows if row.agreement.spearman is not None]
    shown = [row for row in shown if row.seconds_per_candidate]
    if not shown:
        return None
    seconds = [row.seconds_per_candidate or 0.0 for row in shown]
    rhos = [row.agreement.spearman or 0.0 for row in shown]
    figure = go.Figure(
        go.Scatter(
            x=seconds,
            y=rhos,
            mode="markers+text",
            marker={"size": 11, "color": [colour_of(row) for row in shown]},
            text=[plain(row.name) for row in shown],
            textposition=_sides(seconds, rhos),
            error_y=error_bars(shown),
            customdata=[plain(_name(row)) for row in shown],
            hovertemplate="%{customdata}: %{y:.2f}, %{x:.3g} s<extra></extra>",
            cliponaxis=False,
        )
    )
    if trained is not None:
        _mark_truth(figure, trained.truth_seconds_per_candidate)
        seconds.append(trained.truth_seconds_per_candidate)
    figure = finish(
        figure,
        "seconds a candidate (log scale)",
        "Spearman's rho with the truth",
        height=460,
        showlegend=False,
    )
    left, right = (math.log10(end(seconds)) for end in (min, max))
    bounds = [
        row.agreement.spearman_interval or (rho, rho) for row, rho in zip(shown, rhos, strict=True)
    ]
    lowest = min(0.0, *(low for low, _ in bounds))
    figure.update_xaxes(type="log", range=[left - 0.5, right + 0.5], dtick=1)
    return figure.update_yaxes(range=[lowest - 0.05, 1.05], zeroline=True, zerolinecolor=GREY)


def _mark_truth(figure: go.Figure, seconds: float) -> None:
    figure.add_vline(x=seconds, line={"color": GREEN, "width": 1.8, "dash": "dash"})
    figure.add_annotation(
        text="the truth itself",
        x=math.log10(seconds),  # Plotly takes the exponent on a log axis, for texts alone
        y=0,
        yref="paper",
        yanchor="bottom",
        xanchor="right",
        textangle=-90,
        showarrow=False,
    )


def scatter_figure(row: Estimate, *, is_accuracy: bool) -> go.Figure:
    """Truth over score, one point an architecture."""
    figure = go.Figure(
        go.Scatter(
            x=[point.score for point in row.points],
            y=[point.truth for point in row.points],
            mode="markers",
            marker={"size": 8, "color": colour_of(row), "opacity": 0.8},
            text=[plain(point.description) for point in row.points],
            hovertemplate="%{text}<br>score %{x:.4g}, truth %{y:.4g}<extra></extra>",
        )
    )
    figure = finish(figure, f"score of {plain(row.name)}", "truth", height=300)
    return figure.update_yaxes(tickformat=".1~%" if is_accuracy else "")


def answer_in_words(rows: Sequence[Estimate]) -> str:
    """Say which estimator agrees best with the truth; `rows` begin with it."""
    if not rows or rows[0].agreement.spearman is None:
        return "No estimator has an order to compare with the truth."
    best = rows[0]
    said = f"{_name(best)} has the highest Spearman correlation with the truth, "
    said += words.number(best.agreement.spearman)
    bounds = best.agreement.spearman_interval
    if bounds is not None:
        said += f" (95{words.SPACE}% interval {words.interval(bounds)})"
    said += f", over {words.plural(best.agreement.n, 'architecture')}"
    rivals = [row.name for row in rows[1:] if bounds and _reaches(row, bounds[0])]
    if rivals:
        said += f"; within that interval, too: {', '.join(rivals)}"
    return said + "."


def truth_in_words(data: ComparisonData) -> str:
    """Say where the truth comes from, and what it costs."""
    found = data.comparison
    if data.table is not None:
        said = f"The truth was looked up in the table {data.table}"
    else:
        said = "The truth is the test accuracy after full training"
        said += f", mean of {found.truth_seeds} trainings" if found.truth_seeds > 1 else ""
        said += f": {words.duration(found.truth_seconds_per_candidate)} a candidate"
    if found.n_truth_failed:
        said += f"; it has no value for {words.plural(found.n_truth_failed, 'architecture')}"
    return said + "."


def _order(row: Estimate) -> tuple[float, str]:
    rho = row.agreement.spearman
    return math.inf if rho is None else -rho, row.name


def _name(row: Estimate) -> str:
    return f"{row.name} ({row.setting})" if row.setting else row.name


def _reaches(row: Estimate, low: float) -> bool:
    return row.agreement.spearman is not None and row.agreement.spearman >= low


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
