import dataclasses

import pytest
from run_data import make_run

from nasgtn.ranking import spearman
from nasgtn.report import RunData, summarise
from nasgtn.report.page import render


def with_curves(data: RunData) -> RunData:
    """Let every other early score be wrong, and the last ones be what they are."""
    baselines = [
        dataclasses.replace(
            one, curve=((4, (-1) ** n * (one.score or 0)), (16, one.score or 0.0)), seconds=8.0
        )
        if one.evaluator == "gtn"
        else one
        for n, one in enumerate(data.baselines)
    ]
    return dataclasses.replace(data, baselines=baselines)


def test_each_rung_is_judged_by_its_own_scores_and_share_of_the_seconds() -> None:
    data = with_curves(make_run())
    summary = summarise(data)
    early, late = summary.rungs
    assert (early.name, late.name) == ("gtn after 4", "gtn after 16")
    assert (early.seconds_per_candidate, late.seconds_per_candidate) == (2.0, 8.0)
    whole = data.multiply_adds["gtn"]
    assert early.multiply_adds_per_candidate == whole / 4
    assert late.multiply_adds_per_candidate == whole
    assert summary.proxy is not None
    assert late.agreement == summary.proxy.agreement
    scores = {
        one.architecture_id: one.curve[0][1] for one in data.baselines if one.evaluator == "gtn"
    }
    both = [
        (scores[one.architecture_id], one.test_accuracy)
        for one in summary.verified
        if one.test_accuracy is not None
    ]
    rho = spearman([score for score, _ in both], [accuracy for _, accuracy in both])
    assert early.agreement.spearman == pytest.approx(rho)
    text = render(data, summary)
    assert "gtn after 4" in text
    assert 'id="figure-rungs"' in text


def test_what_was_stopped_on_its_way_says_nothing_about_the_rungs() -> None:
    data = with_curves(make_run())
    whole = summarise(data).rungs[0].agreement.n
    first = next(n for n, one in enumerate(data.baselines) if one.evaluator == "gtn")
    cut = dataclasses.replace(data.baselines[first], curve=data.baselines[first].curve[:1])
    baselines = [*data.baselines[:first], cut, *data.baselines[first + 1 :]]
    assert summarise(dataclasses.replace(data, baselines=baselines)).rungs[0].agreement.n == (
        whole - 1
    )


def test_a_single_look_has_no_rungs() -> None:
    data = make_run()
    once = [dataclasses.replace(one, curve=one.curve[-1:]) for one in data.baselines]
    data = dataclasses.replace(data, baselines=once)
    assert summarise(data).rungs == ()
    assert "At each rung" not in render(data)
