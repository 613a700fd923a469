"""What was foretold, held against what was found: closed forms, and a world where it is right."""

import json

import numpy as np
import pytest
from page_reader import Reader
from run_data import make_foretold, make_run
from scipy.stats import norm

from nasgtn.fusion import STD, calibrate
from nasgtn.records import Evaluation
from nasgtn.report import summarise
from nasgtn.report.foresight import (
    Forecast,
    Truth,
    forecasts,
    foresight_figure,
    share_within,
    spread,
)
from nasgtn.report.numbers import figure_csv
from nasgtn.report.page import render
from nasgtn.report.words import foresight_in_words


def record(evaluator: str, name: str, score: float | None, std: float | None = None) -> Evaluation:
    return Evaluation(
        evaluator=evaluator,
        architecture_id=name,
        choices={},
        seed=0,
        score=score,
        seconds=1.0,
        failure=None if score is not None else "boom",
        metrics={} if std is None else {STD: std},
    )


def anchors(*accuracies: float) -> list[Evaluation]:
    return [record("ground_truth", f"anchor {i}", one) for i, one in enumerate(accuracies)]


def truth(accuracy: float, *, is_control: bool = False) -> Truth:
    return Truth(description="an", is_control=is_control, validation_accuracy=accuracy)


def forecast(mean: float, std: float, found: float, *, is_beyond: bool = False) -> Forecast:
    return Forecast(
        description="one",
        is_control=False,
        mean=mean,
        std=std,
        found=found,
        is_beyond=is_beyond,
    )


def test_what_was_found_is_a_rank_among_the_anchors() -> None:
    labels = anchors(0.5, 0.6, 0.7, 0.8)
    predictions = [record("calibrated", name, 0.3, 1.0) for name in ("a", "b", "c")]
    found = forecasts(predictions, {"a": truth(0.65), "b": truth(0.9), "c": truth(0.1)}, labels)
    assert [one.found for one in found] == pytest.approx(
        [norm.ppf((rank - 0.375) / 5.25) for rank in (3, 5, 1)]  # of five, itself among them
    )
    assert [one.is_beyond for one in found] == [False, True, True]


def test_what_foretells_nothing_is_left_out() -> None:
    predictions = [
        record("calibrated", "failed", None),
        record("calibrated", "of an older run", 0.1),
        record("calibrated", "anchor 0", 0.1, 1.0),
        record("calibrated", "unverified", 0.1, 1.0),
    ]
    known = {one.architecture_id: truth(0.5) for one in predictions[:3]}
    assert forecasts(predictions, known, anchors(0.4, 0.6)) == ()
    assert foresight_figure(()) is None
    assert foresight_in_words(()) == ""


def test_beyond_the_anchors_only_a_bound_is_known() -> None:
    above, below = forecast(3.0, 0.1, 1.7, is_beyond=True), forecast(1.0, 0.1, 1.7, is_beyond=True)
    assert above.is_within
    assert above.standard_score == 0
    assert not below.is_within
    assert below.standard_score == pytest.approx(7)
    low = forecast(-3.0, 0.1, -1.7, is_beyond=True)
    assert low.is_within
    assert low.standard_score == 0
    assert not forecast(3.0, 0.1, 1.7).is_within


def test_a_right_prediction_is_found_right_and_one_too_sure_is_not() -> None:
    """Labels that are a feature plus noise: the model's own uncertainty covers them."""
    rng = np.random.default_rng(0)
    right: list[Forecast] = []
    sure: list[Forecast] = []
    for seed in range(2):
        quality = rng.normal(size=120)
        accuracy = quality + 0.7 * rng.normal(size=120)
        labels = np.where(np.arange(120) < 40, accuracy, np.nan)
        prediction = calibrate(quality[:, None], labels, seed=seed)
        verified = {str(i): truth(float(accuracy[i])) for i in range(40, 120)}
        for foretold, factor in ((right, 1.0), (sure, 0.3)):
            predictions = [
                record(
                    "calibrated",
                    str(i),
                    float(prediction.mean[i]),
                    float(prediction.std[i]) * factor,
                )
                for i in range(120)
            ]
            foretold.extend(forecasts(predictions, verified, anchors(*accuracy[:40].tolist())))
    assert share_within(right) == pytest.approx(0.95, abs=0.05)
    assert spread(right) == pytest.approx(1, abs=0.2)
    assert share_within(sure) < 0.7
    assert "too sure of itself" in foresight_in_words(sure)


def test_a_few_intervals_contradict_nothing() -> None:
    within, outside = forecast(0.0, 1.0, 0.5), forecast(0.0, 1.0, 3.0)
    said = foresight_in_words([*[within] * 9, outside])
    assert "9 lie within" in said
    assert "does not contradict" in said
    assert "root mean square of 1.06" in said  # of nine 0.5 and one 3


def test_the_report_shows_it_with_its_numbers() -> None:
    data = make_foretold()
    summary = summarise(data)
    assert len(summary.forecasts) == 10
    assert len(json.loads(summary.json())["forecasts"]) == 10
    figure = foresight_figure(summary.forecasts)
    assert figure is not None
    rows = figure_csv(figure).splitlines()
    assert rows[0].startswith('series,"predicted normal score, with its 95 % interval",found')
    assert len(rows) == 1 + 2 + 10
    page = Reader(render(data, summary))
    assert "Of 10 verified architectures" in " ".join(page.text.split())
    assert "figure-foresight" in {tag.get("data-figure") for tag in page.all("div")}


def test_the_report_says_where_there_is_none() -> None:
    assert "No predictions with their uncertainty were recorded" in render(make_run())
