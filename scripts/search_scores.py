"""Measure what a search proposes where Optuna is told the proxy's score, or the fused one.

    python scripts/search_scores.py                # three spaces, three generators each
    python scripts/search_scores.py fashion_mlp    # this one

Both searches of a generator have all else the same. On the two NAS benchmarks true accuracies are
looked up, and generators are those that benchmark_ranking.py left, whose split of the images is
that of seed 0. On the other all is as `nasgtn search` has it by default, seeds 0 to 2: the
first search trains the generator, and what both proposed is trained afterwards. True accuracies
choose nothing. Writes runs, which are not done again, and table.csv to
results/benchmarks/search_scores/.
"""

import sys
from contextlib import chdir
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from nasgtn.candidacy import Pool
from nasgtn.configuration import config_from_mapping
from nasgtn.evaluation import ChargedTable, evaluate
from nasgtn.fusion import PARTS
from nasgtn.pipeline import resume, run_search
from nasgtn.preparation import Run, prepare
from nasgtn.records import Evaluation, append_record, read_records

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "results" / "benchmarks"
OUT = BENCHMARKS / "search_scores"
DATA = "../shared/data"  # from the root of the project
CIFAR = {"name": f"{DATA}/cifar10_20k.npz"}
FASHION = {"name": f"{DATA}/fashion_mnist.npz", "image_size": 14, "max_images": 2000}
SPACES: dict[str, dict[str, Any]] = {
    "nasbench201": {
        "data": CIFAR,
        "space": {"name": "nasbench201", "options": {"channels": 16, "n_cells": 1}},
        "truth": {
            "table": f"{DATA}/nasbench201_cifar10.csv.gz:cifar10_test_200ep",
            "seconds": 7200.0,
        },
    },
    "nasbench_macro": {
        "data": CIFAR,
        "space": {"name": "nasbench_macro", "options": {"channels": 8}},
        "truth": {
            "table": f"{DATA}/nasbench_macro_cifar10.csv.gz:test_acc_mean",
            "seconds": 7200.0,
        },
    },
    "fashion_mlp": {"data": FASHION, "space": {"name": "mlp"}},
}
KEPT = {"nasbench201": "nasbench201_one_cell", "nasbench_macro": "nasbench_macro"}
"""Where the generators of a space are kept, in results/benchmarks/."""
GENERATORS = ("generator", "generator-1", "generator-2")
SCORES = ("gtn", "fused")
TRIALS = 96
POINTS = 0.005
FIRST = 5
Row = dict[str, object]


def search(name: str, number: int, score: str) -> Run:
    """Search once, unless that was done."""
    first, folder = (OUT / f"{name}-{number}-{each}" for each in (SCORES[0], score))
    generator: Path | None
    if name in KEPT:
        (generator,) = (BENCHMARKS / KEPT[name]).glob(f"*.{GENERATORS[number]}")
        seed = 0
    else:
        generator, seed = None if folder == first else first, number
    config = config_from_mapping(
        {
            **SPACES[name],
            "seed": seed,
            **({"generator": str(generator.relative_to(ROOT))} if generator else {}),
            "search": {"trials": TRIALS, "score": score},
            "verification": {"candidates": 1, "control": 0},
        }
    )
    if folder.exists():
        resume(folder)
    else:
        run_search(config, folder)
    return prepare(config, folder)


def proposed(run: Run) -> dict[str, Evaluation]:
    """Read the distinct architectures of a search, with the first evaluation of each."""
    records = read_records(run.folder / "proxy.jsonl")
    return {one.architecture_id: one for one in reversed(records)}


def true_accuracies(run: Run, kept: Path) -> dict[str, float]:
    """Look the proposed architectures up, or train each of them once."""
    known = {one.architecture_id: one for one in read_records(kept)}
    wanted = proposed(run)
    for name, one in wanted.items():
        if name not in known:
            architecture = run.space.architecture(one.choices)
            known[name] = evaluate(run.truth, architecture, seed=0)
            append_record(kept, known[name])
    return {name: known[name].score or 0.0 for name in wanted}


def rows_of(name: str, number: int) -> list[Row]:
    """Do the two searches of a generator, and say how good the architectures are."""
    runs = {score: search(name, number, score) for score in SCORES}
    kept = OUT / f"{name}-{number}-truth.jsonl"
    true = {score: true_accuracies(run, kept) for score, run in runs.items()}
    truth = runs[SCORES[0]].truth
    found = max(max(each.values()) for each in true.values())
    best = truth.best if isinstance(truth, ChargedTable) else found
    return [
        {"space": name, "generator": number, "score": score, **facts(run, true[score], best)}
        for score, run in runs.items()
    ]


def facts(run: Run, true: dict[str, float], best: float) -> Row:
    """Sum up one search: what it proposed, and what is first by the fused score."""
    records = read_records(run.folder / "baselines.jsonl")
    ids = list(true)
    fused = Pool.of(ids, [one for one in records if one.evaluator in PARTS]).fused()
    order = [ids[place] for place in np.argsort(-fused, kind="stable")]
    accuracies = list(true.values())
    return {
        "n": len(accuracies),
        "mean": fmean(accuracies),
        "within_0.5_points": sum(one >= best - POINTS for one in accuracies),
        "best": max(accuracies),
        "first_by_fused": true[order[0]],
        "best_of_first_5": max(true[one] for one in order[:FIRST]),
    }


def main() -> None:
    """Run the searches of the spaces that are named, of all where none is; a row each."""
    table = OUT / "table.csv"
    names = sys.argv[1:] or list(SPACES)
    with chdir(ROOT):
        OUT.mkdir(parents=True, exist_ok=True)
        found = [
            row
            for name in names
            for number in range(len(GENERATORS))
            for row in told(name, number)
        ]
    rows = pd.DataFrame(found)
    if table.exists():
        kept = pd.read_csv(table)
        rows = pd.concat([kept[~kept["space"].isin(names)], rows])
    places = rows["space"].map(list(SPACES).index)
    rows.iloc[places.argsort(kind="stable")].to_csv(table, index=False)


def told(name: str, number: int) -> list[Row]:
    """Measure two rows, and say them."""
    rows = rows_of(name, number)
    print(*rows, sep="\n", flush=True)  # noqa: T201
    return rows


if __name__ == "__main__":
    main()
