"""The commands that make a run, work on one, or take its generator, on real toy data."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from command_line import QUICK, TINY_SPACE, Nasgtn, Outcome, Refused, write_toy_archive

from nasgtn.artefacts import FORMAT
from nasgtn.cli.listings import PACKAGES
from nasgtn.records import read_records


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished_run, tmp_path / "run")


def test_a_search_prints_its_winner_and_leaves_every_file(
    finished_search: tuple[Path, Outcome],
) -> None:
    folder, outcome = finished_search
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert (told["folder"], told["report"]) == (str(folder), str(folder / "report.html"))
    assert told["n_candidates"] == 8
    assert told["n_verified"] == 6
    assert set(told["choices"]) == {"width", "activation", "pool"}
    records = read_records(folder / "verification.jsonl")
    winner = next(one for one in records if one.architecture_id == told["architecture_id"])
    assert winner.score == told["test_accuracy"]
    assert "search: 8/8" in outcome.err
    assert (folder / "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.slow
def test_the_saved_configuration_reruns_the_run_in_a_folder_named_after_time_data_and_space(
    nasgtn: Nasgtn, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = nasgtn("search", "--config", finished_run / "config.toml", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    (again,) = (tmp_path / "results").iterdir()
    assert again.name.endswith("-toy-tiny")
    assert f"results/{again.name}/report.html" in outcome.out
    for name in ("proxy.jsonl", "verification.jsonl"):
        pairs = zip(read_records(finished_run / name), read_records(again / name), strict=True)
        for first, second in pairs:
            assert (first.architecture_id, first.score) == (second.architecture_id, second.score)


def test_a_finished_run_is_resumed_at_once_and_its_result_is_the_same(
    nasgtn: Nasgtn, finished_run: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}
    first, second = nasgtn("resume", finished_run), nasgtn("resume", finished_run, "--json")
    assert first.code == second.code == 0
    told = json.loads(second.out)
    assert told["winner"] in first.out
    assert f"{100 * told['test_accuracy']:.2f} %" in first.out
    assert {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")} == before


@pytest.mark.slow
def test_an_unfinished_run_is_carried_on(nasgtn: Nasgtn, copied_run: Path) -> None:
    finished = json.loads(nasgtn("resume", copied_run, "--json").out)
    for name in ("report.html", "verification.jsonl", "baselines.jsonl"):
        (copied_run / name).unlink()
    assert json.loads(nasgtn("status", copied_run, "--json").out)["stage"] != "finished"
    resumed = json.loads(nasgtn("resume", copied_run, "--json").out)
    assert resumed["winner"] == finished["winner"]
    assert resumed["test_accuracy"] == finished["test_accuracy"]


def test_status_tells_how_far_a_run_is(nasgtn: Nasgtn, finished_run: Path) -> None:
    told = json.loads(nasgtn("status", finished_run, "--json").out)
    assert told["stage"] == "finished"
    assert told["anchors"] == told["anchors_wanted"] == 3
    assert told["candidates"] == told["candidates_wanted"] == 8
    assert told["verified"] == 6
    kept = json.loads((finished_run / "best" / "choices.json").read_text())
    assert told["leaders"][0]["architecture_id"] == kept["architecture_id"]
    lines = nasgtn("status", finished_run).out.splitlines()
    assert ["stage", "finished"] in [line.split() for line in lines]
    assert ["anchors", "3", "of", "3"] in [line.split() for line in lines]
    assert max(len(line) for line in lines if str(finished_run) not in line) <= 80


def test_the_summary_fits_one_screen_and_says_what_is_next(
    nasgtn: Nasgtn, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished_run.parent)
    told = json.loads(nasgtn("resume", finished_run.name, "--json").out)
    lines = nasgtn("resume", finished_run.name).out.splitlines()
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    fields = {line[:15].strip(): line[15:] for line in lines}
    assert fields["report"] == "finished/report.html"
    assert fields["to use it"] == "nasgtn export finished"
    assert fields["to see more"] == "nasgtn dashboard finished"
    assert f"{100 * told['control_accuracy']:.2f} %" in fields["control"]
    assert "Spearman" in fields["agreement"] or "equal" in fields["agreement"]
    assert "training all 8 in full would take" in fields["saved"]
    assert sum(told["costs"]["stages"].values()) == pytest.approx(told["seconds"])
    for command in ("export", "dashboard"):
        assert nasgtn(command, "--help").code == 0


def test_a_report_can_be_written_again(nasgtn: Nasgtn, copied_run: Path) -> None:
    (copied_run / "report.html").unlink()
    outcome = nasgtn("report", copied_run)
    assert (outcome.code, outcome.out) == (0, f"{copied_run / 'report.html'}\n")
    assert (copied_run / "report.html").exists()
    told = json.loads(nasgtn("report", copied_run, "--json").out)
    assert told == {"report": str(copied_run / "report.html")}


def test_runs_are_put_side_by_side(
    nasgtn: Nasgtn, copied_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = shutil.copytree(copied_run, tmp_path / "other")
    outcome = nasgtn("report", copied_run, other)
    assert (outcome.code, outcome.out) == (0, "comparison.html\n")
    page = (tmp_path / "comparison.html").read_text()
    assert "2 runs side by side" in page
    assert f"nasgtn report {copied_run} {other}" in page
    outcome = nasgtn("report", other, copied_run, "--out", "page.html", "--json")
    assert json.loads(outcome.out) == {"report": "page.html"}
    assert "--out page.html" in (tmp_path / "page.html").read_text()
    nasgtn("report", other)
    outcome = nasgtn("report", other, "--out", "one.html")
    assert outcome.out == "one.html\n"
    assert (tmp_path / "one.html").read_bytes() == (other / "report.html").read_bytes()


def test_a_run_is_not_compared_with_itself(refused: Refused, copied_run: Path) -> None:
    assert "got one twice" in refused("report", copied_run, copied_run, code=2)


def test_more_can_be_verified(nasgtn: Nasgtn, copied_run: Path) -> None:
    outcome = nasgtn("verify", copied_run, "--verify", 4, "--control", 4, "--json", "--quiet")
    assert outcome.code == 0, outcome.err
    verified = read_records(copied_run / "verification.jsonl")
    anchors = {record.architecture_id for record in read_records(copied_run / "anchors.jsonl")}
    controls = [record for record in verified if record.metrics["is_control"]]
    assert json.loads(outcome.out)["n_verified"] == len(verified)
    assert len(verified) - len(controls) == 4
    assert anchors.isdisjoint(record.architecture_id for record in controls)
    assert len(controls) >= 3  # of eight architectures, one or so is an anchor


def test_ranking_orders_by_score_with_the_data_and_space_of_the_run(
    nasgtn: Nasgtn, finished_run: Path
) -> None:
    args = ("rank", "--generator", finished_run, "--architectures", 5)
    outcome = nasgtn(*args, "--json")
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["architectures"]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert set(rows[0]["choices"]) == {"width", "activation", "pool"}
    assert rows[0]["architecture_id"] in nasgtn(*args, "--quiet").out


def test_given_architectures_are_ranked_as_records_choices_or_a_listing(
    nasgtn: Nasgtn, finished_run: Path, tmp_path: Path
) -> None:
    args = ("rank", "--generator", finished_run, "--json", "--quiet", "--choices")
    from_records = nasgtn(*args, finished_run / "proxy.jsonl")
    rows = json.loads(from_records.out)["architectures"]
    assert len(rows) == 8
    choices = tmp_path / "choices.json"
    choices.write_text(json.dumps([row["choices"] for row in rows[:3]]))
    ids = {
        row["architecture_id"] for row in json.loads(nasgtn(*args, choices).out)["architectures"]
    }
    assert ids == {row["architecture_id"] for row in rows[:3]}
    choices.write_text(from_records.out)
    assert len(json.loads(nasgtn(*args, choices).out)["architectures"]) == 8


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("no json", 1, "must hold JSON or JSON Lines"),
        ("", 1, "at least one architecture"),
        ("[1, 2]", 1, "must hold choices by name"),
        ('{"width": 5}', 2, "width"),
        ('{"width": 8}', 2, "activation"),
    ],
)
def test_files_of_choices_that_hold_something_else_are_refused(
    refused: Refused, finished_run: Path, tmp_path: Path, text: str, code: int, message: str
) -> None:
    choices = tmp_path / "choices.json"
    choices.write_text(text)
    args = ("rank", "--generator", finished_run, "--choices", choices)
    assert message in refused(*args, code=code)


@pytest.mark.slow
def test_a_generator_is_trained_alone_and_taken_by_rank_and_search(
    nasgtn: Nasgtn, refused: Refused, toy_archive: Path, tiny_space_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "generator"
    where = ("--dataset", toy_archive, "--space", tiny_space_file)
    outcome = nasgtn("train-generator", *where, "--out", out, "--json", *QUICK)
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert (told["folder"], told["meta_steps"]) == (str(out), 2)
    assert told["protocol"] == "muon at 0.05, scored by soft accuracy"
    assert told["seconds"] > 0
    message = refused("train-generator", *where, "--out", out, *QUICK, code=1)
    assert "without a generator" in message
    assert nasgtn("rank", "--generator", out, "--architectures", 3, "--quiet").code == 0
    folder = tmp_path / "run"
    size = ("--trials", 4, "--verify", 1, "--quiet")
    outcome = nasgtn("search", *where, "--generator", out, "--run", folder, *size, *QUICK)
    assert outcome.code == 0, outcome.err
    weights = "generator.safetensors"
    assert (folder / weights).read_bytes() == (out / weights).read_bytes()


def test_a_generator_for_other_images_is_refused(
    refused: Refused, finished_run: Path, tmp_path: Path
) -> None:
    args = ("--generator", finished_run, "--dataset", "digits")
    refused("rank", *args, code=1)
    refused("search", *args, "--run", tmp_path / "run", code=1)
    assert not (tmp_path / "run").exists()


def test_folders_that_are_no_finished_run_are_refused(
    refused: Refused, finished_run: Path, copied_run: Path, tmp_path: Path
) -> None:
    where = ("--config", finished_run / "config.toml", "--run")
    assert "exist" in refused("search", *where, finished_run, code=1)
    for command in ("resume", "status", "report", "verify", "export", "dashboard"):
        refused(command, tmp_path / "none", code=2)
        refused(command, tmp_path, code=1)
    config = copied_run / "config.toml"
    config.write_text(config.read_text().replace(f"format = {FORMAT}", "format = 99"))
    for command in ("resume", "status", "report", "verify", "export", "dashboard"):
        assert "99" in refused(command, copied_run, code=1)
    config.write_text("no [toml")
    refused("resume", copied_run, code=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sampler", "tp"), "tpe"),
        (("--objective", "acuracy"), "accuracy"),
        (("--space", "convnt"), "convnet"),
        (("--dataset", "digit"), "digits"),
        (("--device", "gpu"), "device must be"),
        (("--set", "gtn.inner_loop.optimiser=adm"), "adam"),
        (("--set", "nothing.here=1"), "nothing"),
        (("--set", "search.workers=0"), "workers"),
        (("--set", "gtn.curriculum.variant=all_shuffled"), "several batches"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(
    refused: Refused, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    assert message in refused("search", "--run", tmp_path / "run", *options, code=2)
    assert not (tmp_path / "run").exists()


def test_wrong_data_are_refused_before_anything_is_written(
    refused: Refused, tmp_path: Path
) -> None:
    good = dict(np.load(write_toy_archive(tmp_path / "good.npz")))
    labels = good["train_labels"]
    cases = {
        "one class": {"train_labels": np.zeros_like(labels), "class_names": np.array(["one"])},
        "out of range": {"train_labels": labels + 200},
        "lengths": {"train_labels": labels[:-1]},
        "shape": {"train_images": good["train_images"][0]},
        "dtype": {"train_images": good["train_images"].astype(str)},
        "nan": {"train_images": np.full(good["train_images"].shape, np.nan, np.float32)},
        "pickled": {"train_labels": np.array([object()] * len(labels), dtype=object)},
    }
    for name, arrays in cases.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, **{**good, **arrays})
        refused("search", "--dataset", path, "--run", tmp_path / "run", code=1)
    whole = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    refused("search", "--dataset", tmp_path / "cut.npz", "--run", tmp_path / "run", code=1)
    assert not (tmp_path / "run").exists()


def test_a_storage_that_does_not_answer_is_one_line(
    refused: Refused, toy_archive: Path, tiny_space_file: Path, tmp_path: Path
) -> None:
    where = ("--dataset", toy_archive, "--space", tiny_space_file, "--run", tmp_path / "run")
    url = f"sqlite:///{tmp_path}/no/such/folder/study.db"
    refused("search", *where, "--storage", url, code=1)
    refused("search", *where, "--storage", "nonsense", code=1)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_space_that_sometimes_fails_costs_those_trials_alone(
    nasgtn: Nasgtn, toy_archive: Path, tmp_path: Path
) -> None:
    space = tmp_path / "moody.py"
    space.write_text(
        TINY_SPACE.replace(
            "    pool =", "    if width == 8:\n        raise ValueError('<b>8</b>')\n    pool ="
        )
    )
    where = ("--dataset", toy_archive, "--space", space, "--run", tmp_path / "run")
    outcome = nasgtn("search", *where, "--trials", 8, "--verify", 2, "--quiet", *QUICK)
    assert outcome.code == 0, outcome.err
    failures = [one.failure for one in read_records(tmp_path / "run" / "proxy.jsonl")]
    assert any(failure and "<b>8</b>" in failure for failure in failures)
    assert "<b>8</b>" not in (tmp_path / "run" / "report.html").read_text()


def test_candidates_are_verified_in_rounds(
    nasgtn: Nasgtn, refused: Refused, toy_archive: Path, tiny_space_file: Path, tmp_path: Path
) -> None:
    where = ("--dataset", toy_archive, "--space", tiny_space_file, "--run", tmp_path / "run")
    size = ("--trials", 6, "--verify", 2, "--control", 0, "--quiet", *QUICK)
    assert "--rounds" in refused("search", *where, *size, "--rounds", 0, code=2)
    outcome = nasgtn("search", *where, *size, "--rounds", 2)
    assert outcome.code == 0, outcome.err
    verification = tomllib.loads((tmp_path / "run" / "config.toml").read_text())["verification"]
    assert (verification["candidates"], verification["rounds"]) == (2, 2)
    assert len(read_records(tmp_path / "run" / "verification.jsonl")) == 2


def test_versions_of_the_run_are_those_that_env_tells(nasgtn: Nasgtn, finished_run: Path) -> None:
    packages = json.loads(nasgtn("env", "--json").out)["packages"]
    saved = tomllib.loads((finished_run / "config.toml").read_text())["versions"]
    assert set(packages) == set(PACKAGES)
    assert saved["torch"] == packages["torch"]
    assert saved["optuna"] == packages["optuna"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line_and_what_was_finished_is_kept(
    nasgtn: Nasgtn, refused: Refused, copied_run: Path, tmp_path: Path
) -> None:
    weights = copied_run / "generator.safetensors"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "generator.safetensors.part").symlink_to("/dev/full")
    where = ("--config", copied_run / "config.toml", "--out", tmp_path / "out")
    assert "disk is full" in refused("train-generator", *where, "--quiet", code=1)
    assert not (tmp_path / "out" / "generator.safetensors").exists()
    kept = weights.read_bytes()
    for name in ("report.html", "verification.jsonl"):
        (copied_run / name).unlink()
    (copied_run / "report.html.part").symlink_to("/dev/full")
    message = refused("resume", copied_run, "--quiet", code=1)
    assert "No space left on device; what was finished is kept" in message
    assert weights.read_bytes() == kept
    (copied_run / "report.html.part").unlink()
    assert nasgtn("resume", copied_run, "--quiet").code == 0


@pytest.mark.slow
def test_ctrl_c_says_how_to_resume_and_resuming_finishes(
    nasgtn: Nasgtn, finished_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = ("nasgtn", "search", "--config", finished_run / "config.toml", "--run", folder)
    many = ("--trials", "14", "--set", "proxy.n_seeds=20")
    process = subprocess.Popen(
        [sys.executable, "-m", *command, *many], stderr=subprocess.PIPE, text=True
    )
    while not (folder / "proxy.jsonl").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == f"stopped; carry on with: nasgtn resume {folder}"
    assert nasgtn("resume", folder, "--quiet").code == 0
    ids = [record.architecture_id for record in read_records(folder / "proxy.jsonl")]
    assert len(ids) == len(set(ids)) == 14


@pytest.mark.slow
def test_the_dashboard_answers_and_ctrl_c_ends_it(copied_run: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "nasgtn", "dashboard", copied_run, "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "BROWSER": "true"},
    )
    assert process.stdout is not None
    address = process.stdout.readline().split()[0]
    assert address == f"http://127.0.0.1:{port}/"
    with urllib.request.urlopen(f"{address}api/studies", timeout=20) as answer:
        names = {study["study_name"] for study in json.load(answer)["study_summaries"]}
    assert names == {"proxy", "verification"}
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 0
