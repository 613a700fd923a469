"""A search that Optuna is told the fused score in."""

from pathlib import Path

import pytest
from command_line import QUICK, TINY_SPACE, write_toy_archive

from nasgtn.cli.main import run as command_line
from nasgtn.errors import UnknownNameError
from nasgtn.pipeline import config_from_mapping, resume, run_data
from nasgtn.records import read_records


def searched(folder: Path, *settings: str) -> Path:
    write_toy_archive(folder / "toy.npz")
    (folder / "tiny.py").write_text(TINY_SPACE)
    given = ("search.score=fused", "anchors.n=8", *settings)
    arguments = [
        *("search", "--dataset", str(folder / "toy.npz"), "--space", str(folder / "tiny.py")),
        *(*QUICK, "--quiet", "--trials", "9", "--verify", "2", "--run", str(folder / "run")),
        *(part for text in given for part in ("--set", text)),
    ]
    assert command_line(arguments) == 0
    return folder / "run"


def test_a_study_holds_the_fused_score_and_the_records_the_proxys(tmp_path: Path) -> None:
    folder = searched(tmp_path)
    trials = run_data(folder).history
    proxy = {one.architecture_id: one.score for one in read_records(folder / "proxy.jsonl")}
    assert len(proxy) == 9
    for trial in trials:
        assert trial["score"] == proxy[trial["architecture_id"]]
        assert trial["values"][0] < 0  # log-ranks
    assert len({trial["values"][0] for trial in trials}) > 5
    # All 16 of the space are the group, and are scored by all parts that count in the sum.
    scored = {one.architecture_id for one in read_records(folder / "baselines.jsonl")}
    assert len(scored) == 16


def test_a_stopped_search_goes_on_with_the_same_values(tmp_path: Path) -> None:
    folder = searched(tmp_path, "search.sampler=random")
    before = {one["architecture_id"]: one["values"] for one in run_data(folder).history}
    lines = (folder / "proxy.jsonl").read_text().splitlines(keepends=True)
    (folder / "proxy.jsonl").write_text("".join(lines[:4]))
    for name in ("study.db", "report.html", "verification.jsonl", "finished"):
        (folder / name).unlink()
    (folder / "study.db").unlink(missing_ok=True)
    resume(folder)
    after = {one["architecture_id"]: one["values"] for one in run_data(folder).history}
    assert all(after[name] == before[name] for name in before.keys() & after.keys())


@pytest.mark.slow
def test_workers_share_the_group(tmp_path: Path) -> None:
    folder = searched(tmp_path, "search.workers=2", 'search.objectives=["accuracy", "params"]')
    trials = run_data(folder).history
    assert all(trial["values"][0] < 0 < trial["values"][1] for trial in trials)
    assert "Pareto front" in (folder / "report.html").read_text()


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"search\.score"):
        config_from_mapping({"search": {"score": "best"}})
