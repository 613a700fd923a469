"""The figures of a report, from its numbers. Each is None where there is nothing to draw."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import plotly.graph_objects as go

from nasgtn.estimates import Estimate
from nasgtn.report.data import RunData
from nasgtn.report.evidence import (
    MULTIPLY_ADDS,
    confusion_figure,
    curves_figure,
    quality_figure,
    slope_figure,
    timeline_figure,
)
from nasgtn.report.foresight import foresight_figure
from nasgtn.report.look import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    colour_of,
    error_bars,
    finish,
    plain,
)
from nasgtn.report.summary import Summary, Verified
from nasgtn.report.trade_offs import parallel_figure, pareto_figure

MIN_WINDOW = 5
"""Meta-steps that a running mean takes in at least."""
MAX_POINTS = 500
"""Of a curve; of more meta-steps, an even part is drawn."""
TITLES = {
    "agreement": "Proxy against truth",
    "ranks": "Ranks by proxy and by truth",
    "estimators": "Estimators",
    "quality": "Quality against cost",
    "multiply-adds": "Quality against multiply-adds",
    "rungs": "Quality against cost at each rung",
    "foresight": "Calibration of the predicted uncertainty",
    "history": "Search history",
    "importances": "Parameter importances",
    "parallel": "Choices and scores",
    "pareto": "Pareto front",
    "curves": "Learning curves of the verified",
    "confusion": "What the winner takes for what",
    "learning-rates": "Learned learning rates",
    "momenta": "Learned momenta",
    "meta-loss": "Meta-loss",
    "meta-accuracy": "Accuracy in meta-training",
    "timeline": "Timeline",
}
"""Every figure of a report, by the name that the page knows it under."""
_STATES = {  # state of a trial -> name, colour, symbol
    "complete": ("scored", BLUE, "circle"),
    "duplicate": ("duplicate, looked up", GREY, "circle-open"),
    "pruned": ("pruned", ORANGE, "triangle-down"),
    "gated": ("gated, not trained", GREY, "triangle-down-open"),
    "infeasible": ("outside of the limits", ORANGE, "square-open"),
    "failed": ("failed", RED, "x"),
}


def draw(data: RunData, summary: Summary) -> dict[str, go.Figure]:
    """Draw every figure that has something to show, by the names of `TITLES`.

    Args:
        data: Its descriptions are the labels.
        summary: All numbers.
    """
    verified, winner, steps = summary.verified, summary.winner, summary.meta_training
    figures = {
        "agreement": agreement_figure(verified, winner),
        "ranks": slope_figure(verified, winner),
        "estimators": estimators_figure(summary.estimators),
        "quality": quality_figure(summary.estimators, summary.costs.full_seconds),
        "multiply-adds": quality_figure(
            summary.estimators, summary.costs.full_multiply_adds, MULTIPLY_ADDS
        ),
        "rungs": quality_figure(summary.rungs, summary.costs.full_seconds),
        "foresight": foresight_figure(summary.forecasts),
        "history": history_figure(summary.trials, data.descriptions),
        "importances": importances_figure(summary.importances),
        "parallel": parallel_figure(summary.trials),
        "pareto": pareto_figure(
            summary.trials, summary.front, data.descriptions, data.searched_score
        ),
        "curves": curves_figure(verified, winner),
        "confusion": confusion_figure(summary.classes, summary.confusion),
        "learning-rates": curriculum_figure(summary.learning_rates, "learning rate"),
        "momenta": curriculum_figure(summary.momenta, "momentum", ORANGE),
        "meta-loss": meta_training_figure(steps, "meta_loss", "meta-loss (nats)"),
        "meta-accuracy": meta_training_figure(
            steps, "accuracy", "accuracy on real data", GREEN, ".0%"
        ),
        "timeline": timeline_figure(summary.costs.stages),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def agreement_figure(verified: Iterable[Verified], winner: Verified | None) -> go.Figure | None:
    """True accuracy over proxy score; candidates, control, anchors and winner marked apart."""
    both = [v for v in verified if v.test_accuracy is not None and v.proxy_score is not None]
    if not both:
        return None
    figure = go.Figure()
    judges = [v for v in both if not v.is_anchor]
    for part, name, colour, symbol in (
        ([v for v in judges if not v.is_control], "candidate", BLUE, "circle"),
        ([v for v in judges if v.is_control], "control, drawn at random", ORANGE, "diamond"),
        ([v for v in both if v.is_anchor], "anchor, judges nothing", GREY, "square-open"),
    ):
        if part:
            marker = {"color": colour, "symbol": symbol, "size": 10, "opacity": 0.9}
            figure.add_trace(_points(part, name, marker))
    if winner in both:
        ring = {"color": GREEN, "symbol": "circle-open", "size": 19, "line": {"width": 2.5}}
        figure.add_trace(_points([v for v in both if v == winner], "winner", ring))
    ceiling = max(v.test_accuracy or 0.0 for v in both)
    figure.add_hline(
        y=ceiling,
        line={"color": GREY, "width": 1, "dash": "dot"},
        annotation_text="best verified",
        annotation_position="top left",
    )
    return finish(figure, "proxy score", "test accuracy", yaxis_tickformat=".1~%")


def estimators_figure(estimators: Sequence[Estimate]) -> go.Figure | None:
    """Spearman's rho of each estimator with its interval, best at the top."""
    rows = [row for row in estimators if row.agreement.spearman is not None][::-1]
    if not rows:
        return None
    figure = go.Figure(
        go.Scatter(
            x=[row.agreement.spearman for row in rows],
            y=[plain(row.name) for row in rows],
            mode="markers",
            marker={"size": 11, "color": [colour_of(row) for row in rows]},
            error_x=error_bars(rows),
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    )
    height = 110 + 34 * len(rows)
    figure = finish(figure, "Spearman's rho with the true accuracy", None, height=height)
    figure.update_xaxes(range=[-1.05, 1.05], zeroline=True, zerolinecolor=GREY)
    return figure.update_yaxes(showgrid=False)


def history_figure(
    trials: Sequence[Mapping[str, Any]],  # as in Summary
    descriptions: Mapping[str, str],
) -> go.Figure | None:
    """Score of each trial and the best so far; trials without a score along the bottom."""
    if not trials:
        return None
    scored = [trial for trial in trials if trial.get("score") is not None]
    scores = [float(trial["score"]) for trial in scored]
    floor = min(scores) - 0.08 * (max(scores) - min(scores) or 1.0) if scores else 0.0
    figure = go.Figure()
    for state, (name, colour, symbol) in _STATES.items():
        part = [trial for trial in trials if _state(trial) == state]
        if part:
            figure.add_trace(
                go.Scatter(
                    x=[trial["number"] for trial in part],
                    y=[floor if t.get("score") is None else t["score"] for t in part],
                    mode="markers",
                    name=name,
                    marker={"color": colour, "symbol": symbol, "size": 7},
                    text=[_label(descriptions, trial) for trial in part],
                    hovertemplate="trial %{x}, %{y:.3f}<br>%{text}<extra></extra>",
                )
            )
    numbers, best = _best_so_far(scored)
    line = {"color": GREEN, "width": 2, "shape": "hv"}
    figure.add_trace(
        go.Scatter(
            x=numbers, y=best, mode="lines", name="best so far", line=line, hoverinfo="skip"
        )
    )
    return finish(figure, "trial", "proxy score", showlegend=True)


def importances_figure(importances: Mapping[str, float]) -> go.Figure | None:
    """How much each choice matters for being among the best by what Optuna was told."""
    if not importances:
        return None
    rows = sorted(importances.items(), key=lambda row: (row[1], row[0]))[-20:]
    figure = go.Figure(
        go.Bar(
            x=[value for _, value in rows],
            y=[plain(name) for name, _ in rows],
            orientation="h",
            marker={"color": BLUE},
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    )
    figure = finish(figure, "importance", None, height=110 + 26 * len(rows))
    return figure.update_yaxes(showgrid=False)


def meta_training_figure(
    steps: Sequence[Mapping[str, Any]],  # as in Summary
    key: str,
    name: str,
    colour: str = BLUE,
    tickformat: str = "",
) -> go.Figure | None:
    """One number of the meta-training, over the meta-steps; skipped ones are left out."""
    rows = [row for row in steps if row.get(key) is not None]
    if not rows:
        return None
    numbers, values = [row["meta_step"] for row in rows], [float(row[key]) for row in rows]
    part = slice(None, None, math.ceil(len(rows) / MAX_POINTS))
    figure = _line(numbers[part], values[part], "meta-step", name, colour)
    if len(rows) >= 2 * MIN_WINDOW:
        figure.update_traces(opacity=0.35)
        means = _running_mean(values)[part]
        mean = _line(numbers[part], means, "meta-step", name, colour).data[0]
        figure.add_trace(mean.update(line_width=2.5, name="running mean"))
    return figure.update_layout(showlegend=False).update_yaxes(tickformat=tickformat)


def _running_mean(values: list[float]) -> list[float]:
    """Mean over a twentieth of the steps around each; over fewer at the ends."""
    half = max(MIN_WINDOW, len(values) // 20) // 2
    return [fmean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]


def curriculum_figure(values: Sequence[float], name: str, colour: str = BLUE) -> go.Figure | None:
    """One learned setting of the inner loop's optimiser, step by step."""
    if not len(values):
        return None
    steps = list(range(1, len(values) + 1))
    figure = _line(
        steps, [float(value) for value in values], "step of the inner loop", name, colour
    )
    figure.update_traces(mode="lines+markers", line_shape="hvh", marker_size=5)
    return figure.update_yaxes(rangemode="tozero")


def _line(x: list[Any], y: list[Any], x_name: str, y_name: str, colour: str) -> go.Figure:
    trace = go.Scatter(
        x=x,
        y=y,
        mode="lines" if len(x) > 1 else "markers",
        line={"color": colour, "width": 1.8},
        hovertemplate=f"{x_name} %{{x}}: %{{y:.4g}}<extra></extra>",
    )
    return finish(go.Figure(trace), x_name, y_name, height=300)


def _points(part: Sequence[Verified], name: str, marker: dict[str, Any]) -> go.Scatter:
    return go.Scatter(
        x=[v.proxy_score for v in part],
        y=[v.test_accuracy for v in part],
        mode="markers",
        name=name,
        marker=marker,
        text=[plain(v.description) for v in part],
        hovertemplate="%{text}<br>proxy %{x:.3f}, test %{y:.1%}<extra></extra>",
    )


def _state(trial: Mapping[str, Any]) -> str:
    return "duplicate" if trial.get("is_duplicate") else str(trial.get("state"))


def _best_so_far(scored: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[float]]:
    numbers: list[int] = []
    best: list[float] = []
    for trial in scored:
        if trial.get("state") == "infeasible":
            continue
        numbers.append(int(trial["number"]))
        best.append(max(float(trial["score"]), best[-1] if best else float("-inf")))
    return numbers, best


def _label(descriptions: Mapping[str, str], trial: Mapping[str, Any]) -> str:
    return plain(str(descriptions.get(trial.get("architecture_id", ""), "no architecture")))
