"""A run whose accuracies come from a table: charged, told, and without weights."""

import json
from pathlib import Path

import pytest
from command_line import QUICK, TINY_SPACE, write_tiny_table, write_toy_archive

from nasgtn.cli.main import run as command_line
from nasgtn.pipeline import run_data
from nasgtn.records import read_records
from nasgtn.report import summarise
from nasgtn.report.words import duration
from nasgtn.status import status

CHARGE = 1000.0


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, a space, and the accuracies (in percent) of all its 16 architectures."""
    folder = tmp_path_factory.mktemp("material")
    write_toy_archive(folder / "toy.npz")
    (folder / "tiny.py").write_text(TINY_SPACE)
    write_tiny_table(folder / "table.csv")
    return folder


@pytest.fixture(scope="module")
def args(material: Path) -> tuple[str, ...]:
    return (
        *("--dataset", str(material / "toy.npz"), "--space", str(material / "tiny.py")),
        *(*QUICK, "--quiet", "--set", f"truth.table={material / 'table.csv'}:test"),
        *("--set", f"truth.seconds={CHARGE}"),
    )


@pytest.fixture(scope="module")
def folder(args: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "run"
    search = ("search", *args, "--trials", "10", "--verify", "3", "--run", str(folder))
    assert command_line([*search]) == 0
    return folder


def test_accuracies_are_those_of_the_table_and_seconds_the_charge(folder: Path) -> None:
    anchors, verified = (
        read_records(folder / name) for name in ("anchors.jsonl", "verification.jsonl")
    )
    assert (len(anchors), len(verified)) == (3, 6)
    for record in (*anchors, *verified):
        width, pool = record.choices["width"], record.choices["pool"]
        assert record.score == pytest.approx((50.5 + width + pool) / 100)  # type: ignore[operator]
        assert record.seconds == CHARGE


def test_every_architecture_is_charged_once_in_the_costs(folder: Path) -> None:
    looked_up = {
        record.architecture_id
        for name in ("anchors.jsonl", "verification.jsonl")
        for record in read_records(folder / name)
    }
    costs = summarise(run_data(folder)).costs
    assert costs.stages["anchors"] + costs.stages["verification"] == CHARGE * len(looked_up)
    assert costs.full_seconds == CHARGE
    found = status(folder)
    assert found.charged == CHARGE * len(looked_up)
    assert CHARGE * len(looked_up) < found.seconds < CHARGE * len(looked_up) + 60


def test_the_report_says_where_accuracies_come_from_and_what_they_are_charged(
    folder: Path, material: Path
) -> None:
    text = (folder / "report.html").read_text()
    assert f"come from the table {material / 'table.csv'}:test: no network was trained" in text
    assert f"charged, {duration(CHARGE)} each" in text
    assert "looked up in a table" in text
    assert "there are no weights" in text


def test_the_winner_has_no_weights_and_export_trains_it_where_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [path.name for path in (folder / "best").iterdir()] == ["choices.json"]
    export = ("export", str(folder), "--out", str(tmp_path / "out"), "--format", "safetensors")
    assert command_line([*export]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "has no weights, as its accuracy comes from a table; --retrain trains it" in error
    assert command_line([*export, "--retrain", "--quiet"]) == 0
    model = json.loads((tmp_path / "out" / "network-1" / "model.json").read_text())
    winner = json.loads((folder / "best" / "choices.json").read_text())
    assert model["choices"] == winner["choices"]
    assert "verified_test_accuracy" not in model["facts"] or (
        model["facts"]["verified_test_accuracy"] is None
    )


def test_anchors_of_a_comparison_are_looked_up_and_charged_too(
    args: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "truth.jsonl"
    some = ("--estimators", "gtn,calibrated,params", "--architectures", "6")
    compare = ("compare", *args, *some, "--set", "anchors.n=8")
    assert command_line([*compare, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["truth_seconds_per_candidate"] == CHARGE
    before = {row["estimator"]: row["preparation_seconds"] for row in told["estimators"]}
    assert before["calibrated without gtn"] == 8 * CHARGE
    assert 8 * CHARGE < before["gtn"] < 8 * CHARGE + 60
    (anchors,) = tmp_path.glob("*.generator/anchors.jsonl")
    seen = {record.architecture_id for record in read_records(anchors)}
    assert len(seen) == 8
    assert seen.isdisjoint(record.architecture_id for record in read_records(out))


def test_anchors_that_were_trained_and_those_of_a_table_are_kept_apart(
    args: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = ("--estimators", "gtn", "--architectures", "3", "--truth", "train", "--json")
    without_table = args[: args.index("--quiet") + 1]
    seconds = []
    for own in (without_table, args):
        assert command_line(["compare", *own, *some, "--out", str(tmp_path / "truth.jsonl")]) == 0
        (row,) = json.loads(capsys.readouterr().out)["estimators"]
        seconds.append(row["preparation_seconds"])
    trained, looked_up = seconds
    assert trained < CHARGE < looked_up


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("verification.n_seeds=2", "verification.n_seeds must be 1 with truth.table"),
        ("space.name=convnet", "must have the accuracies of search space 'convnet'"),
    ],
)
def test_a_table_that_cannot_serve_is_refused_before_anything_is_written(
    args: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    said: str,
) -> None:
    words = [*args, "--set", setting]
    if setting.startswith("space"):
        words[2:4] = []
    assert command_line(["search", *words, "--run", str(tmp_path / "run")]) in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
