"""The figure of a search benchmark: what is missing to the best, over what was spent."""

import csv
import io
import math
from collections.abc import Sequence
from itertools import cycle
from statistics import median

import plotly.graph_objects as go

from nasgtn.report.look import BLUE, GREEN, GREY, ORANGE, finish, plain

COLOURS = (ORANGE, GREEN, BLUE, GREY)
HIGHEST = 3
"""Regret in points that is shown: the first finds of some searches miss far more."""


def regret_figure(table: str) -> go.Figure:
    """Draw the median of each method's searches, and faintly each of them.

    Args:
        table: CSV with the columns method, seed, seconds and regret, in the order of time.
    """
    runs: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in csv.DictReader(io.StringIO(table)):
        point = float(row["seconds"]) / 3600, 100 * float(row["regret"])
        runs.setdefault(row["method"], {}).setdefault(row["seed"], []).append(point)
    figure = go.Figure()
    for (method, searches), colour in zip(runs.items(), cycle(COLOURS), strict=False):
        for seed, points in searches.items():
            figure.add_trace(_line(points, colour, f"{method}, seed {seed}", is_median=False))
        n = len(searches)
        name = f"{method}, median of {n}" if n > 1 else method
        figure.add_trace(_line(_median(list(searches.values())), colour, name, is_median=True))
    figure = finish(
        figure,
        "hours, charges of the table included (log scale)",
        f"points below the best of the table, up to {HIGHEST}",
        showlegend=True,
    )
    figure.update_yaxes(range=[-0.05, HIGHEST])  # a line at 0 is seen
    return figure.update_xaxes(type="log")


def _median(runs: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Take the median regret at each time when one of the runs changes; a run may lack it yet."""
    known = [math.inf] * len(runs)
    line: list[tuple[float, float]] = []
    for hours, regret, run in sorted(
        (*point, run) for run, rows in enumerate(runs) for point in rows
    ):
        known[run] = regret
        line.append((hours, median(known)))
    return [(hours, regret) for hours, regret in line if regret < math.inf]


def _line(
    points: Sequence[tuple[float, float]], colour: str, name: str, *, is_median: bool
) -> go.Scatter:
    return go.Scatter(
        x=[hours for hours, _ in points],
        y=[regret for _, regret in points],
        mode="lines",
        line={"shape": "hv", "color": colour, "width": 3 if is_median else 1},
        opacity=1 if is_median else 0.35,
        name=plain(name),
        showlegend=is_median,
        hovertemplate=f"{plain(name)}<br>%{{x:.3g}} h: %{{y:.2f}} points<extra></extra>",
    )


def render_regret(table: str) -> str:
    """Write the figure as a page of its own, which opens without a network."""
    page: str = regret_figure(table).to_html(include_plotlyjs=True, full_html=True)
    return page
