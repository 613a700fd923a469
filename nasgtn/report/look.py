"""How figures look: colours, axes, text that Plotly reads no markup into."""

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from nasgtn.estimates import Estimate
from nasgtn.records import CALIBRATED, ENSEMBLE, FUSED

# Told apart on white and on near-black, and by the colour blind; symbols differ as well.
BLUE, ORANGE, GREY, GREEN, RED = "#3a7bd5", "#d9730d", "#858b94", "#1a9a7a", "#d64550"
_LAYOUT = {
    "template": "none",
    "autosize": True,
    "height": 400,
    "margin": {"l": 64, "r": 16, "t": 40, "b": 56},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": GREY},
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    "hoverlabel": {"bgcolor": "#1b1f24", "font": {"color": "#ffffff"}, "align": "left"},
    "hovermode": "closest",
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": BLUE},
}
_AXIS = {
    "gridcolor": "rgba(133,139,148,0.25)",
    "zeroline": False,
    "automargin": True,
    "ticks": "outside",
    "tickcolor": "rgba(133,139,148,0.5)",
}


def finish(figure: go.Figure, x: str, y: str | None, **layout: Any) -> go.Figure:  # noqa: ANN401 - Plotly's own settings
    """Give a figure the look of the page, and its axes their titles."""
    figure.update_xaxes(**_AXIS, title=x)
    figure.update_yaxes(**_AXIS)
    if y is not None:
        figure.update_yaxes(title=y)
    figure.update_xaxes(title_font_size=13, title_standoff=8)
    figure.update_yaxes(title_font_size=13, title_standoff=8)
    return figure.update_layout(**{**_LAYOUT, **layout})


def joined(lines: Sequence[Sequence[Any]]) -> list[Any]:
    """Put several lines into one trace: None between them lifts the pen."""
    return [value for line in lines for value in (*line, None)]


def error_bars(rows: Sequence[Estimate]) -> dict[str, Any]:
    """Draw the intervals of Spearman's rho; none where there is no interval."""
    found = [(row.agreement.spearman or 0.0, row.agreement.spearman_interval) for row in rows]
    return {
        "array": [interval[1] - rho if interval else None for rho, interval in found],
        "arrayminus": [rho - interval[0] if interval else None for rho, interval in found],
        "color": GREY,
        "thickness": 1.5,
    }


def family_of(row: Estimate) -> str:
    """Name an estimator without the number of its generator."""
    return row.name.partition(", generator")[0]


def colour_of(row: Estimate) -> str:
    """Mark the proxy, what it is in, and real steps."""
    family = family_of(row).partition(":")[0].partition(" after")[0]
    colours = {"gtn": BLUE, ENSEMBLE: BLUE, FUSED: ORANGE, CALIBRATED: ORANGE, "real": GREEN}
    return colours.get(family, GREY)


def plain(text: str) -> str:
    """Keep Plotly from reading a user's text as its markup; cut what no label can hold."""
    return html.escape(
        text if len(text) <= 120 else text[:119] + "\N{HORIZONTAL ELLIPSIS}", quote=False
    )
