"""Short trainings: of anchors, and of a shortlist from which the candidates are chosen."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import QUICK, TINY_SPACE, write_tiny_table, write_toy_archive

from nasgtn.cli.main import run as command_line
from nasgtn.cli.settings import settings_of
from nasgtn.data.sources import load_splits
from nasgtn.errors import ArtefactError, InvalidConfigError, InvalidSpaceError
from nasgtn.pipeline import config_from_mapping, resume, run_data, verify
from nasgtn.preparation import prepare
from nasgtn.records import Evaluation, read_records
from nasgtn.report import summarise
from nasgtn.status import status

CHARGE = 1000.0
TABLE: dict[str, object] = {"table": "t.csv:test", "seconds": CHARGE}
N_STEPS = 1
SHORTLIST = 8


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A search whose true accuracies come from a table, and whose anchors are trained."""
    folder = tmp_path_factory.mktemp("material")
    write_toy_archive(folder / "toy.npz")
    (folder / "tiny.py").write_text(TINY_SPACE)
    write_tiny_table(folder / "table.csv")
    settings = {
        "anchors.n": 8,
        "anchors.max_steps": N_STEPS,
        "anchors.image_size": 4,
        "verification.shortlist": SHORTLIST,
        "verification.rounds": 2,
        "verification.acquisition": "mean",
        "truth.table": f"{folder / 'table.csv'}:test",
        "truth.seconds": CHARGE,
    }
    return (
        *("--dataset", str(folder / "toy.npz"), "--space", str(folder / "tiny.py")),
        *(*QUICK, "--quiet", "--trials", "16", "--verify", "2"),
        *(part for name, value in settings.items() for part in ("--set", f"{name}={value}")),
    )


@pytest.fixture(scope="module")
def folder(args: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "run"
    assert command_line(["search", *args, "--run", str(folder)]) == 0
    return folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "run")


def records_of(folder: Path, *names: str) -> list[Evaluation]:
    return [record for name in names for record in read_records(folder / f"{name}.jsonl")]


def candidates_of(folder: Path) -> list[str]:
    verified = records_of(folder, "verification")
    return [one.architecture_id for one in verified if not one.metrics["is_control"]]


def test_short_trainings_are_real_and_verification_reads_the_table(folder: Path) -> None:
    short = records_of(folder, "anchors", "shortlist")
    assert len({one.architecture_id for one in short}) == len(short)
    assert len({one.seed for one in short}) == 1
    for one in short:
        assert one.metrics["n_steps"] == N_STEPS
        assert one.score == one.metrics["validation_accuracy"]
        assert 0 < one.seconds < CHARGE
    assert {one.seconds for one in records_of(folder, "verification")} == {CHARGE}
    assert not (folder / "anchors").exists()


def test_the_candidates_are_the_best_of_the_shortlist(folder: Path) -> None:
    accuracy = {
        one.architecture_id: one.score or 0.0 for one in records_of(folder, "anchors", "shortlist")
    }
    searched = {one.architecture_id for one in records_of(folder, "proxy")}
    shortlisted = {one.architecture_id for one in records_of(folder, "shortlist")}
    assert shortlisted <= searched
    assert 0 < len(shortlisted) <= SHORTLIST
    chosen = candidates_of(folder)
    assert len(chosen) == 2
    worst = min(accuracy[name] for name in chosen)
    assert all(accuracy[name] <= worst for name in shortlisted.difference(chosen))


def test_short_trainings_count_as_long_as_they_took_and_the_table_as_charged(folder: Path) -> None:
    costs = summarise(run_data(folder)).costs
    shortlist, verified = records_of(folder, "shortlist"), records_of(folder, "verification")
    assert costs.stages["shortlist"] == sum(one.seconds for one in shortlist)
    assert costs.stages["anchors"] == sum(one.seconds for one in records_of(folder, "anchors"))
    assert costs.stages["verification"] == CHARGE * len(verified)
    found = status(folder)
    assert found.charged == CHARGE * len(verified)
    assert found.seconds > found.charged + costs.stages["shortlist"]
    assert (found.shortlisted, found.shortlist_wanted) == (len(shortlist), SHORTLIST)


def test_the_report_says_how_the_candidates_were_chosen(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    assert "A shortlist was chosen by the calibrated score" in text
    assert "its best by trainings as short as the anchors" in text
    assert "The accuracies of verified architectures come from the table" in text
    assert not summarise(run_data(folder)).forecasts


@pytest.mark.parametrize("n_left", [0, 1])
def test_a_run_that_stopped_in_its_shortlist_comes_to_the_same_end(
    n_left: int, copied: Path
) -> None:
    before = candidates_of(copied)
    for name in ("report.html", "verification.jsonl"):
        (copied / name).unlink()
    lines = (copied / "shortlist.jsonl").read_text().splitlines(keepends=True)
    (copied / "shortlist.jsonl").write_text("".join(lines[:n_left]))
    assert status(copied).stage == "verification"
    resume(copied)
    assert len(records_of(copied, "shortlist")) == len(lines)
    assert candidates_of(copied) == before


def test_more_candidates_than_the_shortlist_has_lengthen_it(copied: Path) -> None:
    before = len(records_of(copied, "shortlist"))
    assert verify(copied, candidates=SHORTLIST + 3).n_verified >= SHORTLIST + 3
    assert len(records_of(copied, "shortlist")) >= before


def test_a_shortlist_may_be_trained_otherwise_than_the_anchors(
    args: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    own = ("verification.rounds=1", "verification.shortlist_steps=2")
    given = (*args, *(part for text in own for part in ("--set", text)))
    assert command_line(["search", *given, "--run", str(out)]) == 0
    shortlist = records_of(out, "shortlist")
    assert len(shortlist) == SHORTLIST  # anchors too: theirs was another training
    assert {one.metrics["n_steps"] for one in shortlist} == {2}
    assert {one.seed for one in shortlist}.isdisjoint(
        one.seed for one in records_of(out, "anchors")
    )
    assert best_of(shortlist, 2) == accuracies_of(shortlist, candidates_of(out))
    assert "its best by trainings of 2 steps" in (out / "report.html").read_text()


def test_a_shortlist_may_be_looked_up_and_is_charged(
    args: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    table = next(text for text in args if text.startswith("truth.table="))
    table = table.removeprefix("truth.table=").replace(":test", ":short")
    own = ("verification.rounds=1", f"truth.short_table={table}", "truth.short_share=0.1")
    given = (*args, *(part for text in own for part in ("--set", text)))
    assert command_line(["search", *given, "--run", str(out)]) == 0
    shortlist = records_of(out, "shortlist")
    assert {one.seconds for one in shortlist} == {0.1 * CHARGE}
    assert best_of(shortlist, 2) == accuracies_of(shortlist, candidates_of(out))
    n_full = len(records_of(out, "verification"))
    assert status(out).charged == pytest.approx(CHARGE * (n_full + 0.1 * SHORTLIST))
    assert "shorter trainings, looked up in the table" in (out / "report.html").read_text()


def test_verify_lengthens_such_a_shortlist_by_the_anchors_labels_alone(
    args: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    given = (*args, "--set", "verification.rounds=1", "--set", "verification.shortlist_steps=2")
    assert command_line(["search", *given, "--run", str(out)]) == 0
    verify(out, candidates=SHORTLIST + 2)
    longer = records_of(out, "shortlist")
    assert len(longer) == SHORTLIST + 2
    assert verify(out, candidates=SHORTLIST + 2).n_verified >= SHORTLIST + 2
    assert records_of(out, "shortlist") == longer


def test_steps_as_the_anchors_have_them_are_the_anchors_training() -> None:
    short = {"anchors": {"max_steps": 9}, "verification": {"shortlist": 8, "rounds": 2}}
    config = config_from_mapping(short)
    same = replace(config.verification, shortlist_steps=9)
    assert not replace(config, verification=same).shortlist_is_its_own
    with pytest.raises(InvalidConfigError, match=r"verification\.rounds must be 1"):
        replace(config, verification=replace(same, shortlist_steps=8))


def test_a_comparison_that_was_kept_is_found_whatever_a_shortlist_is(tmp_path: Path) -> None:
    write_tiny_table(tmp_path / "table.csv")
    write_toy_archive(tmp_path / "toy.npz")
    table = f"{tmp_path / 'table.csv'}:test"
    config = config_from_mapping(
        {
            "data": {"name": str(tmp_path / "toy.npz")},
            "truth": {"table": table, "seconds": CHARGE},
            "verification": {"shortlist": 5, "shortlist_steps": 9},
        }
    )
    splits = load_splits(config.data, seed=0)
    kept = settings_of(config, None, splits)
    assert kept["truth_of_anchors"] == {
        "file": hashlib.sha256((tmp_path / "table.csv").read_bytes()).hexdigest(),
        "seconds": CHARGE,
        "seconds_per_multiply_add": 0.0,
        "table": table,
    }
    short = replace(config.truth, short_table=table, short_share=0.1)
    verification = replace(config.verification, shortlist_steps=0)
    assert (
        settings_of(replace(config, truth=short, verification=verification), None, splits) == kept
    )


def best_of(shortlist: list[Evaluation], n: int) -> list[float]:
    return sorted((one.score or 0.0 for one in shortlist), reverse=True)[:n]


def accuracies_of(shortlist: list[Evaluation], names: list[str]) -> list[float]:
    found = {one.architecture_id: one.score or 0.0 for one in shortlist}
    return sorted((found[name] for name in names), reverse=True)


POOLED_SPACE = '''"""Networks that need 4x4 pixels."""

from torch import nn


def build(trial, task):
    width = trial.suggest_int("width", 4, 16)
    return nn.Sequential(
        nn.Conv2d(task.n_channels, width, 3, padding=1),
        nn.MaxPool2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, task.n_classes),
    )
'''


@pytest.mark.parametrize(
    "settings", [("anchors.max_steps=1", "anchors.image_size=2"), ("gtn.image_size=2",)]
)
def test_a_space_that_cannot_use_small_images_is_refused_before_any_training(
    settings: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_toy_archive(tmp_path / "toy.npz")
    (tmp_path / "pooled.py").write_text(POOLED_SPACE)
    given = (
        *("--dataset", str(tmp_path / "toy.npz"), "--space", str(tmp_path / "pooled.py")),
        *(*QUICK, "--quiet", *(part for text in settings for part in ("--set", text))),
    )
    for command in (
        ["search", *given, "--run", str(tmp_path / "run")],
        ["train-generator", *given, "--out", str(tmp_path / "generator")],
    ):
        assert command_line(command) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "pooled" in error
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "generator" / "anchors.jsonl").exists()


def test_images_of_anchors_are_not_checked_where_none_is_trained(
    folder: Path, tmp_path: Path
) -> None:
    write_toy_archive(tmp_path / "toy.npz")
    (tmp_path / "pooled.py").write_text(POOLED_SPACE)
    config = config_from_mapping(
        {
            "generator": str(folder),
            "data": {"name": str(tmp_path / "toy.npz")},
            "space": {"name": str(tmp_path / "pooled.py")},
            "verification": {"shortlist": 8, "shortlist_steps": 9},
            "gtn": {"image_size": 2},
            "anchors": {"max_steps": 1, "image_size": 2},
        }
    )
    prepare(config, tmp_path / "run")
    with pytest.raises(ArtefactError):
        prepare(replace(config, generator=str(tmp_path / "nowhere")), tmp_path / "run")
    with pytest.raises(InvalidSpaceError):
        prepare(replace(config, generator=None), tmp_path / "run")


def test_a_given_generator_leaves_its_images_to_check(tmp_path: Path) -> None:
    write_toy_archive(tmp_path / "toy.npz")
    for name, text in (("pooled.py", POOLED_SPACE), ("tiny.py", TINY_SPACE)):
        (tmp_path / name).write_text(text)
    small = ("--dataset", str(tmp_path / "toy.npz"), "--set", "gtn.image_size=3")
    trained = ("--space", str(tmp_path / "tiny.py"), "--out", str(tmp_path / "generator"))
    assert command_line(["train-generator", *small, *QUICK, "--quiet", *trained]) == 0
    config = config_from_mapping(
        {
            "generator": str(tmp_path / "generator"),
            "data": {"name": str(tmp_path / "toy.npz")},
            "space": {"name": str(tmp_path / "pooled.py")},
        }
    )
    with pytest.raises(InvalidSpaceError):
        prepare(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"verification": {"shortlist": 8}},
            r"verification\.shortlist needs short trainings: .* anchors\.max_steps must be set",
        ),
        (
            {"verification": {"shortlist": 8, "shortlist_steps": 600}},
            r"verification\.shortlist_steps must be below the training\.max_steps .* 600, got 600",
        ),
        (
            {"verification": {"shortlist_steps": 9}},
            r"shortlist_steps and truth\.short_table are of a verification\.shortlist, which is 0",
        ),
        (
            {"verification": {"shortlist": 8, "shortlist_steps": 9, "rounds": 2}},
            r"verification\.rounds must be 1 where a shortlist is trained otherwise .* got 2",
        ),
        (
            {
                "verification": {"shortlist": 8, "shortlist_steps": 9},
                "truth": {**TABLE, "short_table": "t.csv:short", "short_share": 0.1},
            },
            r"verification\.shortlist_steps must be 0 with truth\.short_table, got 9",
        ),
        (
            {"verification": {"shortlist": 8}, "truth": {**TABLE, "short_table": "t.csv:short"}},
            r"truth\.short_share must be in \(0, 1\] with truth\.short_table, .* got 0",
        ),
        (
            {"truth": {"short_table": "t.csv:short", "short_share": 0.1}},
            r"truth\.short_table needs the full trainings of truth\.table, which is not set",
        ),
        (
            {"anchors": {"max_steps": 3}, "verification": {"shortlist": 2, "candidates": 3}},
            r"verification\.shortlist must be 0, or at least as many as verification\.candidates, "
            r"3, got 2",
        ),
        (
            {"anchors": {"max_steps": 600}},
            r"anchors\.max_steps must be 0, or below the training\.max_steps .*, 600, got 600",
        ),
        (
            {"anchors": {"max_steps": 60}, "verification": {"rounds": 2}},
            r"verification\.rounds must be 1 with anchors\.max_steps .* got 2",
        ),
        ({"anchors": {"image_size": 8}}, r"need anchors\.max_steps above 0, got 0"),
        ({"anchors": {"max_steps": -1}}, r"anchors\.max_steps must be at least 0, got -1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, dict[str, object]], message: str
) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        config_from_mapping(settings)
