"""`nasgtn transfer`: generators of families, each tested on every family."""

import json
from collections import Counter
from pathlib import Path
from statistics import fmean

import pytest
import torch
from command_line import QUICK, Nasgtn, Refused
from page_reader import Reader

from nasgtn.cli.options import run_config
from nasgtn.data.sources import load_splits
from nasgtn.estimators import RATES
from nasgtn.evaluation.proxy import GtnProxy
from nasgtn.gtn import load_generator, train_generator
from nasgtn.records import read_records
from nasgtn.spaces import Family, find_space, only

Where = tuple[object, ...]


@pytest.fixture
def where(toy_archive: Path, tiny_space_file: Path) -> Where:
    return ("--dataset", toy_archive, "--space", tiny_space_file, *QUICK)


def test_each_generator_is_trained_on_its_family_and_tested_on_all(
    nasgtn: Nasgtn, where: Where, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "t.jsonl"
    args = ("transfer", *where, "--by", "activation", "--architectures", 4, "--out", out)
    outcome = nasgtn(*args, "--json")
    assert outcome.code == 0, outcome.err
    assert "trained on activation=relu: meta-training: 2/2" in outcome.err
    assert "tested on activation=tanh: real:4/1@0.02: 4/4" in outcome.err
    told = json.loads(outcome.out)
    families = ["activation=relu", "activation=tanh"]
    assert told["tested_on"] == families
    assert told["trained_on"] == [*families, "whole space", "real:4/1"]

    config = run_config(
        {"dataset": str(where[1]), "space": str(where[3]), "settings": QUICK[1::2]}
    )
    space = find_space(config.space.name)
    splits = load_splits(config.data, seed=0)
    records = read_records(out)
    real = [f"real:4/1@{rate:g}" for rate in RATES]
    assert Counter(record.evaluator for record in records) == dict.fromkeys(
        [*told["trained_on"][:3], *real, "ground_truth"], 8
    )
    assert {one["setting"].partition(", ")[0] for one in told["estimates"][3]} <= {
        f"learning rate {rate:g}" for rate in RATES
    }
    folders = sorted((tmp_path / "new" / "t.jsonl.generators").iterdir())
    assert [folder.name for folder in folders] == [
        "0-activation=relu",
        "1-activation=tanh",
        "2-whole-space",
    ]
    parts = [*(only(space, Family.parse(family)) for family in families), space]
    for row, (folder, part) in enumerate(zip(folders, parts, strict=True)):
        trained = train_generator(part, splits, config.gtn, seed=0)
        for name, value in load_generator(folder).gtn.state_dict().items():
            assert torch.equal(value, trained.gtn.state_dict()[name]), name
        proxy = GtnProxy.of(trained, space, splits, config.proxy)
        for column, family in enumerate(families):
            accuracies = [
                proxy.score(space.architecture(one.choices), seed=one.seed).metrics["accuracy"]
                for one in records
                if one.evaluator == told["trained_on"][row]
                and Family.parse(family).holds(one.choices)
            ]
            assert len(accuracies) == 4
            estimate = told["estimates"][row][column]
            assert estimate["accuracy"] == pytest.approx(fmean(accuracies))
            assert estimate["preparation_seconds"] > 0

    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = nasgtn(*args, "--json", "--quiet")
    assert (json.loads(again.out), again.err) == (told, "")
    html = tmp_path / "pages" / "transfer.html"
    text = nasgtn(*args, "--quiet", "--html", html).out
    assert [line.split("  ")[0] for line in text.splitlines()[1:6]] == [
        "trained on",
        *told["trained_on"],
    ]
    assert f"{told['estimates'][0][1]['accuracy']:.3f}" in text.splitlines()[2]
    assert {path: path.read_bytes() for path in kept} == kept
    shown = " ".join(Reader(html.read_text(encoding="utf-8")).text.split())
    cells = [cell.strip() for line in text.splitlines() for cell in line.split("  ")]
    assert [cell for cell in (*cells, f"--html {html}") if cell not in shown] == []


def test_a_choice_that_makes_no_families_is_refused(
    refused: Refused, where: Where, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "t.jsonl")
    assert "did you mean pool" in refused("transfer", *where, "--by", "pol", *out, code=2)
    held = ("--set", "gtn.meta_training.hold_out=['pool=1']")
    assert "must be empty" in refused("transfer", *where, "--by", "pool", *held, *out, code=2)
    assert not (tmp_path / "t.jsonl").exists()


def test_generators_of_other_settings_are_not_taken(
    nasgtn: Nasgtn, refused: Refused, where: Where, tmp_path: Path
) -> None:
    """Also where the work stopped after meta-training, before the first evaluation."""
    table = tmp_path / "table.csv"
    table.write_text("id,accuracy\nother,0.5\n")
    out = tmp_path / "t.jsonl"
    args = ("transfer", *where, "--by", "pool", "--architectures", 1, "--out", out, "--quiet")
    outcome = nasgtn(*args, "--truth", f"{table}:accuracy")
    assert "must score at least one" in outcome.err
    assert len(list((tmp_path / "t.jsonl.generators").iterdir())) == 3
    out.write_text("")
    other = ("--set", "gtn.meta_training.n_meta_steps=1")
    message = refused(*args, "--truth", f"{table}:accuracy", *other, code=1)
    assert "choose another file" in message
