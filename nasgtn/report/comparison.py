"""The page of a comparison: which estimator orders best, and for how many seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from nasgtn.estimates import Comparison, Estimate
from nasgtn.records import or_lowest
from nasgtn.report import words
from nasgtn.report.evidence import MULTIPLY_ADDS, quality_figure
from nasgtn.report.look import colour_of, finish, plain
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
    """Of the true values, in a unit of its own; None: accuracies."""
    charged: str | None = None
    """The table that the accuracies are from; None: from trained networks."""
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
    truth_seconds = None if data.table else data.comparison.truth_seconds_per_candidate
    drawn = {
        "quality": quality_figure(rows, truth_seconds),
        "multiply-adds": quality_figure(rows, None, MULTIPLY_ADDS),
    }
    figures = {name: figure for name, figure in drawn.items() if figure is not None}
    for name, row in scatters.items():
        figures[name] = scatter_figure(row, is_accuracy=data.table is None)
    return fill(
        "comparison.html",
        figures,
        {
            "quality": "Quality against cost",
            "multiply-adds": "Quality against multiply-adds",
            **{name: row.title for name, row in scatters.items()},
        },
        data=data,
        rows=rows,
        scatters=list(scatters),
        answer=answer_in_words(rows),
        truth_in_words=truth_in_words(data),
        config=toml(data.config),
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
    said = f"{best.title} has the highest Spearman correlation with the truth, "
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
    elif data.charged is not None:
        said = f"The truth was looked up in the table {data.charged}, where a training is "
        said += f"charged with {words.duration(found.truth_seconds_per_candidate)} on average"
    else:
        said = "The truth is the test accuracy after full training"
        said += f", mean of {found.truth_seeds} trainings" if found.truth_seeds > 1 else ""
        said += f": {words.duration(found.truth_seconds_per_candidate)} a candidate"
    if found.n_truth_failed:
        said += f"; it has no value for {words.plural(found.n_truth_failed, 'architecture')}"
    if found.n_best:
        said += f". {words.plural(found.n_best, 'more architecture')} of the best tenth "
        said += f"{'judges' if found.n_best == 1 else 'judge'} the order there, and nothing else"
    return said + "."


def _order(row: Estimate) -> tuple[float, str]:
    return -or_lowest(row.agreement.spearman), row.name


def _reaches(row: Estimate, low: float) -> bool:
    return row.agreement.spearman is not None and row.agreement.spearman >= low
