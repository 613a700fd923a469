"""Figures show what the numbers say, and are left out where there is nothing to show."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image
from run_data import make_foretold, make_run

from nasgtn.report import RunData, summarise
from nasgtn.report.figures import (
    TITLES,
    agreement_figure,
    draw,
    estimators_figure,
    history_figure,
    importances_figure,
    meta_training_figure,
)
from nasgtn.report.picture import MAX_CLASSES, picture

NAMES = set(TITLES) - {"pareto"}
"""Figures of a search with one objective."""


@pytest.fixture(scope="module")
def data() -> RunData:
    return make_run()


def test_every_figure_is_drawn_for_a_whole_run() -> None:
    data = make_foretold()
    assert set(draw(data, summarise(data))) == NAMES


def test_nothing_is_drawn_for_an_empty_run() -> None:
    data = dataclasses.replace(
        make_run(n_trials=0),
        importances={},
        meta_training=[],
        learning_rates=[],
        momenta=[],
        costs={},
        confusion=[],
    )
    assert draw(data, summarise(data)) == {}


def test_candidates_control_and_winner_are_marked_apart(data: RunData) -> None:
    summary = summarise(data)
    figure = agreement_figure(summary.verified, summary.winner)
    assert figure is not None
    points = {trace.name: list(zip(trace.x, trace.y, strict=True)) for trace in figure.data}
    assert {name: len(found) for name, found in points.items()} == {
        "candidate": 5,
        "control, drawn at random": 5,
        "winner": 1,
    }
    assert points["winner"][0] in points["candidate"]
    assert summary.winner is not None
    assert points["winner"] == [(summary.winner.proxy_score, summary.winner.test_accuracy)]
    symbols = [trace.marker.symbol for trace in figure.data]
    assert len(set(symbols)) == 3


def test_anchors_are_marked_where_they_are_shown_and_have_no_rank(data: RunData) -> None:
    summary = summarise(dataclasses.replace(data, anchors=data.verification[-2:]))
    figure = agreement_figure(summary.verified, summary.winner)
    assert figure is not None
    n_points = {trace.name: len(trace.x) for trace in figure.data}
    assert (n_points["anchor, judges nothing"], n_points["control, drawn at random"]) == (2, 3)
    ranks = draw(data, summary)["ranks"]
    assert sum(x == "truth" for trace in ranks.data for x in trace.x) == 8


def test_error_bars_end_at_the_interval(data: RunData) -> None:
    rows = summarise(data).estimators
    figure = estimators_figure(rows)
    assert figure is not None
    trace = figure.data[0]
    for index, row in enumerate(reversed(rows)):
        assert row.agreement.spearman_interval is not None
        low, high = row.agreement.spearman_interval
        assert trace.y[index] == row.name
        assert trace.x[index] - trace.error_x.arrayminus[index] == pytest.approx(low)
        assert trace.x[index] + trace.error_x.array[index] == pytest.approx(high)


def test_history_marks_duplicates_pruned_and_failed_trials(data: RunData) -> None:
    figure = history_figure(data.history, data.descriptions)
    assert figure is not None
    n_points = {trace.name: len(trace.x) for trace in figure.data}
    states = [("duplicate" if t["is_duplicate"] else t["state"]) for t in data.history]
    assert n_points["duplicate, looked up"] == states.count("duplicate")
    assert n_points["pruned"] == states.count("pruned")
    assert n_points["failed"] == states.count("failed")
    assert n_points["scored"] == states.count("complete")
    best = figure.data[-1]
    scores = [t["score"] for t in data.history if t["score"] is not None]
    assert list(best.y) == list(np.maximum.accumulate(scores))
    failed = next(trace for trace in figure.data if trace.name == "failed")
    assert max(failed.y) < min(scores)


def test_history_of_failures_alone_is_drawn() -> None:
    data = make_run()
    trials = [{"number": i, "state": "failed", "score": None} for i in range(4)]
    figure = history_figure(trials, data.descriptions)
    assert figure is not None
    assert len(figure.data[0].x) == 4


def test_importances_are_sorted_with_the_largest_on_top(data: RunData) -> None:
    figure = importances_figure(data.importances)
    assert figure is not None
    assert list(figure.data[0].y) == ["head", "kernel", "depth", "norm", "width"]


def test_meta_training_shows_a_running_mean(data: RunData) -> None:
    figure = meta_training_figure(data.meta_training, "meta_loss", "meta-loss")
    assert figure is not None
    values, means = (np.asarray(trace.y) for trace in figure.data)
    assert means[100] == pytest.approx(values[95:106].mean())
    assert means[0] == pytest.approx(values[:6].mean())
    skipped: list[dict[str, float | None]] = [
        {"meta_step": 0, "meta_loss": None},
        {"meta_step": 1, "meta_loss": 2.0},
    ]
    figure = meta_training_figure(skipped, "meta_loss", "meta-loss")
    assert figure is not None
    assert [list(trace.x) for trace in figure.data] == [[1]]


def test_markup_of_users_does_not_reach_plotly(data: RunData) -> None:
    hostile = {"<a href='https://x'>b</a>": 0.5}
    figure = importances_figure(hostile)
    assert figure is not None
    assert list(figure.data[0].y) == ["&lt;a href='https://x'&gt;b&lt;/a&gt;"]


def tiles(n_steps: int, n_classes: int, size: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(n_classes), (n_steps, 2))
    shape = (*labels.shape, size, size, channels)
    return rng.integers(0, 256, shape, dtype=np.uint8), labels


def test_picture_places_every_image_where_it_says() -> None:
    images, labels = tiles(5, 3, 8, 3)
    drawn = picture(images, labels, ["a", "b", "c"])
    assert drawn is not None
    assert drawn.batches == (1, 3, 5)
    assert drawn.n_images == 2
    sheet = np.asarray(Image.open(io.BytesIO(drawn.png)))
    assert sheet.shape == (3 * 8, 3 * 2 * 8, 3)
    for label, (name, counts) in enumerate(drawn.rows):
        assert (name, counts) == ("abc"[label], (2, 2, 2))
        row = sheet[label * 8 : label * 8 + 8]
        for block, step in enumerate(drawn.batches):
            expected = images[step - 1][labels[step - 1] == label]
            shown = row[:, block * 16 : block * 16 + 16]
            np.testing.assert_array_equal(shown, np.concatenate([*expected], axis=1))


@pytest.mark.parametrize(
    ("n_steps", "n_classes", "size", "channels"),
    [(1, 2, 8, 1), (2, 43, 32, 3), (3, 10, 224, 3), (3, 1000, 32, 3), (3, 4, 8, 2)],
)
def test_picture_stays_small(n_steps: int, n_classes: int, size: int, channels: int) -> None:
    drawn = picture(*tiles(n_steps, n_classes, size, channels), [str(i) for i in range(n_classes)])
    assert drawn is not None
    assert len(drawn.png) < 500_000
    assert len(drawn.rows) == min(n_classes, MAX_CLASSES)
    assert len(drawn.batches) == min(n_steps, 3)


def test_a_class_without_images_has_empty_cells() -> None:
    images, labels = tiles(2, 2, 8, 1)
    drawn = picture(images, labels, ["a", "b", "never"])
    assert drawn is not None
    assert drawn.rows[2] == ("never", (0, 0))
    assert picture(images[:0], labels[:0], ["a"]) is None
