"""Measure a whole search on NAS-Bench-201 against Optuna's TPE with its own pruners.

    python scripts/benchmark_search.py            # full size, three seeds: hours
    python scripts/benchmark_search.py --tiny     # minutes, and no result

Writes runs, regret.csv and regret.html to results/benchmarks/search_nasbench201/, and goes on
where it was stopped; what regret.csv has is not run again. True accuracies are looked up, each is
charged as HOURS of training: the rate of benchmark_ranking.py. A rival trains every architecture
for 12 of 200 epochs first (looked up and charged likewise), and Hyperband or successive halving
says which are trained on; nasgtn trains its shortlist so. "training-free" is nasgtn without its
proxy.
"""

import sys
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasgtn.cli.progress import shown
from nasgtn.configuration import config_from_mapping
from nasgtn.search_benchmark import (
    FREE,
    NASGTN,
    RIVALS,
    RivalConfig,
    benchmark_search,
    cost_to_reach,
)

ROOT = Path(__file__).resolve().parents[1]
DATA = "../shared/data"  # from the root of the project
TABLE = f"{DATA}/nasbench201_cifar10.csv.gz"
HOURS = 2.0
SEEDS = range(3, 6)
"""Not 0 to 2: what a shortlist is, and how long, was chosen on those."""
EPOCHS = (12, 200)
POINTS = 0.005
"""What may be missing to the best of the table."""
CONFIG: dict[str, Any] = {
    "data": {"name": f"{DATA}/cifar10_20k.npz"},
    "space": {"name": "nasbench201", "options": {"channels": 16, "n_cells": 1}},
    "anchors": {"n": 24, "max_steps": 2000, "image_size": 16},
    "gtn": {  # as benchmark_ranking.py has it for these cells
        "image_size": 8,
        "space_options": {"n_cells": 3},
        "inner_loop": {"optimiser": "adam", "learning_rate": 0.02, "momentum": 0.7},
        "curriculum": {"n_steps": 16, "n_batches": 1, "batch_size": 256},
        "meta_training": {
            "n_meta_steps": 10,
            "rank_score": "late_training_loss",
            "rank_weight": 1000.0,
            "anchor_share": 1.0,
            "learning_rate": 0.001,
            "probe_every": 8,
            "save_every": 5,
        },
    },
    "proxy": {"n_seeds": 2},
    "search": {"trials": 400, "score": "fused"},
    "training": {  # of anchors alone: the tables have the others
        "batch_size": 64,
        "optimiser": "sgd",
        "learning_rate": 0.1,
        "weight_decay": 0.0005,
    },
    "verification": {"candidates": 4, "control": 0, "shortlist": 12},
    "truth": {
        "table": f"{TABLE}:cifar10_test_200ep",
        "seconds": 3600 * HOURS,
        "short_table": f"{TABLE}:cifar10_val_12ep",
        "short_share": EPOCHS[0] / EPOCHS[1],
    },
}
TINY: dict[str, Any] = {
    **CONFIG,
    "data": {**CONFIG["data"], "max_images": 2000},
    "space": {"name": "nasbench201", "options": {"channels": 4, "n_cells": 1}},
    "anchors": {"n": 8, "max_steps": 20, "image_size": 16},
    "gtn": {
        "image_size": 8,
        "curriculum": {"n_steps": 4, "batch_size": 20},
        "meta_training": {"n_meta_steps": 4, "n_images": 64},
    },
    "search": {"trials": 12, "score": "fused"},
    "verification": {"candidates": 2, "control": 0, "shortlist": 4},
}


def main() -> None:
    """Run the benchmark; stages are told on stderr."""
    is_tiny = "--tiny" in sys.argv
    rival = RivalConfig(epochs=EPOCHS)
    if is_tiny:
        rival = replace(rival, trials=40, seeds=2)
    folder = ROOT / "results/benchmarks" / ("search_tiny" if is_tiny else "search_nasbench201")
    config = config_from_mapping(TINY if is_tiny else CONFIG)
    with chdir(ROOT), shown(is_quiet=False) as progress:
        found = benchmark_search(config, rival, SEEDS, folder, progress=progress)
    for method in (NASGTN, FREE, *RIVALS.values()):
        seconds = cost_to_reach(found, method, POINTS)
        hours = "never" if seconds is None else f"{seconds / 3600:.1f} h"
        print(f"{method:24} within {100 * POINTS} points: {hours}")  # noqa: T201


if __name__ == "__main__":
    main()
