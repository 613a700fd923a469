"""Measure a whole search on NAS-Bench-201 against Optuna's TPE with Hyperband on short training.

    python scripts/benchmark_search.py            # full size, three seeds: hours
    python scripts/benchmark_search.py --tiny     # minutes, and no result

Writes runs, regret.csv and regret.html to results/benchmarks/search_nasbench201/, and goes on
where it was stopped. True accuracies are looked up, and each is charged as HOURS of training: the
rate of benchmark_ranking.py.
"""

import sys
from pathlib import Path
from typing import Any

from nasgtn.cli.progress import shown
from nasgtn.configuration import config_from_mapping
from nasgtn.search_benchmark import RivalConfig, benchmark_search

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
HOURS = 2.0
CONFIG: dict[str, Any] = {
    "data": {"name": str(DATA / "cifar10_20k.npz")},
    "space": {"name": "nasbench201", "options": {"channels": 16, "n_cells": 1}},
    "anchors": {"n": 24},
    "gtn": {
        "image_size": 8,
        "curriculum": {"n_steps": 32, "n_batches": 0},
        "meta_training": {
            "n_meta_steps": 120,
            "rank_score": "late_training_loss",
            "rank_weight": 1.0,
            "anchor_share": 1.0,
            "learning_rate": 0.002,
            "probe_every": 8,
            "save_every": 30,
        },
    },
    "search": {"trials": 400},
    "verification": {"candidates": 8, "control": 0, "rounds": 4},
    "truth": {
        "table": f"{DATA / 'nasbench201_cifar10.csv.gz'}:cifar10_test_200ep",
        "seconds": 3600 * HOURS,
    },
}
TINY: dict[str, Any] = {
    **CONFIG,
    "data": {**CONFIG["data"], "max_images": 2000},
    "space": {"name": "nasbench201", "options": {"channels": 4, "n_cells": 1}},
    "anchors": {"n": 8},
    "gtn": {
        "image_size": 8,
        "curriculum": {"n_steps": 4, "batch_size": 20},
        "meta_training": {"n_meta_steps": 4, "n_images": 64},
    },
    "search": {"trials": 12},
    "verification": {"candidates": 2, "control": 0},
}


def main() -> None:
    """Run the benchmark; stages are told on stderr."""
    is_tiny = "--tiny" in sys.argv
    rival = RivalConfig(trials=16, rungs=(2, 4, 8), tuned_on=4) if is_tiny else RivalConfig()
    folder = ROOT / "results/benchmarks" / ("search_tiny" if is_tiny else "search_nasbench201")
    config = config_from_mapping(TINY if is_tiny else CONFIG)
    with shown(is_quiet=False) as progress:
        benchmark_search(config, rival, range(3), folder, progress=progress)


if __name__ == "__main__":
    main()
