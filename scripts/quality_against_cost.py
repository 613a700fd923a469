"""Draw the order of each estimator over what a candidate costs, for all benchmarks that are kept.

    python scripts/quality_against_cost.py

Reads results/benchmarks/*/table.csv, writes quality_against_cost.png, over seconds, and
quality_against_multiply_adds.png in docs/images/ (Chromium takes the pictures). Of several
generators the middle one is shown.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from screenshots import picture  # type: ignore[import-not-found]  # beside this file

ROOT = Path(__file__).resolve().parents[1]
TITLES = {
    "digits_convnet": "digits, 96 convnets",
    "fashion_convnet": "Fashion-MNIST, 64 convnets",
    "nasbench201": "CIFAR-10, 200 cells of NAS-Bench-201",
    "nasbench_macro": "CIFAR-10, 100 networks of NAS-Bench-Macro",
}
ROWS = {"spearman": "all", "best_half": "best half"}
COSTS = {
    "quality_against_cost.png": ("seconds_per_candidate", "seconds"),
    "quality_against_multiply_adds.png": ("multiply_adds_per_candidate", "multiply-adds"),
}
"""Column, and its unit, of each picture."""
FREE = ("#858b94", "middle left")
LOOKS = {
    "gtn": ("#3a7bd5", "top center"),
    "ensemble": ("#3a7bd5", "middle right"),
    "fused": ("#d9730d", "bottom center"),
    "calibrated": ("#d9730d", "top right"),
    "real": ("#1a9a7a", "bottom right"),
}
"""Colour, and place of the name, of each kind of estimator; `FREE` for those without training."""


def main() -> None:
    """Make the figures and take their pictures."""
    tables = {
        title: middle(pd.read_csv(path))
        for name, title in TITLES.items()
        if (path := ROOT / "results" / "benchmarks" / name / "table.csv").exists()
    }
    for file, (cost, unit) in COSTS.items():
        picture(drawn(tables, cost, unit), file, width=460 * len(tables), height=900)


def drawn(tables: dict[str, pd.DataFrame], cost: str, unit: str) -> go.Figure:
    """Draw every benchmark over one kind of cost; what costs nothing is left out."""
    figure = make_subplots(
        len(ROWS),
        len(tables),
        subplot_titles=[*tables, *[""] * len(tables)],
        shared_xaxes=True,
        horizontal_spacing=0.05,
        vertical_spacing=0.06,
    )
    for column, table in enumerate(tables.values(), start=1):
        shown = table[table[cost] > 0]
        for row, measure in enumerate(ROWS, start=1):
            figure.add_trace(points(shown, measure, cost), row, column)
        places = np.log10(shown[cost])
        figure.update_xaxes(range=[places.min() - 0.6, places.max() + 0.5], col=column)
        figure.update_xaxes(title=f"{unit} a candidate", row=len(ROWS), col=column)
    for row, name in enumerate(ROWS.values(), start=1):
        figure.update_yaxes(title=f"Spearman with the truth, {name}", row=row, col=1)
    figure.update_xaxes(type="log", dtick=1, gridcolor="#e4e7eb")
    figure.update_yaxes(gridcolor="#e4e7eb", zerolinecolor="#858b94")
    return figure.update_layout(
        template="none",
        showlegend=False,
        margin={"t": 40, "r": 20},
    )


def middle(table: pd.DataFrame) -> pd.DataFrame:
    """Keep one row an estimator: of several generators the middle one by Spearman.

    What the fused scores are without the proxy is left to the table.
    """
    table = table.assign(name=table["estimator"].str.split(",").str[0])
    table = table[~table["name"].str.contains("without")]
    groups = dict(list(table.sort_values("spearman").groupby("name")))
    middles = [rows.iloc[len(rows) // 2] for rows in groups.values()]
    return pd.DataFrame(middles, index=pd.Index(groups))


def points(table: pd.DataFrame, measure: str, cost: str) -> go.Scatter:
    """Mark each estimator, with its interval over architectures."""
    rhos = table[measure]
    bounds = [json.loads(text) for text in table[f"{measure}_interval"]]
    looks = [LOOKS.get(name.split(":")[0], FREE) for name in table.index]
    return go.Scatter(
        x=table[cost],
        y=rhos,
        mode="markers+text",
        text=[name.split("@")[0] for name in table.index],
        textposition=[place for _, place in looks],
        textfont={"size": 11},
        marker={"size": 9, "color": [colour for colour, _ in looks]},
        error_y={
            "array": [high - rho for (_, high), rho in zip(bounds, rhos, strict=True)],
            "arrayminus": [rho - low for (low, _), rho in zip(bounds, rhos, strict=True)],
            "color": "#c3c8cf",
        },
        cliponaxis=False,
    )


if __name__ == "__main__":
    main()
