import dataclasses

from run_data import make_run

from nasgtn.notes import fused_scores, note, trial_note
from nasgtn.report import summarise

HOSTILE = "</script><script>alert(1)</script> | `x` ![a](http://x)"


def test_a_name_cannot_write_markdown() -> None:
    data = make_run(n_trials=12)
    data = dataclasses.replace(
        data,
        name=HOSTILE,
        command=HOSTILE,
        descriptions=dict.fromkeys(data.descriptions, HOSTILE),
    )
    for line in note(data, summarise(data)).splitlines():
        outside = "".join(line.split("`")[::2])
        assert "<" not in outside
        assert "http" not in outside
        if line.startswith("|"):
            assert line.count("|") == 8


def test_the_note_of_a_trial_has_the_truth_beside_both_scores() -> None:
    data = make_run(n_trials=12)
    first = data.verification[0]
    calibrated = dataclasses.replace(data.proxy[0], evaluator="calibrated", score=0.1234)
    fused = dataclasses.replace(data.proxy[0], evaluator="fused", score=0.9)
    baselines = [
        dataclasses.replace(one, architecture_id=first.architecture_id)
        for one in (fused, calibrated)
    ]
    assert fused_scores(dataclasses.replace(data, baselines=baselines[:1])) == {
        first.architecture_id: 0.9
    }
    data = dataclasses.replace(data, baselines=baselines, anchors=[first])
    summary, found = summarise(data), fused_scores(data)
    row = next(v for v in summary.verified if v.architecture_id == first.architecture_id)
    text = trial_note(row, summary, found)
    assert "fused score 0.123" in text
    assert f"Proxy score {row.proxy_score:.3f}" in text
    assert f"{100 * (first.score or 0):.1f}" in text
    assert "An anchor" in text
    assert "fused score \N{EN DASH}" in trial_note(row, summary, {})


def test_the_note_of_a_run_counts_what_was_done() -> None:
    data = dataclasses.replace(make_run(n_trials=12), anchors=make_run(3).proxy)
    text = note(data, summarise(data))
    n = len(data.proxy)
    assert f"So far: 3 anchors, 200 meta-steps, {n} architectures by the proxy, 10 in full" in text
