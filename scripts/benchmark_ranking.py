"""Measure how well every estimator orders random architectures of one benchmark.

    python scripts/benchmark_ranking.py digits_convnet
    python scripts/benchmark_ranking.py digits_convnet --architectures 48    # prints alone
    python scripts/benchmark_ranking.py nasbench201 --published              # for a GPU

What is measured is kept in results/benchmarks/NAME/ and not measured again; without that folder
everything is done anew, in the time that the table says. `table.csv` has a row an estimator.
Published sizes have a folder of their own, one a device: 128 steps on 128 images, networks and
images whole. What there is less of (architectures, generators, seeds, meta-steps) fits it into ten
minutes of a GPU; all else, as the optimiser, is as the benchmark has it on a small machine.
"""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

from nasgtn.configuration import environment, pick_device

ROOT = Path(__file__).resolve().parents[1]
DATA = "../shared/data"  # from the root of the project, where `nasgtn` runs
FREE = "params,flops,synflow,naswot,jacob_cov,grad_norm"
ANCHORS = ("--generators", 3, "--set", "anchors.n=24")
CIFAR = ("--dataset", f"{DATA}/cifar10_20k.npz")
OURS = "gtn,ensemble,fused,calibrated"
FITTING = (  # anchors are ordered by how well a learner fits the last synthetic batches
    *("--set", "gtn.meta_training.rank_score=late_training_loss"),
    *("--set", "gtn.meta_training.rank_weight=1", "--set", "gtn.meta_training.anchor_share=1"),
    *("--set", "gtn.meta_training.learning_rate=0.002"),
    *("--set", "gtn.meta_training.probe_every=8", "--set", "gtn.meta_training.save_every=30"),
)

MUON = ("--set", "gtn.choose_optimiser=false")
ADAM = (
    *("--set", "gtn.inner_loop.optimiser=adam", "--set", "gtn.inner_loop.learning_rate=0.02"),
    *("--set", "gtn.inner_loop.momentum=0.7"),
)
TOP = ("--best-tenth", 100)
A_BATCH_A_STEP = ("--set", "gtn.curriculum.n_batches=0", *MUON)
CHARGE = ("--set", "truth.seconds=7200")  # stated rate: two hours a training in a table
CELLS = (
    *(*CIFAR, "--space", "nasbench201", "--architectures", 200),
    *("--set", f"truth.table={DATA}/nasbench201_cifar10.csv.gz:cifar10_test_200ep", *CHARGE),
    *(*ANCHORS, *FITTING, "--set", "space.options.channels=16", "--set", "gtn.image_size=8"),
)
BENCHMARKS: dict[str, tuple[object, ...]] = {
    "digits_convnet": (
        *("--dataset", "digits", "--space", "convnet", "--architectures", 96),
        *("--estimators", f"{OURS},real:16,real:64,{FREE}", "--truth-seeds", 3),
        *(*ANCHORS, "--set", "gtn.meta_training.n_meta_steps=600", *A_BATCH_A_STEP),
    ),
    "fashion_convnet": (
        *("--dataset", f"{DATA}/fashion_mnist.npz", "--space", "convnet", "--architectures", 64),
        *("--estimators", f"{OURS},real:32,real:128,{FREE}", "--truth-seeds", 2),
        *(*ANCHORS, "--set", "gtn.meta_training.n_meta_steps=300"),
        *("--set", "gtn.curriculum.n_steps=32", *A_BATCH_A_STEP),
    ),
    "nasbench201": (
        *(*CELLS, *ADAM, *TOP),
        *("--set", "space.options.n_cells=2", "--set", "gtn.space_options.n_cells=3"),
        *("--estimators", f"{OURS},real:16/1@0.02,real:16@0.02,{FREE}"),
        *("--set", "gtn.curriculum.n_steps=16", "--set", "proxy.n_seeds=2"),
        *("--set", "gtn.curriculum.n_batches=1", "--set", "gtn.curriculum.batch_size=256"),
        *("--set", "gtn.meta_training.rank_weight=1000"),  # the order, and nothing else
        *("--set", "gtn.meta_training.n_meta_steps=10", "--set", "gtn.meta_training.save_every=5"),
        *("--set", "gtn.meta_training.learning_rate=0.001"),
    ),
    "nasbench201_one_cell": (  # the same cells until 2026-11-26
        *(*CELLS, *A_BATCH_A_STEP, "--set", "space.options.n_cells=1"),
        *("--estimators", f"{OURS},real:32@0.05,real:32/1@0.05,real:64@0.05,{FREE}"),
        *("--set", "gtn.curriculum.n_steps=32", "--set", "proxy.n_seeds=3"),
        *("--set", "gtn.meta_training.n_meta_steps=120"),
    ),
    "nasbench_macro": (
        *(*CIFAR, "--space", "nasbench_macro", "--architectures", 100, *TOP),
        *("--set", f"truth.table={DATA}/nasbench_macro_cifar10.csv.gz:test_acc_mean", *CHARGE),
        *("--estimators", f"{OURS},real:8/1@0.0025,real:16@0.025,real:64@0.05,{FREE}"),
        *(*ANCHORS, *FITTING),
        *("--set", "space.options.channels=8", "--set", "gtn.image_size=16"),
        *("--set", "gtn.curriculum.n_steps=8", "--set", "gtn.curriculum.n_batches=1"),
        *(*MUON, "--set", "gtn.inner_loop.learning_rate=0.0025"),  # one batch, memorised slowly
        *("--set", "gtn.meta_training.n_meta_steps=60", "--set", "proxy.n_seeds=2"),
    ),
}

PUBLISHED = (  # batches of arXiv 1912.07768, a new one each step, of whole images
    *("--estimators", f"gtn,real:128@0.02,{FREE},fused,calibrated"),
    *("--architectures", 64, "--best-tenth", 0, "--generators", 1),
    *("--set", "gtn.meta_training.n_meta_steps=8", "--set", "gtn.meta_training.save_every=4"),
    *("--set", "proxy.n_seeds=1", "--set", "gtn.choose_optimiser=false"),
    *("--set", "gtn.curriculum.n_steps=128", "--set", "gtn.curriculum.batch_size=128"),
    *("--set", "gtn.curriculum.n_batches=0", "--set", "gtn.meta_training.checkpointed=true"),
    *("--set", "space.options={}", "--set", "gtn.space_options={}", "--set", "gtn.image_size=0"),
    *("--set", "proxy.bf16=true", "--set", "gtn.meta_training.bf16=true"),
)


def main() -> None:
    """Run `nasgtn compare` with the options of the benchmark, and write its rows as a table."""
    name, *more = sys.argv[1:]
    folder = ROOT / "results" / "benchmarks" / name
    sizes: tuple[object, ...] = ()
    if "--published" in more:
        more.remove("--published")
        device = environment(pick_device("auto"))["device"]
        folder = folder.with_name(f"{name}_published_{device.replace(' ', '-')}")
        sizes = PUBLISHED
    options = [*BENCHMARKS[name], *sizes, "--out", folder / "truth.jsonl", "--json", *more]
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
        values = "  ".join(f"{math.nan if row[c] is None else row[c]:6.3f}" for c in columns)
        print(f"{row['estimator']:36} {values}  {row['spearman_interval']}")  # noqa: T201


if __name__ == "__main__":
    main()
