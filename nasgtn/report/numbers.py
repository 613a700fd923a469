"""The numbers of a figure as CSV, taken from the figure itself, so that both say the same."""

import csv
import html
import io
from typing import Any

import plotly.graph_objects as go

HEADER = ("series", "x", "y", "low", "high", "label")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would run a text for that begins with it."""


def figure_csv(figure: go.Figure) -> str:
    """Write one row a point: series, x, y, bounds of its interval, label.

    The header names the axes. Of a heatmap a row is a cell, its share among the labels.
    """
    titles = [_text(figure.layout[axis].title.text) for axis in ("xaxis", "yaxis")]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([HEADER[0], titles[0] or "x", titles[1] or "y", *HEADER[3:]])
    for trace in figure.data:
        rows = _cells(figure, trace) if trace.type == "heatmap" else _points(trace)
        writer.writerows([[_cell(value) for value in row] for row in rows])
    return file.getvalue()


def short(number: float) -> float:
    """Keep the digits that can be seen."""
    return float(f"{number:.6g}")


def _points(trace: Any) -> list[list[Any]]:  # noqa: ANN401 - a trace of any kind
    labels = trace.customdata if trace.customdata is not None else trace.text
    bars = next(
        (bar for bar in (trace["error_x"], trace["error_y"]) if bar.array is not None), None
    )
    values = trace.x if trace["error_x"].array is not None else trace.y
    rows = []
    for place, (x, y) in enumerate(zip(trace.x, trace.y, strict=True)):
        if x is None or y is None:
            continue
        bounds = [None, None]
        if bars is not None and bars.array[place] is not None:
            bounds = [
                values[place] - bars.arrayminus[place],
                values[place] + bars.array[place],
            ]
        label = labels[place] if isinstance(labels, list | tuple) else labels
        rows.append([trace.name, x, y, *bounds, label])
    return rows


def _cells(figure: go.Figure, trace: Any) -> list[list[Any]]:  # noqa: ANN401 - a heatmap
    names = [list(figure.layout[axis].ticktext) for axis in ("xaxis", "yaxis")]
    return [
        ["share", x, y, None, None, value]
        for y, row in zip(names[1], trace.z, strict=True)
        for x, value in zip(names[0], row, strict=True)
        if value
    ]


def _cell(value: object) -> object:
    if isinstance(value, float):
        return short(value)
    if not isinstance(value, str):
        return value
    text = _text(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _text(value: str | None) -> str:
    return html.unescape(value or "")
