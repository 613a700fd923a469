"""The Pareto front and its volume against brute force; parallel lines through the choices."""

from typing import Any

import numpy as np
import pytest
from optuna._hypervolume import compute_hypervolume
from run_data import make_run

from nasgtn.report import summarise
from nasgtn.report.pareto import hypervolume, pareto_front
from nasgtn.report.trade_offs import MAX_LINES, parallel_figure, pareto_figure

OBJECTIVES = ("accuracy", "params")


def make_trials(n: int, n_objectives: int = 2, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "number": number,
            "architecture_id": str(number),
            "state": "complete",
            "score": float(values[0]),
            "values": values.tolist(),
            "is_duplicate": False,
            "choices": {"width": int(rng.integers(1, 5)), "norm": str(rng.choice(["a", "b"]))},
        }
        for number, values in enumerate(rng.random((n, n_objectives)))
    ]


def test_the_front_is_what_no_other_trial_beats() -> None:
    trials = make_trials(40)
    pruned = {**trials[0], "number": 40, "state": "pruned", "values": [2.0, -1.0]}
    again = {**trials[0], "number": 41, "is_duplicate": True}
    front = pareto_front([*trials, pruned, again], OBJECTIVES)
    assert front is not None
    expected = [
        one["number"]
        for one in trials
        if not any(
            other["values"][0] > one["values"][0] and other["values"][1] < one["values"][1]
            for other in trials
        )
    ]
    assert list(front.numbers) == expected
    assert pareto_front(trials, ("accuracy",)) is None
    assert pareto_front([], OBJECTIVES) is None
    assert pareto_front(trials, (*OBJECTIVES, "flops")) is None  # values of another search


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
def test_the_volume_is_that_of_optuna(n_objectives: int) -> None:
    points = np.random.default_rng(0).random((12, n_objectives))
    expected = compute_hypervolume(-points, np.zeros(n_objectives))
    found = hypervolume([tuple(point) for point in points.tolist()])
    assert found == pytest.approx(expected)


def test_the_volume_of_a_run_lies_between_none_and_all_of_the_box() -> None:
    ideal = [
        {"number": n, "state": "complete", "values": values}
        for n, values in enumerate([[1.0, 5.0], [0.0, 9.0]])
    ]
    front = pareto_front(ideal, OBJECTIVES)
    assert front is not None
    assert (front.numbers, front.hypervolume) == ((0,), 1.0)
    corners = [{**ideal[0], "values": [1.0, 9.0]}, {**ideal[1], "values": [0.0, 5.0]}]
    front = pareto_front(corners, OBJECTIVES)
    assert front is not None
    assert (front.numbers, front.hypervolume) == ((0, 1), 0.0)
    alike = pareto_front([{**ideal[0], "number": n} for n in range(3)], OBJECTIVES)
    assert alike is not None
    assert (alike.numbers, alike.hypervolume) == ((0, 1, 2), 1.0)


def test_the_figure_parts_the_front_from_the_others() -> None:
    trials = make_trials(30)
    front = pareto_front(trials, OBJECTIVES)
    assert front is not None
    figure = pareto_figure(trials, front, {}, "fused score")
    assert figure is not None
    beaten, best = figure.data
    assert len(beaten.x) + len(best.x) == 30
    assert sorted(zip(best.y, best.x, strict=True)) == sorted(
        tuple(trials[number]["values"]) for number in front.numbers
    )
    assert figure.layout.xaxis.title.text == "parameters"
    assert figure.layout.yaxis.title.text == "fused score"
    assert pareto_figure(trials, None, {}, "proxy score") is None


def test_parallel_lines_end_at_the_score() -> None:
    trials = make_trials(20)
    figure = parallel_figure(trials)
    assert figure is not None
    ends = [
        y
        for trace in figure.data
        for x, y in zip(trace.x, trace.y, strict=True)
        if x == len(figure.layout.xaxis.ticktext) - 1
    ]
    scores = np.array([trial["score"] for trial in trials])
    expected = (scores - scores.min()) / np.ptp(scores)
    assert sorted(ends) == pytest.approx(sorted(expected))
    assert list(figure.layout.xaxis.ticktext) == ["width", "norm", "proxy score"]


def test_parallel_lines_stay_few() -> None:
    figure = parallel_figure(make_trials(1000))
    assert figure is not None
    n_lines = sum(list(trace.x).count(None) for trace in figure.data)
    assert n_lines <= MAX_LINES
    best = next(trace for trace in figure.data if trace.name == "best tenth")
    assert list(best.x).count(None) >= MAX_LINES // 3


def test_parallel_lines_need_choices_that_differ_and_break_where_one_is_missing() -> None:
    trials = make_trials(5)
    same = [{**trial, "choices": {"width": 1}} for trial in trials]
    assert parallel_figure(same) is None
    assert parallel_figure(trials[:2]) is None
    missing = [*trials[1:], {**trials[0], "choices": {"width": 2}}]
    figure = parallel_figure(missing)
    assert figure is not None
    gaps = [
        x
        for trace in figure.data
        for x, y in zip(trace.x, trace.y, strict=True)
        if y is None and x is not None
    ]
    assert gaps == [1]


def test_a_run_of_one_objective_has_choices_but_no_front() -> None:
    summary = summarise(make_run())
    assert summary.front is None
    assert parallel_figure(summary.trials) is not None
