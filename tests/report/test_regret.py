"""The figure of a search benchmark: a median a method, at each time when a run finds more."""

import pytest

from nasgtn.report.regret import regret_figure

TABLE = """method,seed,n_verified,seconds,charged,regret
ours,1,1,3600,0,0.02
ours,1,2,10800,0,0.004
ours,2,1,7200,0,0.01
theirs,0,1,36000,0,0.03
"""


def test_the_median_begins_when_half_of_the_runs_know_something() -> None:
    lines = {trace.name: trace for trace in regret_figure(TABLE).data}
    assert list(lines) == [
        *("ours, seed 1", "ours, seed 2", "ours, median of 2"),
        *("theirs, seed 0", "theirs"),
    ]
    middle = lines["ours, median of 2"]
    assert list(middle.x) == pytest.approx([2, 3])
    assert list(middle.y) == pytest.approx([1.5, 0.7])
    assert list(lines["ours, seed 1"].x) == pytest.approx([1, 3])
    assert [name for name, line in lines.items() if line.showlegend] == [
        "ours, median of 2",
        "theirs",
    ]
