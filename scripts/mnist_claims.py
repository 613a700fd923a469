"""Measure the claims of the original (arXiv 1912.07768) on MNIST: 32 synthetic steps of 128.

    python scripts/mnist_claims.py                       # every row
    python scripts/mnist_claims.py full-0 real:128       # these alone

A row is a generator of one curriculum variant and seed, or real data for so many steps at the best
of `RATES` by validation accuracy; all with the settings of mnist_claims.toml. Rows are kept in
results/benchmarks/mnist/ and not measured again. Generators lie in results/mnist_generators/, out
of git, and go on where they were stopped; the last state of each counts. Test images are read
after that, for the accuracies that are reported.
"""

import csv
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nasgtn.cli.generators import kept_generator
from nasgtn.cli.progress import shown
from nasgtn.configuration import environment, pick_device, read_config
from nasgtn.data.sources import load_splits
from nasgtn.evaluation.lessons import Lesson, Rates, best_rates, give_lessons, real_lesson
from nasgtn.progress import Progress
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.spaces.catalogue import find_space

ROOT = Path(__file__).resolve().parents[1]
FOLDER, GENERATORS = ROOT / "results/benchmarks/mnist", ROOT / "results/mnist_generators"
DATA = {"name": str(ROOT.parent / "shared/data/mnist.npz")}
CONFIG = read_config(Path(__file__).with_suffix(".toml"), {"data": DATA})
SPACE = find_space(str(ROOT / CONFIG.space.name), CONFIG.space.options)
SPLITS = load_splits(CONFIG.data, seed=CONFIG.seed)
SMALL = SPLITS.shrunk(CONFIG.gtn.image_size)
VARIANTS = ("full", "none", "all_shuffled", "batches_shuffled")
ROWS = (
    *("full-0", "real:32", "none-0", "all_shuffled-0", "batches_shuffled-0", "pixels-0", "real-0"),
    *("real:64", "real:128", "real:256", "real:512"),
    *(f"{variant}-{seed}" for seed in (1, 2) for variant in VARIANTS),
)
RATES = (*(Rates(rate, falls=True) for rate in (0.05, 0.1, 0.2, 0.4)), Rates(0.05, falls=False))
NETWORKS = [derive_seed(CONFIG.seed, "networks", index) for index in range(32)]
TUNED_ON = [derive_seed(CONFIG.seed, "tuned on", index) for index in range(3)]


def main() -> None:
    """Measure the rows that are missing, then write the table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with shown() as progress:
        for name in sys.argv[1:] or ROWS:
            path = FOLDER / f"{name.replace(':', '-steps-')}.json"
            if not path.exists():
                path.write_text(json.dumps(measure(name, progress), indent=1) + "\n")
    rows = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    with (FOLDER / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def measure(name: str, progress: Progress) -> dict[str, object]:
    """Make the row of that name."""
    start = time.perf_counter()
    facts, lesson = real(name) if name.startswith("real:") else synthetic(name, progress)
    prepared = time.perf_counter() - start
    parts = {"validation": SMALL.validation, "test": SMALL.test}
    found = give_lessons(SPACE, SMALL.task, lesson, parts, seeds=NETWORKS)
    return {
        "taught_by": name,
        **facts,
        "preparation_seconds": prepared,
        "n_networks": len(NETWORKS),
        **found.flat(),
        **environment(pick_device(CONFIG.device)),
    }


def synthetic(name: str, progress: Progress) -> tuple[dict[str, object], Callable[[int], Lesson]]:
    """Train the generator; what its curriculum leaves to chance is drawn anew for each network."""
    variant, _, seed = name.rpartition("-")
    gtn = replace(CONFIG.gtn, curriculum=replace(CONFIG.gtn.curriculum, variant=variant))
    config = replace(CONFIG, seed=int(seed), gtn=gtn)
    trained = kept_generator(config, SPACE, SPLITS, GENERATORS / name, progress=progress)
    facts = {"n_steps": gtn.curriculum.n_steps, "rates": "learned"}
    return facts, lambda seed: Lesson(trained.gtn.synthesise(torch_rng(seed)), gtn.inner_loop)


def real(name: str) -> tuple[dict[str, object], Callable[[int], Lesson]]:
    """Tune the learning rates on validation images, with networks that are not measured."""
    batches = int(name.removeprefix("real:")), CONFIG.gtn.curriculum.batch_size

    def lesson(rates: Rates, seed: int) -> Lesson:
        return real_lesson(SMALL, batches, rates, CONFIG.gtn.inner_loop, seed=seed)

    rates = best_rates(SPACE, SMALL, lesson, RATES, seeds=TUNED_ON)
    facts = {"n_steps": batches[0], "rates": f"{rates.first:g}{' falling' * rates.falls}"}
    return facts, lambda seed: lesson(rates, seed)


if __name__ == "__main__":
    main()
