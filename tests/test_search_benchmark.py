import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import TINY_SPACE, write_tiny_table, write_toy_archive

from nasgtn.configuration import config_from_mapping
from nasgtn.errors import ArtefactError, InvalidConfigError
from nasgtn.records import Evaluation, read_records, write_records
from nasgtn.search_benchmark import (
    FREE,
    NASGTN,
    RIVALS,
    RivalConfig,
    benchmark_search,
    cost_to_reach,
    follow,
    follow_rival,
)


def record(evaluator: str, name: str, score: float | None, seconds: float) -> Evaluation:
    return Evaluation(
        evaluator=evaluator,
        architecture_id=name,
        choices={},
        seed=0,
        score=score,
        seconds=seconds,
        failure=None if score is not None else "RuntimeError: no",
    )


SHORT_TABLE = """
[anchors]
n = 2
max_steps = 9
[verification]
shortlist = 5
[truth]
table = "table.csv:test"
seconds = 100.0
short_table = "table.csv:short"
short_share = 0.5
"""


def test_every_true_accuracy_costs_once_and_the_search_before_the_first_of_its_own(
    tmp_path: Path,
) -> None:
    for name, records in {
        "anchors": [record("anchor", "a", 0.7, 100), record("anchor", "b", 0.8, 100)],
        "proxy": [record("gtn", "c", 0.5, 2), record("gtn", "b", None, 1)],
        "control": [record("gtn", "d", 0.5, 4)],
        "baselines": [
            record("flops", "c", 1, 8),
            record("fused", "c", 1, 1000),
            record("gtn", "c", 0.5, 2),
            record("gtn", "a", 1, 32),
            record("real:16", "c", 1, 1000),
        ],
        "verification": [
            record("ground_truth", "b", 0.8, 100),
            record("ground_truth", "c", 0.75, 100),
            record("ground_truth", "d", 0.9, 100),
        ],
    }.items():
        write_records(tmp_path / f"{name}.jsonl", records)
    (tmp_path / "generator.toml").write_text("seconds = 16.0\n")
    (tmp_path / "config.toml").write_text("[anchors]\nn = 2\n")
    found = follow(3, tmp_path, 0.95)
    assert [one.n_verified for one in found] == [1, 2, 3, 4]
    assert [one.seconds for one in found] == [100, 200, 300 + 63, 400 + 63]
    assert [one.charged for one in found] == [100, 200, 300, 400]
    assert [one.regret for one in found] == pytest.approx([0.25, 0.15, 0.15, 0.05])
    assert cost_to_reach(found, NASGTN, 0.16) == 200
    assert cost_to_reach(found, NASGTN, 0.01) is None
    # Short trainings tell no true accuracy, and are paid before the first of them.
    (tmp_path / "config.toml").write_text("[anchors]\nn = 2\nmax_steps = 9\n")
    write_records(tmp_path / "shortlist.jsonl", [record("anchor", "c", 0.7, 50)])
    found = follow(3, tmp_path, 0.95)
    assert [one.seconds for one in found] == [100 + 313, 200 + 313, 300 + 313]
    assert [one.regret for one in found] == pytest.approx([0.15, 0.15, 0.05])
    # Those of a table are charged, and no part of the seconds that were measured.
    (tmp_path / "config.toml").write_text(SHORT_TABLE)
    found = follow(3, tmp_path, 0.95)
    assert [one.seconds for one in found] == [100 + 313, 200 + 313, 300 + 313]
    assert [one.charged for one in found] == [150, 250, 350]


def test_the_rival_knows_a_true_accuracy_after_a_full_training_alone(tmp_path: Path) -> None:
    short = replace(record("training", "a", 0.6, 6), curve=((12, 0.6),))
    full = replace(record("training", "b", 0.8, 100), curve=((12, 0.7), (200, 0.8)))
    write_records(tmp_path / "proxy.jsonl", [short, full, short, full])
    found = follow_rival("any", 0, tmp_path, 0.9)
    assert [one.seconds for one in found] == [106, 212]
    assert [one.n_verified for one in found] == [1, 2]
    assert found[0].regret == pytest.approx(0.1)


@pytest.mark.slow
def test_both_methods_search_one_table_and_go_on_where_they_stopped(
    tmp_path: Path,
) -> None:
    write_toy_archive(tmp_path / "toy.npz")
    (tmp_path / "tiny.py").write_text(TINY_SPACE)
    write_tiny_table(tmp_path / "table.csv")
    config = config_from_mapping(
        {
            "device": "cpu",
            "data": {"name": str(tmp_path / "toy.npz")},
            "space": {"name": str(tmp_path / "tiny.py")},
            "anchors": {"n": 3},
            "gtn": {
                "generator": {"hidden": 16, "channels": [8, 4]},
                "curriculum": {"n_steps": 4, "batch_size": 12},
                "warm_start": {"n_steps": 5},
                "meta_training": {"n_meta_steps": 2, "n_images": 24},
            },
            "search": {"trials": 6},
            "verification": {"candidates": 2, "control": 0, "shortlist": 3},
            "truth": {
                "table": f"{tmp_path / 'table.csv'}:test",
                "seconds": 50.0,
                "short_table": f"{tmp_path / 'table.csv'}:short",
                "short_share": 0.05,
            },
        }
    )
    rival = RivalConfig(epochs=(10, 200), trials=12, seeds=2)
    out = tmp_path / "out"
    found = benchmark_search(config, rival, [1], out)
    assert benchmark_search(config, rival, [1], out) == found
    for name in ("nasgtn-1", "halving-0"):  # what the table has needs its run no more
        shutil.rmtree(out / name)
    assert benchmark_search(config, rival, [1], out) == found
    assert not (out / "nasgtn-1").exists()
    methods = [one.method for one in found]
    assert 3 <= methods.count(NASGTN) <= 5  # a candidate may be an anchor
    n_own = methods.count(NASGTN) - 3  # beside the anchors, which are known before the shortlist
    assert found[-1].charged == methods.count(NASGTN) * 50 + (3 * 2.5 if n_own else 0)
    free = [one for one in found if one.method == FREE]
    assert [one.charged for one in free] == [3 * 2.5 + 50, 3 * 2.5 + 100]
    assert all(one.seconds > one.charged for one in free)
    for rival_name in RIVALS.values():
        assert {one.seed for one in found if one.method == rival_name} == {0, 1}
    with pytest.raises(InvalidConfigError, match=r"of 200 epochs are, got 0\.05"):
        benchmark_search(config, replace(rival, epochs=(20, 200)), [1], out)
    with pytest.raises(ArtefactError, match="same settings"):
        benchmark_search(config, replace(rival, trials=9), [1], out)
    assert min(one.regret for one in found) >= 0
    with (out / "regret.csv").open() as file:
        assert [float(row["regret"]) for row in csv.DictReader(file)] == [
            one.regret for one in found
        ]
    assert "Plotly.newPlot" in (out / "regret.html").read_text()
    records = read_records(out / "halving-1" / "proxy.jsonl")
    assert len({one.architecture_id for one in records}) == len(records) == 12
    assert {(one.curve[-1][0], one.seconds) for one in records} == {(10, 2.5), (200, 50.0)}
