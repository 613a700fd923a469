"""Measure what a search proposes where Optuna is told the proxy's score, or the fused one.

    python scripts/search_scores.py    # two spaces, three generators each: half an hour

Needs the generators that benchmark_ranking.py left, so that both have the same; their split of
the images is that of seed 0, so all searches have this seed. True accuracies are looked up and
choose nothing. Writes runs, which are not done again, and table.csv to
results/benchmarks/search_scores/.
"""

import csv
from contextlib import chdir
from pathlib import Path
from statistics import fmean
from typing import Any

from nasgtn.candidacy import Pool
from nasgtn.configuration import config_from_mapping
from nasgtn.evaluation import ChargedTable, evaluate
from nasgtn.fusion import PARTS
from nasgtn.pipeline import resume, run_search
from nasgtn.preparation import prepare
from nasgtn.records import read_records

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "results" / "benchmarks"
OUT = BENCHMARKS / "search_scores"
DATA = "../shared/data"  # from the root of the project
SPACES: dict[str, dict[str, Any]] = {
    "nasbench201": {
        "space": {"name": "nasbench201", "options": {"channels": 16, "n_cells": 1}},
        "truth": {"table": f"{DATA}/nasbench201_cifar10.csv.gz:cifar10_test_200ep"},
    },
    "nasbench_macro": {
        "space": {"name": "nasbench_macro", "options": {"channels": 8}},
        "truth": {"table": f"{DATA}/nasbench_macro_cifar10.csv.gz:test_acc_mean"},
    },
}
GENERATORS = ("generator", "generator-1", "generator-2")
SCORES = ("gtn", "fused")
TRIALS = 96
POINTS = 0.005
FIRST = 5


def search(name: str, number: int, score: str) -> dict[str, object]:
    """Search once, and say how good the architectures are that were proposed."""
    (generator,) = (BENCHMARKS / name).glob(f"*.{GENERATORS[number]}")
    shared = SPACES[name]
    config = config_from_mapping(
        {
            **shared,
            "generator": str(generator.relative_to(ROOT)),
            "data": {"name": f"{DATA}/cifar10_20k.npz"},
            "truth": {**shared["truth"], "seconds": 7200.0},
            "search": {"trials": TRIALS, "score": score},
            "verification": {"candidates": 1, "control": 0},
        }
    )
    folder = OUT / f"{name}-{number}-{score}"
    if folder.exists():
        resume(folder)
    else:
        run_search(config, folder)
    run = prepare(config, folder)
    assert isinstance(run.truth, ChargedTable)
    proposed = {one.architecture_id: one.choices for one in read_records(folder / "proxy.jsonl")}
    records = [one for one in read_records(folder / "baselines.jsonl") if one.evaluator in PARTS]
    fused = Pool.of(list(proposed), records).fused()
    true = [
        evaluate(run.truth, run.space.architecture(choices), seed=0).score or 0.0
        for choices in proposed.values()
    ]
    order = sorted(range(len(true)), key=lambda place: -fused[place])
    return {
        "space": name,
        "generator": number,
        "score": score,
        "n": len(true),
        "mean": fmean(true),
        "within_0.5_points": sum(one >= run.truth.best - POINTS for one in true),
        "best": max(true),
        "first_by_fused": true[order[0]],
        "best_of_first_5": max(true[place] for place in order[:FIRST]),
    }


def main() -> None:
    """Run all searches; a row each."""
    with chdir(ROOT):
        OUT.mkdir(parents=True, exist_ok=True)
        rows = []
        for name in SPACES:
            for number in range(len(GENERATORS)):
                for score in SCORES:
                    rows.append(search(name, number, score))
                    print(rows[-1])  # noqa: T201
    with (OUT / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
