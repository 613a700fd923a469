"""How well the proxy orders 48 random convnets on digits, and what real data do in as many steps.

The truth (test accuracy after full training, mean of three seeds) and all evaluations are kept in
`results/benchmarks/`; delete the folder there to measure anew. The architectures were drawn after
the defaults had been chosen, on others.
"""

import csv
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from nasgtn.comparison import (
    RATES,
    ComparisonConfig,
    Estimator,
    check_settings,
    compare,
    make_estimator,
    measure_costs,
)
from nasgtn.data import DataConfig, load_splits
from nasgtn.evaluation import TrainedTruth
from nasgtn.evaluation.proxy import GtnProxy, ProxyConfig
from nasgtn.gtn import GtnConfig, TrainedGenerator, load_generator, train_generator
from nasgtn.randomness import derive_seed
from nasgtn.spaces import find_space
from nasgtn.training import TrainingConfig

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

FOLDER = Path(__file__).parents[2] / "results" / "benchmarks" / "digits_convnet"
N_ARCHITECTURES, TRUTH_SEEDS, SEED = 48, 3, 0
GENERATOR_SEEDS = (0, 1, 2)
OTHERS = ("params", "flops", "synflow", "naswot", "grad_norm")


def trained(seed: int, progress: Callable[..., None]) -> TrainedGenerator:
    """Train a generator with default settings, or take the one that is kept."""
    folder, splits = FOLDER / f"generator-{seed}", load_splits(DataConfig(), seed=SEED)
    if folder.exists():
        return load_generator(folder, task=splits.task)
    folder.mkdir(parents=True)
    space = find_space("convnet")
    return train_generator(space, splits, GtnConfig(), seed=seed, folder=folder, progress=progress)


def test_order_of_convnets_on_digits(
    report_line: Callable[[str], None], progress: Callable[..., None]
) -> None:
    splits, space = load_splits(DataConfig(), seed=SEED), find_space("convnet")
    records = FOLDER / "records.jsonl"
    settings = {
        "data": asdict(DataConfig()),
        "training": asdict(TrainingConfig()),
        "gtn": asdict(GtnConfig()),
        "proxy": asdict(ProxyConfig()),
    }
    check_settings(records, settings)
    generators = {seed: trained(seed, progress) for seed in GENERATOR_SEEDS}
    estimators: list[Estimator] = []
    for seed, generator in generators.items():
        proxy = GtnProxy(
            space,
            splits.task,
            generator.synthesise(),
            splits.validation,
            ProxyConfig(),
            generator.config.inner_loop,
        )
        proxy.name = f"gtn, generator {seed}"
        estimators.append(Estimator.of(proxy, preparation_seconds=generator.seconds))
    names = [*(f"real:16@{rate:g}" for rate in RATES), *OTHERS]
    estimators += [
        make_estimator(name, space, splits, ProxyConfig(), gtn=GtnConfig()) for name in names
    ]
    architectures = space.sample_distinct(
        N_ARCHITECTURES, derive_seed(SEED, "comparison"), splits.task
    )
    comparison = compare(
        estimators,
        TrainedTruth(space, splits, TrainingConfig(), device=torch.device("cpu")),
        architectures,
        ComparisonConfig(seed=SEED, truth_seeds=TRUTH_SEEDS, records=records),
        costs=measure_costs(space, splits.task, architectures),
        progress=progress,
    )
    rows = [estimate.flat() for estimate in comparison.estimators]
    with (FOLDER / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    report_line(
        f"{N_ARCHITECTURES} convnets on digits, truth: full training, {TRUTH_SEEDS} seeds, "
        f"{comparison.truth_seconds_per_candidate:.1f} s a candidate"
    )
    for one in comparison.estimators:
        found = one.agreement
        low, high = found.spearman_interval or (float("nan"), float("nan"))
        report_line(
            f"{one.name:18} Spearman {found.spearman or 0:.3f} [{low:.2f}, {high:.2f}]  "
            f"best half {found.best_half or 0:.2f}  best tenth {found.best_tenth or 0:.2f}  "
            f"{one.seconds_per_candidate or 0:.3f} s a candidate, "
            f"{one.preparation_seconds:.0f} s before"
        )
