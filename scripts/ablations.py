"""Change one setting of the default search at a time, and see how the proxy's order changes.

    python scripts/ablations.py                                   # all that is missing
    python scripts/ablations.py digits_convnet default Adam       # these settings alone

There are two groups: `default` and what differs from it in one setting, and `a batch a step` (16
different batches for 16 steps) with what depends on that; rows of the latter with other changes
were measured when it was the default. Each row is `nasgtn compare` with three generators on the
same architectures, truth and anchors, with the same seeds. Rows are kept in
results/ablations/rows.jsonl and not measured again; table.csv beside it has them in order: medians
over the generators, and each one's value; `differences` are Spearman less that of the group's
first setting, generator by generator. table.md is the same, to be read. Generators lie in
results/ablations/BENCHMARK/, out of git; a row that was stopped goes on there.
"""

import csv
import json
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
FOLDER = RESULTS / "ablations"
ROWS = FOLDER / "rows.jsonl"
FASHION = "../shared/data/fashion_mnist.npz"
BENCHMARKS: dict[str, tuple[object, ...]] = {
    "digits_convnet": (
        *("--dataset", "digits", "--space", "convnet", "--architectures", 96),
        *("--truth-seeds", 3, "--set", "gtn.choose_optimiser=false"),
    ),
    "fashion_mlp": (
        *("--dataset", FASHION, "--space", "mlp", "--architectures", 64, "--truth-seeds", 2),
        *("--set", "data.image_size=14", "--set", "data.max_images=2000"),
        *("--set", "gtn.choose_optimiser=false"),
    ),
}
"""What the truth depends on; its evaluations are kept in results/benchmarks/NAME/."""
CURRICULUM, META, INNER = "gtn.curriculum", "gtn.meta_training", "gtn.inner_loop"
NORMALISED = {"digits_convnet": ("batch", "group"), "fashion_mlp": ("batch", "layer")}
FAMILIES = "FAMILIES"
"""Stands for those of normalised networks, which depend on the benchmark."""
ORDERS = ("spearman", "best_half", "best_tenth")
OTHERS = ("kendall", "accuracy", "n_failed", "seconds_per_candidate", "preparation_seconds")
DEFAULT, A_BATCH_A_STEP = "default", "a batch a step"
GROUPS = {DEFAULT: (), A_BATCH_A_STEP: (f"{CURRICULUM}.n_batches=0",)}
CHANGES: dict[str, tuple[str, ...]] = {
    "no warm start": ("gtn.warm_start.n_steps=0",),
    "no meta-training": (f"{META}.n_meta_steps=0",),
    "no rank term": (f"{META}.rank_weight=0",),
    "rank term of weight 1": (f"{META}.rank_weight=1",),
    "anchors ordered by late training loss": (f"{META}.rank_score=late_training_loss",),
    "Adam": (f"{INNER}.optimiser=adam", f"{INNER}.learning_rate=0.02", f"{INNER}.momentum=0.7"),
    "optimiser chosen by anchors": ("gtn.choose_optimiser=true",),
    "SGD": (
        *(f"{INNER}.optimiser=sgd", f"{INNER}.relative=false"),
        *(f"{INNER}.learning_rate=0.1", f"{INNER}.momentum=0.5"),
    ),
    "pixels": (f"{CURRICULUM}.variant=pixels", f"{META}.learning_rate=0.01"),
    "real images": (f"{CURRICULUM}.variant=real",),
    "no curriculum": (f"{CURRICULUM}.variant=none",),
    "all shuffled": (f"{CURRICULUM}.variant=all_shuffled",),
    "batches shuffled": (f"{CURRICULUM}.variant=batches_shuffled",),
    "no intermediate losses": (f"{META}.probe_every=16",),
    "a loss after every step": (f"{META}.probe_every=1",),
    "learners without normalisation alone": (f"{META}.hold_out={FAMILIES}",),
    "soft labels": (f"{CURRICULUM}.soft_labels=true",),
    "rates start falling": (f"{CURRICULUM}.last_rate=0.25", f"{INNER}.learning_rate=0.08"),
    "rates are not learned": (f"{CURRICULUM}.learned_settings=false",),
    "longer warm start": ("gtn.warm_start.n_steps=1200",),
    "300 meta-steps": (f"{META}.n_meta_steps=300",),
    "2 proxy seeds": ("proxy.n_seeds=2",),
    "4 proxy seeds": ("proxy.n_seeds=4",),
    "8 steps": (f"{CURRICULUM}.n_steps=8",),
    "32 steps": (f"{CURRICULUM}.n_steps=32",),
    "2 batches in turn": (f"{CURRICULUM}.n_batches=2",),
    "4 batches in turn": (f"{CURRICULUM}.n_batches=4",),
    "batch of 32": (f"{CURRICULUM}.batch_size=32",),
    "batch of 128": (f"{CURRICULUM}.batch_size=128",),
    "batch of 256": (f"{CURRICULUM}.batch_size=256",),
    "learning rate 0.01": (f"{INNER}.learning_rate=0.01",),
    "learning rate 0.02": (f"{INNER}.learning_rate=0.02",),
    "learning rate 0.1": (f"{INNER}.learning_rate=0.1",),
}
SHUFFLED = ("all shuffled", "batches shuffled")
"""One batch has nothing to shuffle."""
A_BATCH_EACH = ("no warm start", "no meta-training", "no curriculum", *SHUFFLED)
"""What is measured with a batch a step too."""
SETTINGS: dict[str, tuple[str, ...]] = {
    **GROUPS,
    **{name: changes for name, changes in CHANGES.items() if name not in SHUFFLED},
    **{
        f"{A_BATCH_A_STEP}, {name}": (*GROUPS[A_BATCH_A_STEP], *CHANGES[name])
        for name in A_BATCH_EACH
    },
}


def main() -> None:
    """Run what is missing, a setting on all benchmarks before the next one; then the table."""
    unknown = {*sys.argv[1:]}.difference(BENCHMARKS, SETTINGS)
    if unknown:
        sys.exit(f"there are the names {', '.join((*BENCHMARKS, *SETTINGS))}, got {unknown}")
    benchmarks = [name for name in BENCHMARKS if name in sys.argv] or list(BENCHMARKS)
    settings = [name for name in SETTINGS if name in sys.argv] or list(SETTINGS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    ROWS.touch()
    for setting, benchmark in product(settings, benchmarks):
        rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
        if (benchmark, setting) not in [(row["benchmark"], row["setting"]) for row in rows]:
            row = {"benchmark": benchmark, "setting": setting, **measure(benchmark, setting)}
            with ROWS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            write_table([*rows, row])


def measure(benchmark: str, setting: str) -> dict[str, object]:
    """Compare three generators with the truth; take the medians, and keep each one's value."""
    folder, kept = FOLDER / benchmark, RESULTS / "benchmarks" / benchmark
    if kept.exists() and not folder.exists():
        shutil.copytree(kept, folder)
    families = json.dumps([f"normalisation={value}" for value in NORMALISED[benchmark]])
    changes = [change.replace(FAMILIES, families) for change in SETTINGS[setting]]
    options = [
        *(*BENCHMARKS[benchmark], "--estimators", "gtn", "--generators", 3, "--json"),
        *("--out", folder / "truth.jsonl", *(word for one in changes for word in ("--set", one))),
    ]
    command = [sys.executable, "-m", "nasgtn", "compare", *map(str, options)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    kept.mkdir(exist_ok=True)
    for name in ("truth.jsonl", "truth.jsonl.settings.json"):
        shutil.copy(folder / name, kept / name)
    rows = json.loads(found.stdout)["estimators"]
    middle = sorted(rows, key=lambda row: row["spearman"])[len(rows) // 2]
    return {
        "n": middle["n"],
        **{name: median(row[name] for row in rows) for name in (*ORDERS, *OTHERS)},
        **{f"{name}_interval": middle[f"{name}_interval"] for name in ORDERS},
        **{f"{name}_of_each": [row[name] for row in rows] for name in ORDERS},
        "changes": " ".join(changes),
    }


def write_table(rows: list[dict[str, Any]]) -> None:
    """Write the rows, the best order first, with their differences from the first of its group."""
    firsts = {(row["benchmark"], row["setting"]): row for row in rows if row["setting"] in GROUPS}
    for row in rows:
        row["group"] = A_BATCH_A_STEP if row["setting"].startswith(A_BATCH_A_STEP) else DEFAULT
        first = firsts.get((row["benchmark"], row["group"]), row)[f"{ORDERS[0]}_of_each"]
        pairs = zip(row[f"{ORDERS[0]}_of_each"], first, strict=True)
        row["differences"] = [round(one - other, 4) for one, other in pairs]
    rows.sort(key=lambda row: (row["benchmark"], row["group"], -row["spearman"]))
    with (FOLDER / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    tables = [markdown([row for row in rows if row["group"] == group]) for group in GROUPS]
    (FOLDER / "table.md").write_text("\n".join(tables), encoding="utf-8")


def markdown(rows: list[dict[str, Any]]) -> str:
    """Write one group with a line a setting, in the order of the first benchmark."""
    columns = ("setting", *(f"{name} | difference | best half" for name in BENCHMARKS))
    lines = [f"| {' | '.join(columns)} |", "|---" * (1 + 3 * len(BENCHMARKS)) + "|"]
    found = {(row["benchmark"], row["setting"]): row for row in rows}
    for setting in dict.fromkeys(row["setting"] for row in rows):
        name = f"**{setting}**" if setting in GROUPS else setting
        name = name.removeprefix(f"{A_BATCH_A_STEP}, ")
        cells = [cell for one in BENCHMARKS for cell in cells_of(found.get((one, setting)))]
        lines.append(f"| {' | '.join((name, *cells))} |")
    return "\n".join(lines) + "\n"


def cells_of(row: dict[str, Any] | None) -> tuple[str, str, str]:
    """Write the median and each generator's Spearman, the differences, and the best half."""
    if row is None:
        return "", "", ""
    each = ", ".join(f"{one:.2f}" for one in row["spearman_of_each"])
    differences = ", ".join(f"{one:+.2f}" for one in row["differences"])
    return (
        f"{row['spearman']:.2f} ({each})",
        "" if row["setting"] in GROUPS else differences,
        f"{row['best_half']:.2f}",
    )


if __name__ == "__main__":
    main()
