"""Measure how well every estimator orders random architectures of one benchmark.

    python scripts/benchmark_ranking.py digits_convnet
    python scripts/benchmark_ranking.py digits_convnet --architectures 48    # prints alone

What is measured is kept in results/benchmarks/NAME/ and not measured again; without that folder
everything is done anew, in the time that the table says. `table.csv` has a row an estimator.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
FREE = "params,flops,synflow,naswot,jacob_cov,grad_norm"
ANCHORS = ("--generators", 3, "--set", "anchors.n=24")
CIFAR = ("--dataset", DATA / "cifar10_20k.npz")
BENCHMARKS: dict[str, tuple[object, ...]] = {
    "digits_convnet": (
        *("--dataset", "digits", "--space", "convnet", "--architectures", 96),
        *("--estimators", f"gtn,fused,calibrated,real:16,real:64,{FREE}", "--truth-seeds", 3),
        *(*ANCHORS, "--set", "gtn.meta_training.n_meta_steps=300"),
    ),
    "fashion_convnet": (
        *("--dataset", DATA / "fashion_mnist.npz", "--space", "convnet", "--architectures", 64),
        *("--estimators", f"gtn,fused,calibrated,real:32,real:128,{FREE}", "--truth-seeds", 2),
        *(*ANCHORS, "--set", "gtn.meta_training.n_meta_steps=300"),
        *("--set", "gtn.curriculum.n_steps=32"),
    ),
}


def main() -> None:
    """Run `nasgtn compare` with the options of the benchmark, and write its rows as a table."""
    name, *more = sys.argv[1:]
    folder = ROOT / "results" / "benchmarks" / name
    options = [*BENCHMARKS[name], "--out", folder / "truth.jsonl", "--json", *more]
    command = [sys.executable, "-m", "nasgtn", "compare", *map(str, options)]
    folder.mkdir(parents=True, exist_ok=True)
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    rows = json.loads(found.stdout)["estimators"]
    if not more:
        with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    columns = ("spearman", "best_half", "best_tenth", "seconds_per_candidate")
    for row in rows:
        values = "  ".join(f"{row[name]:6.3f}" for name in columns)
        print(f"{row['estimator']:36} {values}  {row['spearman_interval']}")  # noqa: T201


if __name__ == "__main__":
    main()
