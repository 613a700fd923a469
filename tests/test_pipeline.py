import contextlib
import errno
import fcntl
import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from command_line import TINY_SPACE, write_toy_archive

from nasgtn.anchors import AnchorConfig
from nasgtn.candidacy import Pool, rate
from nasgtn.cli.live import INSIDE, PATH
from nasgtn.errors import ArtefactError, InvalidSpaceError, NasgtnError
from nasgtn.evaluation import ZERO_COST
from nasgtn.fusion import MIN_LABELS
from nasgtn.gtn import load_generator
from nasgtn.pipeline import (
    RunConfig,
    RunResult,
    config_from_mapping,
    resume,
    run_data,
    run_search,
    status,
    verify,
    write_report,
)
from nasgtn.records import Evaluation, read_records
from nasgtn.report import summarise
from nasgtn.search import SearchConfig, best_candidates
from nasgtn.verification import VerificationConfig

QUICK = {
    "device": "cpu",
    "anchors": {"n": 3},
    "gtn": {
        "generator": {"hidden": 16, "channels": [8, 4]},
        "curriculum": {"n_steps": 4, "batch_size": 12},
        "warm_start": {"n_steps": 5},
        "meta_training": {"n_meta_steps": 3, "n_images": 24},
    },
    "search": {"trials": 8},
    "verification": {"candidates": 2, "control": 2},
    "training": {"epochs": 2},
}
"""A run that takes a second or two."""


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    write_toy_archive(folder / "toy.npz")
    (folder / "tiny.py").write_text(TINY_SPACE)
    return folder


@pytest.fixture(scope="module")
def config(material: Path) -> RunConfig:
    return config_from_mapping(
        {
            **QUICK,
            "data": {"name": str(material / "toy.npz")},
            "space": {"name": str(material / "tiny.py")},
        }
    )


@pytest.fixture(scope="module")
def run(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run_search(config, tmp_path_factory.mktemp("results") / "run")


@pytest.fixture
def copied(run: RunResult, tmp_path: Path) -> Path:
    return shutil.copytree(run.folder, tmp_path / "run")


def timeless(path: Path) -> list[Evaluation]:
    return [replace(record, seconds=0.0) for record in read_records(path)]


RECORDS = (
    "anchors.jsonl",
    "proxy.jsonl",
    "control.jsonl",
    "verification.jsonl",
    "baselines.jsonl",
    "multiply_adds.jsonl",
)


def test_the_whole_path_leaves_every_file(run: RunResult) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        *("config.toml", "generator.safetensors", "generator.toml", "meta_training.jsonl"),
        *(
            "anchors",
            "anchors.jsonl",
            "control.jsonl",
            "study.db",
            "proxy.jsonl",
            "baselines.jsonl",
            "multiply_adds.jsonl",
            "verification.jsonl",
            "best",
        ),
        "finished",
        "report.html",
        "summary.json",
    }
    text = run.report.read_text()
    assert text.startswith("<!doctype html>")
    assert "learners train by muon" in text


def test_the_whole_path_twice_leaves_the_same_records(
    run: RunResult, config: RunConfig, tmp_path: Path
) -> None:
    again = run_search(config, tmp_path / "run")
    for name in RECORDS:
        assert timeless(run.folder / name) == timeless(again.folder / name)
    for name in ("generator.safetensors", "best/weights.safetensors", "best/choices.json"):
        assert (run.folder / name).read_bytes() == (again.folder / name).read_bytes()
    assert (run.folder / "config.toml").read_bytes() == (again.folder / "config.toml").read_bytes()
    changed = {"folder": Path(), "report": Path(), "seconds": 0.0, "costs": run.costs}
    assert replace(run, **changed) == replace(again, **changed)  # type: ignore[arg-type]


def best_fused(folder: Path, n: int) -> list[str]:
    """Ids of the best by the fused score, which the proxy's alone need not be."""
    records = read_records(folder / "baselines.jsonl")
    searched = {one.architecture_id for one in read_records(folder / "proxy.jsonl")}
    fused = [
        one for one in records if one.evaluator == "fused" and one.architecture_id in searched
    ]
    return [one.architecture_id for one in best_candidates(fused, n)]


def test_the_result_says_what_the_records_say(run: RunResult, config: RunConfig) -> None:
    proxy = read_records(run.folder / "proxy.jsonl")
    verified = read_records(run.folder / "verification.jsonl")
    assert run.n_candidates == len(proxy) == 8
    assert run.n_verified == len(verified) == 4
    assert [r.metrics["is_control"] for r in verified] == [0, 0, 1, 1]
    assert [one.architecture_id for one in verified[:2]] == best_fused(run.folder, 2)
    winner = max(verified[:2], key=lambda one: one.metrics["validation_accuracy"])
    assert run.validation_accuracy == winner.metrics["validation_accuracy"]
    kept = json.loads((run.folder / "best" / "choices.json").read_text())
    assert kept["architecture_id"] == run.architecture_id
    assert (kept["choices"], kept["description"]) == (run.choices, run.winner)
    assert kept["test_accuracy"] == run.test_accuracy
    controls = [one.score or 0.0 for one in verified[2:]]
    assert run.control_accuracy == pytest.approx(sum(controls) / 2)


def test_every_baseline_scores_candidates_anchors_and_control(run: RunResult) -> None:
    ids = {
        name: [r.architecture_id for r in read_records(run.folder / f"{name}.jsonl")]
        for name in ("proxy", "anchors", "control", "verification")
    }
    everyone = {*ids["proxy"], *ids["anchors"], *ids["control"]}
    found: dict[str, list[str]] = {}
    for record in read_records(run.folder / "baselines.jsonl"):
        found.setdefault(record.evaluator, []).append(record.architecture_id)
    for name in ("gtn", "params", "flops", "synflow", "naswot", "jacob_cov", "grad_norm"):
        assert set(found[name]) == everyone
        assert len(found.pop(name)) == len(everyone)
    assert found == {
        "fused": ids["proxy"] + ids["control"],
        "fused without gtn": ids["proxy"] + ids["control"],
        "real:4/1": ids["verification"],
    }


def test_the_control_is_scored_as_the_candidates_and_is_no_anchor(run: RunResult) -> None:
    proxy, control = (
        {one.architecture_id: one for one in read_records(run.folder / f"{name}.jsonl")}
        for name in ("proxy", "control")
    )
    anchors = {one.architecture_id for one in read_records(run.folder / "anchors.jsonl")}
    verified = read_records(run.folder / "verification.jsonl")
    drawn = {one.architecture_id for one in verified if one.metrics["is_control"]}
    assert drawn <= {*control, *proxy}
    assert drawn.isdisjoint(anchors)
    assert set(control).isdisjoint(proxy)
    scores = {
        one.architecture_id: one.proxy_score for one in summarise(run_data(run.folder)).verified
    }
    assert {name: scores[name] for name in drawn} == {
        name: (control | proxy)[name].score for name in drawn
    }
    spent = sum(one.seconds for one in control.values())
    assert run.costs.stages["control"] == pytest.approx(spent)


def test_fused_scores_that_a_kill_left_out_are_added(copied: Path) -> None:
    def fused() -> list[tuple[str, str, float | None]]:
        records = read_records(copied / "baselines.jsonl")
        return [(r.evaluator, r.architecture_id, r.score) for r in records if r.score is not None]

    before = fused()
    lines = (copied / "baselines.jsonl").read_text().splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if '"evaluator": "fused"' in line)
    (copied / "report.html").unlink()
    keep_lines(copied / "baselines.jsonl", first + 3)
    resume(copied)
    assert sorted(fused()) == sorted(before)


def test_rounds_of_verification_use_what_the_rounds_before_found_out(
    run: RunResult, config: RunConfig, tmp_path: Path
) -> None:
    """Eight anchors label enough for a calibration, which the first round's results change."""
    verification = VerificationConfig(candidates=4, control=1, rounds=2, acquisition="mean")
    several = replace(
        config,
        anchors=AnchorConfig(n=8),
        search=SearchConfig(trials=14),
        verification=verification,
    )
    folder = run_search(several, tmp_path / "run").folder
    verified = read_records(folder / "verification.jsonl")
    assert [r.metrics["is_control"] for r in verified] == [0, 0, 0, 0, 1]
    anchors = {r.architecture_id: r.score for r in read_records(folder / "anchors.jsonl")}
    proxy = [r.architecture_id for r in read_records(folder / "proxy.jsonl")]
    labels = {name: score for name, score in anchors.items() if score is not None}
    ids = [*proxy, *(name for name in anchors if name not in proxy)]
    pool = Pool.of(ids, read_records(folder / "baselines.jsonl"))
    chosen: list[str] = []
    for _ in range(2):
        ratings = rate(pool, labels, "mean", seed=0)
        left = [name for name in proxy if name not in chosen]
        chosen += sorted(left, key=lambda name: -ratings[name])[:2]
        labels |= {
            r.architecture_id: r.metrics["validation_accuracy"]
            for r in verified
            if r.architecture_id in chosen
        }
    assert [r.architecture_id for r in verified[:4]] == chosen
    (folder / "report.html").unlink()
    keep_lines(folder / "verification.jsonl", 1)
    resume(folder)
    again = read_records(folder / "verification.jsonl")
    assert [r.architecture_id for r in again] == [r.architecture_id for r in verified]
    for n in (6, 7):  # whoever wants more gets as many as that, in a round after the usual ones
        verify(folder, candidates=n)
        more = read_records(folder / "verification.jsonl")
        assert sum(not r.metrics["is_control"] for r in more) == n


def test_verified_architectures_stand_in_a_study_of_their_own(run: RunResult) -> None:
    url = f"sqlite:///{run.folder / 'study.db'}"
    study = optuna.load_study(storage=url, study_name="verification")
    proxy, control = (read_records(run.folder / f"{name}.jsonl") for name in ("proxy", "control"))
    scores = {r.architecture_id: r.score for r in (*proxy, *control)}
    searched = {r.architecture_id for r in proxy}
    for trial, record in zip(
        study.trials, read_records(run.folder / "verification.jsonl"), strict=True
    ):
        assert trial.value == record.score
        assert trial.params == (record.choices if record.architecture_id in searched else {})
        assert trial.user_attrs["architecture_id"] == record.architecture_id
        assert trial.user_attrs["proxy_score"] == scores[record.architecture_id]


def test_the_report_needs_neither_the_dataset_nor_another_search(
    copied: Path, config: RunConfig, material: Path
) -> None:
    data = run_data(copied)
    (copied / "report.html").unlink()
    text = (copied / "config.toml").read_text()
    moved = text.replace(str(material / "toy.npz"), "no/such/file.npz")
    (copied / "config.toml").write_text(moved)
    assert write_report(copied).exists()
    assert summarise(run_data(copied)) == summarise(data)


def test_torn_last_lines_are_left_out_of_the_report(copied: Path) -> None:
    data = run_data(copied)
    before = summarise(data).json()
    for name in (*RECORDS, "meta_training.jsonl"):
        with (copied / name).open("a") as file:
            file.write('{"evaluator": "gt')
    write_report(copied)
    assert (copied / "summary.json").read_text() == before


def leave_no_study(path: Path) -> str:
    path.unlink()
    return "must be there, but is not"


def leave_no_database(path: Path) -> str:
    path.write_text("a text")
    return "file is not a database"


def leave_another_database(path: Path) -> str:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    return "no such table"


def leave_another_study(path: Path) -> str:
    path.unlink()
    study = optuna.create_study(storage=f"sqlite:///{path}", study_name="proxy")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=12)
    return "holds a study of another search"


@pytest.mark.parametrize(
    "leave", [leave_no_study, leave_no_database, leave_another_database, leave_another_study]
)
def test_the_report_does_without_a_foreign_study_and_leaves_it_alone(
    leave: Callable[[Path], str], copied: Path
) -> None:
    path = copied / "study.db"
    said = leave(path)
    before = path.read_bytes() if path.exists() else None
    page = write_report(copied).read_text()
    for text in (said, "The trials of the search could not be read.", "The winner is"):
        assert text in page
    assert (path.read_bytes() if path.exists() else None) == before


def test_what_was_foretold_was_written_before_anything_was_verified(
    config: RunConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "run"

    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "verification":
            raise KeyboardInterrupt

    anchors = replace(config.anchors, n=MIN_LABELS)
    with pytest.raises(KeyboardInterrupt):
        run_search(replace(config, anchors=anchors), folder, progress=stop)
    assert read_records(folder / "verification.jsonl") == []
    foretold = [r for r in read_records(folder / "baselines.jsonl") if r.evaluator == "calibrated"]
    scored = [*read_records(folder / "proxy.jsonl"), *read_records(folder / "control.jsonl")]
    ids = {r.architecture_id for r in scored if r.score is not None}
    assert {r.architecture_id for r in foretold} == ids
    assert all(r.metrics["std"] > 0 for r in foretold)
    resume(folder)
    after = [r for r in read_records(folder / "baselines.jsonl") if r.evaluator == "calibrated"]
    assert after == foretold
    summary = json.loads((folder / "summary.json").read_text())
    known = {r.architecture_id for r in read_records(folder / "anchors.jsonl")}
    verified = {r.architecture_id for r in read_records(folder / "verification.jsonl")}
    assert len(summary["forecasts"]) == len(verified - known) > 0


def test_the_summary_is_that_of_the_report(run: RunResult) -> None:
    found = json.loads((run.folder / "summary.json").read_text())
    assert found["winner"]["test_accuracy"] == run.test_accuracy
    assert sum(n for _, _, n in found["confusion"]) == run_data(run.folder).task["n_test"]
    right = sum(n for label, predicted, n in found["confusion"] if label == predicted)
    n_test = run_data(run.folder).task["n_test"]
    assert right / n_test == pytest.approx(found["winner"]["test_accuracy"])


def test_a_finished_run_is_left_as_it_is(copied: Path, run: RunResult) -> None:
    before = {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file()}
    changed = {"folder": Path(), "report": Path()}
    assert replace(resume(copied), **changed) == replace(run, **changed)  # type: ignore[arg-type]
    after = {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file()}
    assert {p: after[p] for p in before if "study.db" not in p.name} == {
        p: before[p] for p in before if "study.db" not in p.name
    }


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["generator", "search", "verification", "baselines", "report"])
def test_a_run_that_stopped_anywhere_comes_to_the_same_end(
    cut: str, copied: Path, run: RunResult
) -> None:
    (copied / "report.html").unlink()
    if cut != "report":
        keep_lines(copied / "baselines.jsonl", 3)
        keep_lines(copied / "multiply_adds.jsonl", 3)
    if cut in ("generator", "search", "verification"):
        keep_lines(copied / "verification.jsonl", 1)
        shutil.rmtree(copied / "best")
    if cut in ("generator", "search"):
        for name in ("verification.jsonl", "baselines.jsonl"):
            (copied / name).unlink()
        (copied / "proxy.jsonl").unlink()
        for path in copied.glob("study.db*"):
            path.unlink()
    if cut == "generator":
        (copied / "generator.toml").unlink()
        (copied / "generator.safetensors").unlink()
    assert status(copied).stage != "finished"
    again = resume(copied)
    for name in RECORDS:
        assert timeless(copied / name) == timeless(run.folder / name)
    assert (again.winner, again.test_accuracy) == (run.winner, run.test_accuracy)
    assert (copied / "report.html").exists()
    assert (copied / "best" / "weights.safetensors").exists()


def keep_lines(path: Path, n: int) -> None:
    """Leave `n` whole lines and a torn one, as a killed process may."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:n]) + lines[n][:20])


def test_a_report_of_a_run_that_was_stopped_does_not_end_it(copied: Path, run: RunResult) -> None:
    for name in ("report.html", "finished"):
        (copied / name).unlink()
    keep_lines(copied / "verification.jsonl", 1)
    assert write_report(copied).exists()
    assert status(copied).stage == "verification"
    assert resume(copied).winner == run.winner
    assert timeless(copied / "verification.jsonl") == timeless(run.folder / "verification.jsonl")
    assert status(copied).stage == "finished"


def test_more_can_be_verified_later(copied: Path) -> None:
    before = read_records(copied / "verification.jsonl")
    told: set[str] = set()
    result = verify(copied, candidates=3, control=2, progress=lambda stage, *_: told.add(stage))
    assert {"verification", "multiply-adds"} <= told <= {*PATH, *INSIDE}  # each has a bar
    after = read_records(copied / "verification.jsonl")
    assert [r.architecture_id for r in after[:4]] == [r.architecture_id for r in before]
    assert [r.seconds for r in after[:4]] == [r.seconds for r in before]
    assert sum(not r.metrics["is_control"] for r in after) == 3
    assert result.n_verified == len(after) >= 5
    n_baselines = Counter(r.evaluator for r in read_records(copied / "baselines.jsonl"))
    assert n_baselines["real:4/1"] == len(after)
    n_counted = Counter(r.evaluator for r in read_records(copied / "multiply_adds.jsonl"))
    assert set(n_counted.values()) == {len(after)}
    assert len(n_counted) == len(ZERO_COST) + 3  # the proxy, real steps and full trainings
    costs = summarise(run_data(copied)).costs
    assert costs.full_multiply_adds is not None
    assert costs.full_multiply_adds > costs.multiply_adds["gtn"] > 0


def test_status_tells_the_stage_and_how_far_it_is(copied: Path, run: RunResult) -> None:
    done = status(copied)
    assert (done.stage, done.candidates, done.verified) == ("finished", 8, 4)
    assert (done.meta_steps, done.meta_steps_wanted) == (3, 3)
    assert (done.candidates_wanted, done.verified_wanted, done.failed) == (8, 4, 0)
    assert done.leaders[0].architecture_id == run.architecture_id
    assert done.seconds > 0
    (copied / "report.html").unlink()
    assert status(copied).stage == "verification"
    (copied / "verification.jsonl").unlink()
    keep_lines(copied / "proxy.jsonl", 2)
    assert (status(copied).stage, status(copied).candidates) == ("search", 2)
    (best,) = best_candidates(read_records(copied / "proxy.jsonl"), 1)
    assert status(copied).leaders[0].score == best.score
    (copied / "proxy.jsonl").unlink()
    assert (status(copied).stage, status(copied).leaders) == ("gtn", ())


def test_run_data_shows_the_curriculum_as_pixels(run: RunResult) -> None:
    data = run_data(run.folder)
    assert data.synthetic is not None
    images, labels = data.synthetic
    assert images.shape == (1, 12, 8, 8, 1)  # one batch comes at every step
    assert images.dtype == np.uint8
    made = load_generator(run.folder).synthesise()
    assert np.array_equal(labels, made.labels[:1].argmax(dim=2).numpy())
    pixels = made.images[0, 3, 0].numpy() * data.task["std"][0] + data.task["mean"][0]
    expected = (pixels.clip(0, 1) * 255).round()
    assert np.abs(images[0, 3, :, :, 0] - expected).max() <= 1
    assert list(data.learning_rates) == pytest.approx(made.learning_rates.tolist())


def test_run_data_lists_the_layers_of_the_winner(run: RunResult) -> None:
    rows = run_data(run.folder).layers
    width, pool = int(str(run.choices["width"])), int(str(run.choices["pool"]))
    assert [row["kind"] for row in rows][::2] == ["Conv2d", "AdaptiveAvgPool2d", "Linear"]
    assert [row["output_shape"] for row in rows] == [
        [width, 8, 8],
        [width, 8, 8],
        [width, pool, pool],
        [width * pool**2],
        [3],
    ]
    assert sum(row["n_parameters"] for row in rows) == run.n_parameters


def test_run_data_hides_a_password(copied: Path) -> None:
    text = (copied / "config.toml").read_text()
    url = f"sqlite://me:secret@/{copied / 'study.db'}"
    (copied / "config.toml").write_text(text.replace("[search]", f'[search]\nstorage = "{url}"'))
    data = run_data(copied)
    assert len(data.gaps) == 1  # no such database
    assert "secret" not in f"{data.gaps} {data.config}"


@pytest.mark.slow
def test_a_trained_generator_is_taken_as_it_is(
    copied: Path, run: RunResult, config: RunConfig, tmp_path: Path
) -> None:
    given = replace(config, generator=str(copied), search=replace(config.search, trials=3))
    result = run_search(given, tmp_path / "another")
    for name in ("generator.safetensors", "generator.toml"):
        assert (result.folder / name).read_bytes() == (run.folder / name).read_bytes()
    first = timeless(run.folder / "proxy.jsonl")[:3]
    assert timeless(result.folder / "proxy.jsonl") == first
    assert result.costs.stages["anchors"] == run.costs.stages["anchors"] > 0
    anchors = {one.architecture_id for one in read_records(run.folder / "anchors.jsonl")}
    verified = read_records(result.folder / "verification.jsonl")
    assert anchors.isdisjoint(one.architecture_id for one in verified if one.metrics["is_control"])
    judged = summarise(run_data(result.folder)).verified
    assert all(one.is_anchor == (one.architecture_id in anchors) for one in judged)
    shutil.rmtree(copied)  # the run has a copy of its own
    result.report.unlink()
    assert resume(result.folder).n_candidates == 3


def refused(config: RunConfig, folder: Path, error: type[NasgtnError], message: str) -> None:
    """A run is refused in one line, before its folder is made."""
    with pytest.raises(error, match=message) as caught:
        run_search(config, folder)
    assert "\n" not in str(caught.value)
    assert not folder.exists()


def test_a_mistake_is_found_before_anything_is_written(
    run: RunResult, config: RunConfig, tmp_path: Path
) -> None:
    data, space, search = config.data, config.space, config.search
    for wrong, error, message in (
        (replace(config, data=replace(data, name="none.npz")), NasgtnError, "none.npz"),
        (replace(config, space=replace(space, name="convent")), NasgtnError, "convnet"),
        (replace(config, generator=str(tmp_path)), ArtefactError, str(tmp_path)),
        (replace(config, data=replace(data, image_size=16), generator=str(run.folder)),
         ArtefactError, "8"),
        (replace(config, search=replace(search, storage="sqlite:////no/where.db")),
         ArtefactError, "must answer"),
    ):  # fmt: skip
        refused(wrong, tmp_path / "run", error, message)


def test_a_space_that_cannot_be_used_is_one_clear_line(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text("def build(trial, task):\n    return 3\n")
    wrong = replace(config, space=replace(config.space, name=str(path)))
    refused(wrong, tmp_path / "run", InvalidSpaceError, "must return an nn.Module, got int")


def test_a_folder_that_exists_is_left_alone(config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArtefactError, match="must not exist, but"):
        run_search(config, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_is_no_run_cannot_be_resumed(copied: Path, tmp_path: Path) -> None:
    for work in (resume, status, verify, write_report, run_data):
        with pytest.raises(ArtefactError, match="must be the folder of a run"):
            work(tmp_path)
    text = (copied / "config.toml").read_text()
    (copied / "config.toml").write_text(text.replace("format = 3", "format = 1"))
    for work in (resume, status, verify, write_report, run_data):
        with pytest.raises(ArtefactError, match="got format 1"):
            work(copied)


def test_a_dataset_that_changed_is_refused(copied: Path, material: Path, tmp_path: Path) -> None:
    (copied / "report.html").unlink()
    other = write_toy_archive(tmp_path / "other.npz", n_train=60)
    text = (copied / "config.toml").read_text()
    (copied / "config.toml").write_text(text.replace(str(material / "toy.npz"), str(other)))
    with pytest.raises(ArtefactError, match=r"must be the one that .* but .*n_train.* changed"):
        resume(copied)


def test_a_run_in_use_is_left_to_the_other_process(copied: Path) -> None:
    (copied / "report.html").unlink()
    with (copied / "config.toml").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ArtefactError, match="only one process may work on"):
            resume(copied)
    assert not (copied / "report.html").exists()


def test_a_damaged_record_is_one_clear_line(copied: Path) -> None:
    (copied / "report.html").unlink()
    path = copied / "verification.jsonl"
    path.write_text("no record\n" + path.read_text())
    with pytest.raises(ArtefactError, match=r"verification\.jsonl, line 1: not an evaluation"):
        resume(copied)


@pytest.mark.slow
def test_a_disk_without_space_is_one_clear_line(config: RunConfig, tmp_path: Path) -> None:
    def fill(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "search":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "proxy.jsonl")

    with pytest.raises(ArtefactError, match=r"proxy\.jsonl .*No space left .*is kept"):
        run_search(config, tmp_path / "run", progress=fill)
    assert len(read_records(tmp_path / "run" / "proxy.jsonl")) == 1
    assert resume(tmp_path / "run").n_candidates == 8


FAILING_SPACE = """
from torch import nn


def build(trial, task):
    kind = trial.suggest_categorical("kind", ("linear", "hidden", "nan", "raises"))
    width = trial.suggest_int("width", 2, 9)
    if kind == "raises":
        raise RuntimeError("<b>no</b> such layer")
    head = nn.Linear(64, task.n_classes)
    if kind == "nan":
        head.weight.data.fill_(float("nan"))
    if kind == "hidden":
        head = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, task.n_classes))
    return nn.Sequential(nn.Flatten(), head)
"""


def test_failing_architectures_cost_their_trials_alone(
    run: RunResult, config: RunConfig, tmp_path: Path
) -> None:
    (tmp_path / "failing.py").write_text(FAILING_SPACE)
    failing = replace(
        config,
        generator=str(run.folder),
        space=replace(config.space, name=str(tmp_path / "failing.py")),
        search=SearchConfig(trials=16, sampler="random"),
    )
    result = run_search(failing, tmp_path / "run")
    records = read_records(tmp_path / "run" / "proxy.jsonl")
    outcomes = {str(one.choices["kind"]): one.failure for one in records}
    assert set(outcomes) == {"linear", "hidden", "nan", "raises"}
    assert "<b>no</b> such layer" in (outcomes["raises"] or "")
    assert "finite" in (outcomes["nan"] or "")
    assert outcomes["linear"] is outcomes["hidden"] is None
    assert result.choices["kind"] in ("linear", "hidden")
    assert "<b>no</b> such layer" not in result.report.read_text()


def test_limits_that_no_architecture_meets_are_one_clear_line(
    run: RunResult, config: RunConfig, tmp_path: Path
) -> None:
    strict = replace(config, generator=str(run.folder), search=SearchConfig(max_params=3))
    with pytest.raises(InvalidSpaceError, match="within the limits and be scored"):
        run_search(strict, tmp_path / "run")


def test_two_objectives_verify_the_pareto_front_first(
    run: RunResult, config: RunConfig, tmp_path: Path
) -> None:
    search = SearchConfig(trials=8, objectives=("accuracy", "params"))
    config = replace(config, generator=str(run.folder), search=search)
    result = run_search(config, tmp_path / "run")
    fused = {
        r.architecture_id: r.score or 0.0
        for r in read_records(result.folder / "baselines.jsonl")
        if r.evaluator == "fused"
    }
    points = {
        r.architecture_id: (fused[r.architecture_id], -r.metrics["n_parameters"])
        for r in read_records(result.folder / "proxy.jsonl")
    }
    first = read_records(result.folder / "verification.jsonl")[0].architecture_id
    a, b = points[first]
    assert not any((x >= a and y > b) or (x > a and y >= b) for x, y in points.values())


RUN = """
import sys, tomllib
from pathlib import Path
import torch
from nasgtn.pipeline import config_from_mapping, run_search
if __name__ == "__main__":
    torch.set_num_threads(1)  # as in the tests: the number decides the order of additions
    config = config_from_mapping(tomllib.loads(Path(sys.argv[1]).read_text()))
    run_search(config, Path(sys.argv[2]))
"""


def kill_mid_search(folder: Path, saved: Path, n_records: int) -> None:
    """Start the run in another process, and kill it while the search works."""
    script = folder.parent / "start.py"
    script.write_text(RUN)
    process = subprocess.Popen([sys.executable, script, saved, folder])
    records = folder / "proxy.jsonl"
    try:
        deadline = time.monotonic() + 120
        while not records.exists() or records.read_bytes().count(b"\n") < n_records:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def saved_settings(run: RunResult, path: Path, **search: int) -> Path:
    lines = (run.folder / "config.toml").read_text().split("[versions]")[0]
    for name, value in search.items():
        lines = "\n".join(
            f"{name} = {value}" if line.startswith(f"{name} = ") else line
            for line in lines.splitlines()
        )
    path.write_text(lines)
    return path


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_run_is_carried_on(workers: int, run: RunResult, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    saved = saved_settings(run, tmp_path / "config.toml", trials=12, workers=workers)
    kill_mid_search(folder, saved, n_records=3)
    time.sleep(0.5 if workers > 1 else 0.0)  # workers end with their parent
    before = read_records(folder / "proxy.jsonl")
    assert status(folder).stage == "search"
    assert status(folder).candidates == len(before)
    result = resume(folder)
    after = read_records(folder / "proxy.jsonl")
    assert after[: len(before)] == before
    assert len(after) == len({record.architecture_id for record in after}) >= 12
    told = Counter(
        row["architecture_id"] for row in run_data(folder).history if not row["is_duplicate"]
    )
    assert set(told.values()) == {1}
    assert set(told) == {record.architecture_id for record in after}
    assert result.report.exists()
    if workers == 1:
        first = timeless(run.folder / "proxy.jsonl")
        assert timeless(folder / "proxy.jsonl")[:3] == first[:3]
    assert not math.isnan(result.test_accuracy or 0.0)


def test_candidates_are_bounded_by_what_was_evaluated(
    run: RunResult, config: RunConfig, tmp_path: Path
) -> None:
    few = replace(
        config,
        generator=str(run.folder),
        search=SearchConfig(trials=2),
        verification=VerificationConfig(candidates=5, control=5),
    )
    run_search(few, tmp_path / "run")
    verified = read_records(tmp_path / "run" / "verification.jsonl")
    assert [one.metrics["is_control"] for one in verified] == [0] * 2 + [1] * 5
