"""Measure the claims of the original (arXiv 1912.07768) on MNIST: 32 synthetic steps of 128.

    python scripts/mnist_claims.py                                # every row
    python scripts/mnist_claims.py wide/full-0 wide/real:128      # these alone

A row is a generator of one curriculum variant and seed, or real data for so many steps at the best
of `RATES` by validation accuracy; on wide learners, or on narrow ones, where more rows are
affordable. Settings are those of mnist_claims.toml and `FAMILIES`. Rows are kept in
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
from nasgtn.configuration import RunConfig, environment, pick_device, read_config
from nasgtn.data.sources import load_splits
from nasgtn.evaluation.lessons import Lesson, Rates, best_rates, give_lessons, real_lesson
from nasgtn.progress import Progress
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.spaces import SearchSpace
from nasgtn.spaces.catalogue import find_space

ROOT = Path(__file__).resolve().parents[1]
FOLDER, GENERATORS = ROOT / "results/benchmarks/mnist", ROOT / "results/mnist_generators"
DATA = {"name": str(ROOT.parent / "shared/data/mnist.npz")}
CONFIG = read_config(Path(__file__).with_suffix(".toml"), {"data": DATA})
SPLITS = load_splits(CONFIG.data, seed=CONFIG.seed)
SMALL = SPLITS.shrunk(CONFIG.gtn.image_size)
FAMILIES = {"wide": (16, 200), "narrow": (8, 100), "long": (16, 600), "longer": (16, 1200)}
"""Width of the learners, and meta-steps: `long` and `longer` are `wide` for longer."""
META_RATES = {"pixels": 0.01}
"""Where images are learned as they are, a step of the generator's size would change nothing."""
ROWS = (
    *("wide/full-0", "wide/real:32", "narrow/full-0", "narrow/none-0", "narrow/all_shuffled-0"),
    *("narrow/batches_shuffled-0", "wide/real:64", "wide/real:128", "wide/real:256"),
    *("wide/full-1", "narrow/full-1", "narrow/none-1", "narrow/all_shuffled-1"),
    *("narrow/batches_shuffled-1", "narrow/pixels-0", "narrow/real-0", "narrow/real:32"),
    *("wide/real:512", "wide/full-2", "long/full-0", "longer/full-0"),
)
RATES = (
    *(Rates(rate, falls=True) for rate in (0.025, 0.05, 0.1, 0.2, 0.4)),
    Rates(0.05, falls=False),
)
NETWORKS = [derive_seed(CONFIG.seed, "networks", index) for index in range(16)]
Facts = dict[str, object]
TUNED_ON = [derive_seed(CONFIG.seed, "tuned on", index) for index in range(3)]


def main() -> None:
    """Measure the rows that are missing, then write the table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with shown() as progress:
        for name in sys.argv[1:] or ROWS:
            path = FOLDER / f"{name.replace('/', '-').replace(':', '-steps-')}.json"
            if not path.exists():
                path.write_text(json.dumps(measure(name, progress), indent=1) + "\n")
    rows = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    with (FOLDER / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def measure(name: str, progress: Progress) -> dict[str, object]:
    """Make the row of that name."""
    family, _, kind = name.partition("/")
    config, space = of_family(family)
    if kind.startswith("real:"):
        facts, lesson = real(config, space, int(kind.removeprefix("real:")))
    else:
        facts, lesson = synthetic(config, space, name, progress)
    parts = {"validation": SMALL.validation, "test": SMALL.test}
    found = give_lessons(space, SMALL.task, lesson, parts, seeds=NETWORKS)
    machine = environment(pick_device(CONFIG.device))
    return {
        "taught_by": name,
        **facts,
        "n_networks": len(NETWORKS),
        **found.flat(),
        **{name: machine[name] for name in ("device", "processor", "threads")},
    }


def of_family(name: str) -> tuple[RunConfig, SearchSpace]:
    """Set width of the learners and number of meta-steps."""
    width, n_meta_steps = FAMILIES[name]
    meta = replace(CONFIG.gtn.meta_training, n_meta_steps=n_meta_steps)
    config = replace(CONFIG, gtn=replace(CONFIG.gtn, meta_training=meta))
    return config, find_space(str(ROOT / CONFIG.space.name), {"width": width})


def synthetic(
    config: RunConfig, space: SearchSpace, name: str, progress: Progress
) -> tuple[Facts, Callable[[int], Lesson]]:
    """Train the generator; what its curriculum leaves to chance is drawn anew for each network."""
    variant, _, seed = name.partition("/")[2].rpartition("-")
    meta = config.gtn.meta_training
    gtn = replace(
        config.gtn,
        curriculum=replace(config.gtn.curriculum, variant=variant),
        meta_training=replace(meta, learning_rate=META_RATES.get(variant, meta.learning_rate)),
    )
    config = replace(config, seed=int(seed), gtn=gtn)
    trained = kept_generator(config, space, SPLITS, GENERATORS / name, progress=progress)
    facts = {
        "n_steps": gtn.curriculum.n_steps,
        "rates": "learned",
        "meta_steps": trained.meta_steps,
        "training_seconds": trained.seconds,
    }
    return facts, lambda seed: Lesson(trained.gtn.synthesise(torch_rng(seed)), gtn.inner_loop)


def real(
    config: RunConfig, space: SearchSpace, n_steps: int
) -> tuple[Facts, Callable[[int], Lesson]]:
    """Tune the learning rates on validation images, with networks that are not measured."""
    start = time.perf_counter()
    batches = n_steps, config.gtn.curriculum.batch_size

    def lesson(rates: Rates, seed: int) -> Lesson:
        return real_lesson(SMALL, batches, rates, config.gtn.inner_loop, seed=seed)

    rates = best_rates(space, SMALL, lesson, RATES, seeds=TUNED_ON)
    facts = {
        "n_steps": n_steps,
        "rates": f"{rates.first:g}{' falling' * rates.falls}",
        "meta_steps": 0,
        "training_seconds": time.perf_counter() - start,
    }
    return facts, lambda seed: lesson(rates, seed)


if __name__ == "__main__":
    main()
