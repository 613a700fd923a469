"""The CSV of a figure says what the figure shows, for every figure of a report."""

import csv
import io

import plotly.graph_objects as go
import pytest
from run_data import make_run

from nasgtn.report import summarise
from nasgtn.report.figures import draw
from nasgtn.report.look import finish, plain
from nasgtn.report.numbers import figure_csv, short


def rows_of(figure: go.Figure) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(figure_csv(figure))))


@pytest.fixture(scope="module")
def figures() -> dict[str, go.Figure]:
    data = make_run()
    return draw(data, summarise(data))


def test_every_figure_has_numbers(figures: dict[str, go.Figure]) -> None:
    for figure in figures.values():
        assert rows_of(figure)
        assert "None" not in figure_csv(figure)


def test_rows_are_the_points_with_their_labels(figures: dict[str, go.Figure]) -> None:
    summary = summarise(make_run())
    found = {
        (row["label"], float(row["proxy score"]), float(row["test accuracy"]))
        for row in rows_of(figures["agreement"])
    }
    expected = {
        (v.description, short(v.proxy_score or 0.0), short(v.test_accuracy or 0.0))
        for v in summary.verified
    }
    assert found == expected


def test_intervals_are_kept(figures: dict[str, go.Figure]) -> None:
    summary = summarise(make_run())
    rows = {row["y"]: row for row in rows_of(figures["estimators"])}
    for estimator in summary.estimators:
        bounds = estimator.agreement.spearman_interval
        assert bounds is not None
        row = rows[estimator.name]
        assert (float(row["low"]), float(row["high"])) == pytest.approx(bounds, abs=1e-5)


def test_cells_of_a_confusion_are_rows(figures: dict[str, go.Figure]) -> None:
    rows = rows_of(figures["confusion"])
    assert len(rows) == 20
    right = [float(row["label"]) for row in rows if row["class"] == row["taken for"]]
    assert right == pytest.approx([34 / 36] * 10, abs=1e-5)


def test_text_is_that_of_the_user_and_no_formula() -> None:
    names = ['=cmd|"x"', "<b>&amp;\u05d0", "+1", "a,b"]
    trace = go.Bar(x=[1, 2, 3, None], y=[plain(name) for name in names])
    found = [row["y"] for row in rows_of(finish(go.Figure(trace), "x", None))]
    assert found == ["'" + names[0], names[1], "'+1"]
