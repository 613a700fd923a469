"""The figures of what the search weighed up: objectives against each other, choices and scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from nasgtn.report.look import BLUE, GREEN, GREY, ORANGE, finish, joined, plain
from nasgtn.report.pareto import Front, complete

MAX_AXES = 16
MAX_LINES = 150
"""Architectures in parallel coordinates: a third of them the best, the others an even part."""
MAX_VALUES = 8
"""Of a choice with names on its axis; of more, the ends."""
_NAMES = {
    "params": "parameters",
    "flops": "multiply-adds",
    "latency": "latency (ms)",
}
_BANDS = (  # from the worst to the best, which is drawn last
    ("other", "rgba(133,139,148,0.45)", 0.8),
    ("best half", BLUE, 1.0),
    ("best tenth", ORANGE, 2.0),
)
Trials = Sequence[Mapping[str, Any]]  # as in Summary


def pareto_figure(
    trials: Trials, front: Front | None, descriptions: Mapping[str, str], score: str
) -> go.Figure | None:
    """The score of that name over the first other objective; the front marked apart."""
    if front is None:
        return None
    y = front.objectives.index("accuracy")
    x = next(place for place in range(len(front.objectives)) if place != y)
    figure = go.Figure()
    for is_best, name, colour, symbol in (
        (False, "beaten by another", GREY, "circle-open"),
        (True, "Pareto front", GREEN, "circle"),
    ):
        part = [one for one in complete(trials) if (one["number"] in front.numbers) == is_best]
        part = sorted(part, key=lambda one: (one["values"][x], one["number"]))
        joins = is_best and len(front.objectives) == 2
        figure.add_trace(
            go.Scatter(
                x=[one["values"][x] for one in part],
                y=[one["values"][y] for one in part],
                mode="lines+markers" if joins else "markers",
                line={"shape": "hv", "width": 1.5},
                name=name,
                marker={"color": colour, "symbol": symbol, "size": 8},
                text=[
                    plain(descriptions.get(str(one.get("architecture_id")), "")) for one in part
                ],
                hovertemplate="%{text}<br>%{x:.4g}, %{y:.3f}<extra></extra>",
            )
        )
    x_name, y_name = (
        {**_NAMES, "accuracy": score}.get(front.objectives[place], front.objectives[place])
        for place in (x, y)
    )
    return finish(figure, plain(x_name), plain(y_name))


def parallel_figure(trials: Trials) -> go.Figure | None:
    """A line an architecture through its choices to its score; the best ones on top.

    Drawn with plain lines: Plotly's own parallel coordinates need WebGL, and do not print.
    """
    rows = [one for one in complete(trials) if one.get("choices") and one.get("score") is not None]
    rows = sorted(rows, key=lambda trial: (float(trial["score"]), trial["number"]))
    values = {name: _distinct(rows, name) for name in _names(rows)}
    axes = [name for name, found in values.items() if len(found) > 1][:MAX_AXES]
    if len(rows) < 3 or not axes:
        return None
    best, shown = len(rows) - MAX_LINES // 3, list(range(len(rows)))
    if len(rows) > MAX_LINES:
        step = best / (MAX_LINES - MAX_LINES // 3)
        shown = sorted({int(step * i) for i in range(MAX_LINES - MAX_LINES // 3)})
        shown += range(best, len(rows))
    lines: dict[str, list[int]] = {name: [] for name, _, _ in _BANDS}
    for place in shown:
        lines[_band(place, len(rows))].append(place)
    ticks = [*(plain(name) for name in axes), "proxy score"]
    figure = go.Figure()
    for name, colour, width in _BANDS:
        part = [_line(rows, place, {axis: values[axis] for axis in axes}) for place in lines[name]]
        figure.add_trace(
            go.Scatter(
                x=joined([range(len(ticks))] * len(part)),
                y=joined(part),
                mode="lines",
                name=name,
                line={"color": colour, "width": width},
                text=joined([_texts(rows[place], axes) for place in lines[name]]),
                hoverinfo="text",
            )
        )
    for place, axis in enumerate(axes):
        _mark(figure, place, values[axis])
    figure = finish(figure, "", None, height=440)
    sides = [-0.3, len(ticks) - 0.5]  # room for the outermost names
    figure.update_xaxes(tickvals=list(range(len(ticks))), ticktext=ticks, range=sides)
    return figure.update_yaxes(showticklabels=False, showgrid=False, ticks="")


def _names(rows: Trials) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["choices"]))


def _distinct(rows: Trials, name: str) -> list[Any]:  # values of a choice: text, number or None
    """List the values of a choice: numbers by size, others by name."""
    found = {
        str(row["choices"][name]): row["choices"][name] for row in rows if name in row["choices"]
    }
    is_number = all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in found.values()
    )
    return sorted(found.values()) if is_number else sorted(found.values(), key=str)


def _band(place: int, n: int) -> str:
    return "best tenth" if place >= 0.9 * n else "best half" if place >= 0.5 * n else "other"


def _line(rows: Trials, place: int, values: Mapping[str, list[Any]]) -> list[float | None]:
    """Height of one architecture on each axis; within a value, the better lie higher."""
    choices = rows[place]["choices"]
    found: list[float | None] = []
    for name, known in values.items():
        if name not in choices:
            found.append(None)
            continue
        step = 1 / (len(known) - 1)
        spread = 0.5 * step * (place / len(rows) - 0.5) if len(known) <= MAX_VALUES else 0.0
        found.append(known.index(choices[name]) * step + spread)
    scores = [float(row["score"]) for row in (rows[0], rows[place], rows[-1])]
    extent = scores[2] - scores[0]
    return [*found, (scores[1] - scores[0]) / extent if extent else 0.5]


def _texts(row: Mapping[str, Any], axes: Sequence[str]) -> list[str]:
    chosen = [f"{name} = {row['choices'].get(name, 'not chosen')}" for name in axes]
    return [plain(text) for text in (*chosen, f"proxy score = {row['score']:.4g}")]


def _mark(figure: go.Figure, place: int, values: list[Any]) -> None:
    """Write the values of a choice beside its axis."""
    shown = range(len(values)) if len(values) <= MAX_VALUES else (0, len(values) - 1)
    for index in shown:
        figure.add_annotation(
            x=place,
            y=index / (len(values) - 1),
            text=plain(str(values[index])[:12]),
            showarrow=False,
            xanchor="left",
            font={"size": 11},
        )
