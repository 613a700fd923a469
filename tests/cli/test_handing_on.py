"""`nasgtn export` on real toy data."""

import _thread
import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import QUICK, Nasgtn, Refused
from safetensors.torch import load_file

from nasgtn.cli.handing_on import open_dashboard
from nasgtn.data.sources import DataConfig, load_splits
from nasgtn.export import load_network
from nasgtn.records import read_records
from nasgtn.training import measure


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.mark.slow
def test_the_winner_is_exported_and_as_accurate_as_the_run_says(
    nasgtn: Nasgtn, refused: Refused, copied_run: Path, toy_archive: Path
) -> None:
    outcome = nasgtn("export", copied_run, "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    folder = copied_run / "export"
    assert told["folder"] == str(folder)
    assert {"model.pt2", "classify_torch.py", "README.md"} <= {
        path.name for path in (folder / "network-1").iterdir()
    }
    with np.load(folder / "synthetic" / "synthetic.npz", allow_pickle=False) as arrays:
        assert arrays["images"].shape == (4, 12, 1, 8, 8)
    network, task = load_network(folder / "network-1")
    test = load_splits(DataConfig(name=str(toy_archive)), seed=0).test
    assert test.images.shape[1:] == task.input_shape
    result = json.loads(nasgtn("resume", copied_run, "--json").out)
    assert measure(network, test).accuracy == pytest.approx(result["test_accuracy"])
    assert told["networks"][0]["test_accuracy"] == result["test_accuracy"]
    model = json.loads((folder / "network-1" / "model.json").read_text())
    assert model["checked"]["images"] == 48
    assert max(model["checked"]["largest_difference"].values()) <= 1e-5
    assert model["facts"]["run"] == "run"
    assert "exist" in refused("export", copied_run, code=1)


def test_the_best_networks_are_trained_again_and_come_out_as_verified(
    nasgtn: Nasgtn, refused: Refused, copied_run: Path, tmp_path: Path
) -> None:
    args = ("export", copied_run, "--format", "safetensors", "--json", "--quiet")
    outcome = nasgtn(*args, "--top", 3, "--out", tmp_path / "three")
    assert (outcome.code, outcome.err) == (0, "")
    records = {r.architecture_id: r for r in read_records(copied_run / "verification.jsonl")}
    rows = json.loads(outcome.out)["networks"]
    assert [Path(row["folder"]).name for row in rows] == ["network-1", "network-2", "network-3"]
    found = [records[row["architecture_id"]] for row in rows]
    assert [row["test_accuracy"] for row in rows] == [record.score for record in found]
    assert not any(record.metrics["is_control"] for record in found)
    merits = [record.metrics["validation_accuracy"] for record in found]
    assert merits == sorted(merits, reverse=True)
    message = refused(*args, "--top", 9, "--out", tmp_path / "nine", code=2)
    assert "--top must be at most 6" in message
    assert not (tmp_path / "nine").exists()


def test_a_retrained_winner_says_so(nasgtn: Nasgtn, copied_run: Path, toy_archive: Path) -> None:
    outcome = nasgtn("export", copied_run, "--retrain", "--format", "safetensors", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    folder = copied_run / "export" / "network-1"
    network, _ = load_network(folder)
    test = load_splits(DataConfig(name=str(toy_archive)), seed=0).test
    facts = json.loads((folder / "model.json").read_text())["facts"]
    assert facts["test_accuracy"] == measure(network, test).accuracy
    assert facts["trained_on"] == "the training and validation parts, for all epochs"
    winner = json.loads((copied_run / "best" / "choices.json").read_text())
    assert facts["verified_test_accuracy"] == winner["test_accuracy"]
    assert "another training" in (folder / "README.md").read_text()
    kept = load_file(copied_run / "best" / "weights.safetensors")
    assert not np.array_equal(kept["0.weight"], network.state_dict()["0.weight"])


def test_rounded_weights_are_measured_again(nasgtn: Nasgtn, copied_run: Path) -> None:
    args = ("--dtype", "bfloat16", "--format", "safetensors,torch-export", "--quiet")
    outcome = nasgtn("export", copied_run, *args)
    assert (outcome.code, outcome.err) == (0, "")
    folder = copied_run / "export" / "network-1"
    model = json.loads((folder / "model.json").read_text())
    assert model["dtype"] == "bfloat16"
    assert 0 <= model["facts"]["rounded_test_accuracy"] <= 1
    assert "rounded weights" in (folder / "README.md").read_text()


def test_weights_alone_need_no_dataset_and_all_else_says_what_is_missing(
    nasgtn: Nasgtn, refused: Refused, copied_run: Path, tmp_path: Path
) -> None:
    config = copied_run / "config.toml"
    config.write_text(config.read_text().replace("toy.npz", "gone.npz"))
    assert "gone.npz" in refused("export", copied_run, "--out", tmp_path / "a", "--quiet", code=1)
    weights = nasgtn("export", copied_run, "--out", tmp_path / "b", "--format", "safetensors")
    assert weights.code == 0, weights.err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--format", "onx"), "did you mean onnx"),
        (("--format", ""), "unknown format ''"),
        (("--dtype", "float8"), "float16"),
        (("--top", "0"), "x>=1"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(
    refused: Refused, finished_run: Path, options: tuple[str, ...], said: str
) -> None:
    assert said in refused("export", finished_run, *options, "--quiet", code=2)


def test_bfloat16_and_onnx_do_not_go_together(refused: Refused, copied_run: Path) -> None:
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    args = ("--dtype", "bfloat16", "--format", "onnx", "--quiet")
    assert "bfloat16" in refused("export", copied_run, *args, code=2)
    assert not (copied_run / "export").exists()


def test_a_run_without_a_winner_is_refused(refused: Refused, copied_run: Path) -> None:
    shutil.rmtree(copied_run / "best")
    assert "winner" in refused("export", copied_run, "--quiet", code=1)
    assert not (copied_run / "export").exists()


def get(url: str) -> Any:  # noqa: ANN401 - JSON
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def notes_and_files(address: str) -> tuple[dict[str, int], set[str]]:
    """How many trials of each study have a note, and which files there are."""
    notes: dict[str, int] = {}
    files: set[str] = set()
    for row in get(f"{address}api/studies")["study_summaries"]:
        study = get(f"{address}api/studies/{row['study_id']}")
        notes[row["study_name"]] = sum(bool(one["note"]["body"]) for one in study["trials"])
        files |= {artifact["filename"] for artifact in study["artifacts"]}
    return notes, files


@pytest.mark.slow
def test_a_dashboard_that_is_opened_first_follows_the_search(
    toy_archive: Path, tiny_space_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials and notes appear while the search goes on, which finishes as if alone."""
    pytest.importorskip("optuna_dashboard")
    monkeypatch.setattr("nasgtn.dashboard.SECONDS_BETWEEN_LOOKS", 0.2)
    monkeypatch.setattr("nasgtn.dashboard.SHARE", 1.0)
    run = tmp_path / "run"
    where = ("--dataset", toy_archive, "--space", tiny_space_file, "--run", run, "--quiet")
    size = (*("--trials", "6", "--verify", "2"), *QUICK, "--set", "training.epochs=150")
    search = subprocess.Popen([sys.executable, "-m", "nasgtn", "search", *map(str, where), *size])
    seen: list[dict[str, int]] = []

    def look(address: str) -> bool:
        notes, files = notes_and_files(address)
        if notes not in seen:
            seen.append(notes)
        return "report.html" in files and notes.get("verification") == 4

    def follow(address: str) -> None:
        try:
            end = time.monotonic() + 120
            while not look(address) and time.monotonic() < end:
                time.sleep(0.1)
        finally:
            _thread.interrupt_main()

    while not (run / "config.toml").exists() and search.poll() is None:
        time.sleep(0.05)
    thread: list[threading.Thread] = []

    def ready(address: str) -> None:
        thread.append(threading.Thread(target=follow, args=(address,)))
        thread[0].start()

    open_dashboard(run, None, ready=ready)
    thread[0].join()
    assert search.wait() == 0
    assert seen[0] == {"proxy": 0}
    assert seen[-1]["verification"] == 4
    searched, verified = (
        {one.architecture_id for one in read_records(run / name)}
        for name in ("proxy.jsonl", "verification.jsonl")
    )
    assert seen[-1]["proxy"] >= len(searched & verified) >= 2  # the control comes from elsewhere
