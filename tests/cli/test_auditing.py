"""`nasgtn audit` on a real run of toy data: text, JSON, file, report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import Nasgtn, Refused

from nasgtn.findings import read_audit


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished_run, tmp_path / "run")


def test_an_audit_is_printed_kept_and_reported(nasgtn: Nasgtn, copied_run: Path) -> None:
    outcome = nasgtn("audit", copied_run, "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert "audit: 9/9" in outcome.err
    kept = read_audit(copied_run)
    assert kept is not None
    assert [one["name"] for one in told["classes"]] == ["left", "middle", "right"]
    assert told["warnings"] == kept.warnings()
    assert (told["recognised"], told["n_images"]) == (kept.recognised, 12)

    text = nasgtn("audit", copied_run, "--quiet")
    assert text.err == ""
    again = read_audit(copied_run)
    assert again is not None
    assert again.classes == kept.classes
    assert "middle" in text.out
    assert f"{kept.recognised:.3f}" in text.out
    assert text.out.count("Warning: ") == len(kept.warnings())

    assert "were not audited" in (copied_run / "report.html").read_text()
    assert nasgtn("report", copied_run).code == 0
    report = (copied_run / "report.html").read_text()
    assert "were not audited" not in report
    assert report.count("<img ") == 3


def test_data_and_space_can_be_others_that_fit(
    nasgtn: Nasgtn, copied_run: Path, toy_archive: Path, tmp_path: Path
) -> None:
    arrays = dict(np.load(toy_archive))
    np.savez(tmp_path / "renamed.npz", **{**arrays, "class_names": np.array(["a", "b", "c"])})
    args = ("audit", copied_run, "--dataset", tmp_path / "renamed.npz", "--space", "mlp")
    outcome = nasgtn(*args, "--json", "--quiet", "--set", "training.epochs=1")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert [one["name"] for one in told["classes"]] == ["a", "b", "c"]
    assert (told["dataset"], told["space"]) == ("renamed", "mlp")


def test_what_cannot_be_audited_is_refused(
    refused: Refused, copied_run: Path, tmp_path: Path
) -> None:
    refused("audit", tmp_path / "none", code=2)
    refused("audit", tmp_path, code=1)
    assert "made for" in refused("audit", copied_run, "--dataset", "digits", code=1)
    assert not (copied_run / "audit.json").exists()


def test_a_damaged_audit_is_one_line(refused: Refused, copied_run: Path) -> None:
    (copied_run / "audit.json").write_text('{"dataset": "toy"}')
    assert "nasgtn audit" in refused("report", copied_run, code=1)
