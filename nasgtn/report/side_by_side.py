"""The page of several runs side by side: settings, winners, agreement, cost, and what is noise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, variance
from typing import Any

import plotly.graph_objects as go
from scipy.stats import t as student

from nasgtn.ranking import LEVEL, Interval
from nasgtn.report import words
from nasgtn.report.data import RunData
from nasgtn.report.look import BLUE, GREY, finish, plain
from nasgtn.report.page import fill
from nasgtn.report.summary import Summary, summarise

SEEDS, IMAGES = "training seeds", "test images"
MAX_PAIRS = 28
"""Of runs whose winners are compared in words: all pairs of eight runs."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run of several."""

    data: RunData
    summary: Summary
    interval: Interval | None
    """95 % interval of the winner's test accuracy."""
    noise: str | None
    """What the interval is from: several seeds, or the number of test images."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Test accuracy of one winner less that of another."""

    one: str
    other: str
    value: float
    interval: Interval
    """95 %."""
    noise: str

    @property
    def is_clear(self) -> bool:
        """Whether it is larger than the noise."""
        low, high = self.interval
        return low > 0 or high < 0


def render_side_by_side(runs: Sequence[RunData], command: str) -> str:
    """Write the page; the same runs in the same order give the same text."""
    entries = [entry(data) for data in runs]
    pairs = list(combinations(entries, 2))
    figure = winners_figure(entries)
    return fill(
        "side_by_side.html",
        {} if figure is None else {"winners": figure},
        {"winners": "Test accuracy of the winners"},
        entries=entries,
        answers=[difference_in_words(*pair) for pair in pairs[:MAX_PAIRS]],
        n_left_out=max(0, len(pairs) - MAX_PAIRS),
        settings=settings_that_differ([one.data for one in entries]),
        command=command,
    )


def entry(data: RunData) -> Entry:
    """Sum up one run, and say how sure its winner's accuracy is."""
    summary = summarise(data)
    winner, bounds, noise = summary.winner, None, None
    if winner is not None and winner.test_accuracy is not None:
        found = winner.test_accuracies
        n_test = int(data.task.get("n_test") or 0)
        if len(found) > 1:
            noise, half = SEEDS, _half_width(variance(found) / len(found), len(found) - 1)
            low, high = winner.test_accuracy - half, winner.test_accuracy + half
            bounds = max(0.0, low), min(1.0, high)
        elif n_test:
            noise, bounds = IMAGES, words.accuracy_interval(winner.test_accuracy, n_test)
    return Entry(data=data, summary=summary, interval=bounds, noise=noise)


def difference(one: Entry, other: Entry) -> Difference | None:
    """Compare two winners; None where a winner is missing, or nothing is known of the noise.

    With several seeds of both: Welch's interval of the difference of the means. Else from the
    number of test images: Newcombe's hybrid score interval (Statistics in Medicine 17, 1998,
    method 10), as if the images were drawn for each run anew, which errs on the side of noise.
    """
    first, second = one.summary.winner, other.summary.winner
    if first is None or second is None or first.test_accuracy is None:
        return None
    if second.test_accuracy is None or one.interval is None or other.interval is None:
        return None
    value = first.test_accuracy - second.test_accuracy
    if one.noise == other.noise == SEEDS:
        noise, bounds = SEEDS, welch(first.test_accuracies, second.test_accuracies)
    else:
        pair = (one, first.test_accuracy), (other, second.test_accuracy)
        sizes = [int(each.data.task.get("n_test") or 0) for each, _ in pair]
        if not all(sizes):
            return None
        accuracies = first.test_accuracy, second.test_accuracy
        noise, bounds = IMAGES, newcombe((accuracies[0], sizes[0]), (accuracies[1], sizes[1]))
    names = one.data.name, other.data.name
    return Difference(one=names[0], other=names[1], value=value, interval=bounds, noise=noise)


def welch(one: Sequence[float], other: Sequence[float]) -> Interval:
    """95 % interval of the difference of two means of at least two numbers each."""
    errors = [variance(found) / len(found) for found in (one, other)]
    value, total = fmean(one) - fmean(other), sum(errors)
    if not total:
        return value, value
    squares = sum(e**2 / (len(f) - 1) for e, f in zip(errors, (one, other), strict=True))
    half = _half_width(total, total**2 / squares)
    return value - half, value + half


def newcombe(one: tuple[float, int], other: tuple[float, int]) -> Interval:
    """95 % interval of the difference of two shares, each with its number of images."""
    (p1, _), (p2, _) = one, other
    (low1, high1), (low2, high2) = (words.accuracy_interval(*pair) for pair in (one, other))
    return (
        p1 - p2 - math.hypot(p1 - low1, high2 - p2),
        p1 - p2 + math.hypot(high1 - p1, p2 - low2),
    )


def difference_in_words(one: Entry, other: Entry) -> str:
    """Say which of two winners is better, if that can be said."""
    names = one.data.name, other.data.name
    if one.data.task.get("name") != other.data.task.get("name"):
        return f"{names[0]} and {names[1]} are of different data: their accuracies do not compare."
    found = difference(one, other)
    if found is None:
        return f"{names[0]} and {names[1]} cannot be compared: one has no winner yet."
    better, worse = names if found.value >= 0 else names[::-1]
    low, high = sorted(abs(b) if found.is_clear else b for b in found.interval)
    said = (
        f"The winner of {better} is {words.points(abs(found.value))} better than that of {worse}"
    )
    if not found.value:
        said = f"The winners of {better} and {worse} are equally good"
    bounds = f"95{words.SPACE}% interval of the difference {words.points(low)} to "
    bounds += f"{words.points(high)}, from the noise of the {found.noise}"
    if found.is_clear:
        return f"{said} ({bounds}): more than the noise."
    return f"{said} ({bounds}): no more than the noise, so they cannot be told apart."


def settings_that_differ(runs: Sequence[RunData]) -> list[tuple[str, list[str]]]:
    """List the settings that are not the same in all runs, with their value in each."""
    tables = [_flat({**run.config, "environment": run.environment}) for run in runs]
    keys = sorted({key for table in tables for key in table})
    rows = [(key, [words.value(table.get(key)) for table in tables]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def winners_figure(entries: Sequence[Entry]) -> go.Figure | None:
    """Test accuracy of each run's winner with its interval, in the order of the runs."""
    shown = [
        (one, one.summary.winner.test_accuracy, one.interval)
        for one in entries
        if one.summary.winner and one.summary.winner.test_accuracy is not None
    ]
    if not shown:
        return None
    figure = go.Figure(
        go.Scatter(
            x=[accuracy for _, accuracy, _ in shown],
            y=[plain(one.data.name) for one, _, _ in shown],
            mode="markers",
            marker={"size": 11, "color": BLUE},
            error_x={
                "array": [bounds[1] - p if bounds else None for _, p, bounds in shown],
                "arrayminus": [p - bounds[0] if bounds else None for _, p, bounds in shown],
                "color": GREY,
            },
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure = finish(figure, "test accuracy", None, height=120 + 34 * len(shown))
    figure.update_xaxes(tickformat=".1~%")
    return figure.update_yaxes(autorange="reversed", showgrid=False)


def _half_width(squared_error: float, freedom: float) -> float:
    return float(student.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(squared_error)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:  # nested TOML tables
    found: dict[str, Any] = {}
    for key, item in table.items():
        if isinstance(item, Mapping):
            found |= _flat(item, f"{prefix}{key}.")
        else:
            found[prefix + key] = item
    return found
