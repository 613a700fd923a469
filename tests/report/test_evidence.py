"""Figures that compare show the ranks, curves, classes and stages that the numbers say."""

import dataclasses

import pytest
import scipy.stats
from run_data import CONFUSION, make_run

from nasgtn.report import Summary, summarise
from nasgtn.report.classes import MAX_CLASSES, class_results, shares, shown_classes
from nasgtn.report.evidence import (
    confusion_figure,
    curves_figure,
    slope_figure,
    timeline_figure,
)

NAMES = [str(label) for label in range(10)]


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(make_run())


def test_slopes_go_from_rank_to_rank(summary: Summary) -> None:
    figure = slope_figure(summary.verified, summary.winner)
    assert figure is not None
    found = {
        (label, x): y
        for trace in figure.data
        for label, x, y in zip(trace.text, trace.x, trace.y, strict=True)
        if x is not None
    }
    assert {trace.name for trace in figure.data} == {"candidate", "control", "winner"}
    rows = summary.verified
    for side, values in (
        ("proxy", [v.proxy_score or 0.0 for v in rows]),
        ("truth", [v.test_accuracy or 0.0 for v in rows]),
    ):
        ranks = len(rows) + 1 - scipy.stats.rankdata(values)
        assert [found[v.description, side] for v in rows] == list(ranks)
    assert slope_figure(summary.verified[:1], None) is None


def test_curves_are_those_of_the_records(summary: Summary) -> None:
    figure = curves_figure(summary.verified, summary.winner)
    assert figure is not None
    trace = next(trace for trace in figure.data if trace.name == "winner")
    record = next(
        r
        for r in make_run().verification
        if summary.winner is not None and r.architecture_id == summary.winner.architecture_id
    )
    assert list(zip(trace.x, trace.y, strict=True))[:-1] == list(record.curve)
    assert (trace.x[-1], trace.y[-1]) == (None, None)
    bare = [dataclasses.replace(v, curve=()) for v in summary.verified]
    assert curves_figure(bare, None) is None


def test_each_class_has_its_accuracy_and_what_it_is_taken_for() -> None:
    rows = class_results([(0, 0, 3), (0, 1, 1), (0, 2, 2), (1, -1, 4)], ["a", "b", "c"])
    assert [(r.n_images, r.accuracy, r.taken_for, r.n_taken) for r in rows] == [
        (6, 0.5, "c", 2),
        (4, 0.0, "nothing", 4),
        (0, None, None, 0),
    ]
    assert class_results([], ["a"]) == ()


def test_the_confusion_has_shares_of_each_class(summary: Summary) -> None:
    figure = confusion_figure(summary.classes, summary.confusion)
    assert figure is not None
    table = figure.data[0].z
    for label in range(10):
        assert table[label][label] == pytest.approx(34 / 36)
        assert sum(table[label]) == pytest.approx(1)
    assert summary.classes == class_results(CONFUSION, NAMES)
    assert confusion_figure((), []) is None


def test_of_many_classes_the_worst_are_shown() -> None:
    n = 1000
    confusion = [one for c in range(n) for one in ((c, c, n - c), (c, (c + 1) % n, c)) if one[2]]
    classes = class_results(confusion, [f"class {c}" for c in range(n)])
    shown = shown_classes(classes)
    assert shown == list(range(n - MAX_CLASSES, n))
    table = shares(classes, confusion, shown)
    assert table[-1][-1] == pytest.approx(1 / n)
    assert table[0][1] == pytest.approx((n - MAX_CLASSES) / n)


def test_the_timeline_puts_each_stage_after_the_one_before() -> None:
    stages = {"anchors": 0.0, "meta_training": 3.0, "search": 2.0, "verification": 5.0}
    figure = timeline_figure(stages)
    assert figure is not None
    bars = figure.data[0]
    assert list(bars.y) == ["meta training", "search", "verification"]
    assert list(bars.base) == [0.0, 3.0, 5.0]
    assert list(bars.x) == [3.0, 2.0, 5.0]
    assert timeline_figure({"search": 0.0}) is None
