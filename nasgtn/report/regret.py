"""The figure of a search benchmark: what is missing to the best, over what was spent."""

import csv
import io

import plotly.graph_objects as go

from nasgtn.report.look import BLUE, GREEN, GREY, ORANGE, finish, plain

COLOURS = (BLUE, ORANGE, GREEN, GREY)


def regret_figure(table: str) -> go.Figure:
    """Draw a line for each method and seed.

    Args:
        table: CSV with the columns method, seed, seconds and regret, in the order of time.
    """
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in csv.DictReader(io.StringIO(table)):
        point = float(row["seconds"]), 100 * float(row["regret"])
        lines.setdefault((row["method"], row["seed"]), []).append(point)
    methods = list(dict.fromkeys(method for method, _ in lines))
    figure = go.Figure()
    for (method, seed), points in lines.items():
        figure.add_trace(
            go.Scatter(
                x=[seconds for seconds, _ in points],
                y=[regret for _, regret in points],
                mode="lines",
                line={"shape": "hv", "color": COLOURS[methods.index(method) % len(COLOURS)]},
                name=plain(method),
                legendgroup=method,
                showlegend=not any(trace.legendgroup == method for trace in figure.data),
                hovertemplate=f"{plain(method)}, seed {plain(seed)}<br>"
                "%{x:.4g} s: %{y:.2f} points<extra></extra>",
            )
        )
    figure = finish(
        figure,
        "seconds, charges of the table included (log scale)",
        "points below the best of the table",
        showlegend=True,
    )
    return figure.update_xaxes(type="log")


def render_regret(table: str) -> str:
    """Write the figure as a page of its own, which opens without a network."""
    page: str = regret_figure(table).to_html(include_plotlyjs=True, full_html=True)
    return page
