"""Status is computed from the files of a run; here from hand-made ones, checked by hand."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_folder import write_config, write_lines, write_run

from nasgtn.errors import ArtefactError
from nasgtn.records import Evaluation
from nasgtn.status import STAGES, rank_leaders, read_rows, status


def record(name: str, score: float | None = 0.5, **more: object) -> Evaluation:
    values: dict[str, object] = {
        "evaluator": "gtn",
        "architecture_id": name,
        "choices": {"width": 8},
        "seed": 0,
        "seconds": 2.0,
        "failure": None if score is not None else "it failed",
        **more,
    }
    return Evaluation(score=score, **values)  # type: ignore[arg-type]


def trained(name: str, accuracy: float, **metrics: float) -> Evaluation:
    return record(name, accuracy, metrics={"validation_accuracy": accuracy, **metrics})


def test_a_run_goes_through_its_stages(tmp_path: Path) -> None:
    write_config(tmp_path, trials=3)
    assert status(tmp_path).stage == "anchors"
    write_lines(tmp_path / "anchors.jsonl", [record(f"a{n}") for n in range(6)])
    found = status(tmp_path)
    assert (found.stage, found.anchors, found.anchors_wanted) == ("anchors", 6, 24)
    write_lines(tmp_path / "anchors.jsonl", [record(f"a{n}") for n in range(24)])
    assert status(tmp_path).stage == "gtn"
    (tmp_path / "meta_training.jsonl").write_text('{"seconds": 0.5}\n' * 50 + '{"seco')
    found = status(tmp_path)
    assert (found.stage, found.meta_steps, found.meta_steps_wanted) == ("gtn", 50, 200)
    write_lines(tmp_path / "proxy.jsonl", [record("x"), record("y", None)])
    found = status(tmp_path)
    assert (found.stage, found.candidates, found.failed) == ("search", 2, 1)
    write_lines(tmp_path / "proxy.jsonl", [record("x"), record("y", None), record("z")])
    assert status(tmp_path).stage == "verification"
    write_lines(tmp_path / "verification.jsonl", [trained("x", 0.9)])
    found = status(tmp_path)
    assert (found.stage, found.verified, found.verified_wanted) == ("verification", 1, 10)
    (tmp_path / "report.html").touch()
    assert status(tmp_path).stage == "verification"  # a report is no end
    (tmp_path / "finished").touch()
    found = status(tmp_path)
    assert (found.stage, found.seconds_left, found.not_counted) == ("finished", 0, ())


def test_the_time_left_is_units_times_pace_of_the_stages_to_come(tmp_path: Path) -> None:
    write_config(tmp_path, trials=10, workers=2)
    assert status(tmp_path).not_counted == STAGES
    write_lines(tmp_path / "anchors.jsonl", [record(f"a{n}") for n in range(20)])
    found = status(tmp_path)
    assert found.seconds_left == 4 * 2.0 + 10 * 2.0  # a verification takes as long as an anchor
    assert found.not_counted == ("gtn", "search")
    write_lines(tmp_path / "proxy.jsonl", [record(f"x{n}") for n in range(4)])
    found = status(tmp_path)
    assert found.seconds_left == 6 * 2.0 / 2 + 10 * 2.0  # what was skipped is not to come
    assert found.not_counted == ()
    assert found.seconds == 20 * 2.0 + 4 * 2.0


def test_the_verification_of_an_anchor_counts_its_seconds_once(tmp_path: Path) -> None:
    write_config(tmp_path)
    write_lines(tmp_path / "anchors.jsonl", [record("a"), record("b")])
    write_lines(tmp_path / "proxy.jsonl", [record("a")])
    write_lines(
        tmp_path / "verification.jsonl", [record("a", metrics={"validation_accuracy": 0.5})]
    )
    assert status(tmp_path).seconds == 2.0 + 2.0 + 2.0


def test_scores_beside_the_search_count_and_sums_and_copies_of_them_do_not(tmp_path: Path) -> None:
    write_config(tmp_path)
    write_lines(tmp_path / "proxy.jsonl", [record("a")])
    beside = [record("a"), record("b"), record("a", evaluator="naswot", seconds=0.25)]
    write_lines(tmp_path / "baselines.jsonl", [*beside, record("a", evaluator="fused")])
    assert status(tmp_path).seconds == 2.0 + 2.0 + 0.25


def test_a_given_generator_needs_no_anchors(tmp_path: Path) -> None:
    write_config(tmp_path, generator="elsewhere")
    found = status(tmp_path)
    assert (found.stage, found.anchors_wanted, found.meta_steps_wanted) == ("gtn", 0, 0)
    assert found.not_counted == ("search", "verification")


def test_verified_architectures_lead_and_controls_and_pruned_ones_do_not() -> None:
    proxy = [
        record("low", 0.1),
        record("high", 0.9),
        record("pruned", 0.95, metrics={"is_pruned": 1.0}),
        record("failed", None),
        record("best", 0.3, metrics={"n_parameters": 12.0}),
        record("second", 0.4),
        record("control", 0.2),
    ]
    verified = [
        trained("second", 0.7),
        trained("best", 0.7),
        trained("best", 0.9),
        trained("control", 0.99, is_control=1.0),
    ]
    found = rank_leaders(proxy, verified)
    assert [one.architecture_id for one in found] == ["best", "second", "high", "low"]
    assert [one.validation_accuracy for one in found] == [pytest.approx(0.8), 0.7, None, None]
    assert (found[0].choices, found[0].n_parameters) == ("width=8", 12)
    assert [one.architecture_id for one in rank_leaders(proxy, [], n=1)] == ["high"]


def test_the_last_change_is_that_of_the_newest_file(tmp_path: Path) -> None:
    write_run(tmp_path)
    past = time.time() - 1000
    for path in tmp_path.iterdir():
        os.utime(path, (past, past))
    assert status(tmp_path).seconds_since_change == pytest.approx(1000, abs=30)
    (tmp_path / "proxy.jsonl").touch()
    assert status(tmp_path).seconds_since_change < 30


def test_a_configuration_that_is_not_whole_is_one_clear_line(tmp_path: Path) -> None:
    write_config(tmp_path)
    config = tmp_path / "config.toml"
    config.write_text(config.read_text().replace("trials", "trails"))
    with pytest.raises(ArtefactError, match=r"must hold the whole configuration .* 'trials'"):
        status(tmp_path)


def test_meta_steps_without_a_loss_and_torn_lines_are_no_obstacle(tmp_path: Path) -> None:
    write_config(tmp_path)
    path = tmp_path / "meta_training.jsonl"
    path.write_text('{"meta_loss": NaN, "seconds": 2.0}\n{"meta_loss": 1.0}\n{"meta_')
    assert read_rows(path) == [{"meta_loss": None, "seconds": 2.0}, {"meta_loss": 1.0}]
    found = status(tmp_path)
    assert (found.meta_steps, found.seconds) == (2, 2.0)


@pytest.mark.parametrize("line", ["no json", "[1, 2]", "3"])
def test_a_damaged_meta_step_is_one_clear_line(tmp_path: Path, line: str) -> None:
    write_config(tmp_path)
    (tmp_path / "meta_training.jsonl").write_text(f"{{}}\n{line}\n")
    with pytest.raises(ArtefactError, match=r"meta_training\.jsonl, line 2: not a JSON object"):
        status(tmp_path)


def test_it_needs_no_torch() -> None:
    code = "import sys, nasgtn.status; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
