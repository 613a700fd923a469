"""Draw the order of each estimator over its seconds a candidate, for all benchmarks that are kept.

    python scripts/quality_against_cost.py

Reads results/benchmarks/*/table.csv, writes docs/images/quality_against_cost.png (Chromium takes
the picture). Of several generators the middle one is shown.
"""

import json
import tempfile
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from screenshots import browsing, save

ROOT = Path(__file__).resolve().parents[1]
TITLES = {
    "digits_convnet": "digits, 96 convnets",
    "fashion_convnet": "Fashion-MNIST, 64 convnets",
    "nasbench201": "CIFAR-10, 200 cells of NAS-Bench-201",
    "nasbench_macro": "CIFAR-10, 100 networks of NAS-Bench-Macro",
}
ROWS = {"spearman": "all", "best_half": "best half"}
COLOURS = {"gtn": "#3a7bd5", "fused": "#d9730d", "calibrated": "#d9730d", "real": "#1a9a7a"}


def main() -> None:
    """Make the figure and take its picture."""
    tables = {
        title: middle(pd.read_csv(path))
        for name, title in TITLES.items()
        if (path := ROOT / "results" / "benchmarks" / name / "table.csv").exists()
    }
    figure = make_subplots(
        len(ROWS),
        len(tables),
        subplot_titles=[*tables, *[""] * len(tables)],
        shared_xaxes=True,
        horizontal_spacing=0.05,
        vertical_spacing=0.06,
    )
    for column, table in enumerate(tables.values(), start=1):
        for row, measure in enumerate(ROWS, start=1):
            figure.add_trace(points(table, measure), row, column)
        figure.update_xaxes(title="seconds a candidate", row=len(ROWS), col=column)
    for row, name in enumerate(ROWS.values(), start=1):
        figure.update_yaxes(title=f"Spearman with the truth, {name}", row=row, col=1)
    figure.update_xaxes(type="log", dtick=1, gridcolor="#e4e7eb")
    figure.update_yaxes(range=[-0.35, 1.02], gridcolor="#e4e7eb", zerolinecolor="#858b94")
    figure.update_layout(
        template="none", showlegend=False, width=460 * len(tables), height=900, margin={"r": 60}
    )
    with tempfile.TemporaryDirectory() as folder, browsing(f"{460 * len(tables)},900") as browser:
        page = Path(folder) / "figure.html"
        figure.write_html(page, include_plotlyjs=True, config={"displayModeBar": False})
        browser.get(page.as_uri())
        save(browser, "quality_against_cost.png")


def middle(table: pd.DataFrame) -> pd.DataFrame:
    """Keep one row an estimator: of its generators the one with the middle Spearman."""
    table = table.assign(name=table["estimator"].str.split(",").str[0])
    ordered = table.sort_values("spearman")
    return ordered.groupby("name").apply(lambda rows: rows.iloc[len(rows) // 2])


def points(table: pd.DataFrame, measure: str) -> go.Scatter:
    """Mark each estimator, with its interval over architectures."""
    intervals = [json.loads(text) for text in table[f"{measure}_interval"]]
    names = list(table.index)
    return go.Scatter(
        x=table["seconds_per_candidate"],
        y=table[measure],
        mode="markers+text",
        text=names,
        textposition="middle right",
        textfont={"size": 10},
        marker={"size": 9, "color": [COLOURS.get(kind(name), "#858b94") for name in names]},
        error_y={
            "array": [end - rho for (_, end), rho in zip(intervals, table[measure], strict=True)],
            "arrayminus": [
                rho - begin for (begin, _), rho in zip(intervals, table[measure], strict=True)
            ],
            "color": "#c3c8cf",
        },
        cliponaxis=False,
    )


def kind(name: str) -> str:
    """Tell what sort of estimator it is."""
    return name.split(":")[0]


if __name__ == "__main__":
    main()
