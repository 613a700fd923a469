"""Measure what bfloat16 changes in the order of networks, and in the time of the kept proxies.

    python scripts/bf16_order.py                  # the four benchmarks
    python scripts/bf16_order.py nasbench_macro   # this one

The first 64 networks of benchmark_ranking.py are scored as there, in bfloat16, and in float32 from
other initial weights: what those change in the order is the noise that there is anyway. Where true
accuracies were trained, the first 24 networks are also trained in bfloat16, and stand beside the
first two trainings that are kept, whatever device those had. Runs on a GPU where there is one;
records are kept in results/benchmarks/bf16/, those of each device apart, and not made again;
table.csv has the rows.
"""

import json
import sys
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from nasgtn.cli.settings import TRAINED
from nasgtn.configuration import environment, pick_device
from nasgtn.data import DataConfig, Splits, load_splits
from nasgtn.estimates import mean_scores
from nasgtn.evaluation import KeptEvaluations, Named, TrainedTruth
from nasgtn.evaluation.proxy import GtnProxy, ProxyConfig
from nasgtn.gtn import load_generator
from nasgtn.ranking import spearman
from nasgtn.records import Evaluation, read_records
from nasgtn.spaces import SearchSpace, find_space
from nasgtn.training import TrainingConfig
from nasgtn.validation import validated

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "results" / "benchmarks"
OUT = BENCHMARKS / "bf16"
NAMES = ("digits_convnet", "fashion_convnet", "nasbench201", "nasbench_macro")
GENERATORS = {
    "gtn, generator 0": "generator",
    "gtn, generator 1": "generator-1",
    "gtn, generator 2": "generator-2",
}
N_SCORED, N_TRAINED = 64, 24
EXACT, ROUNDED, OTHER = "float32", "bfloat16", "float32, other weights"
"""How a network is scored: twice from the same initial weights, and once from others."""


Found = dict[str, list[Evaluation]]
Row = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What benchmark_ranking.py left of one."""

    name: str
    settings: dict[str, Any]
    truth: list[Evaluation]
    scores: list[Evaluation]
    splits: Splits
    space: SearchSpace

    @classmethod
    def read(cls, name: str) -> "Benchmark":
        """Read it, and load its images on the best device."""
        folder = BENCHMARKS / name
        (file,) = folder.glob("truth.?*.jsonl.settings.json")
        settings = json.loads(file.read_text(encoding="utf-8"))
        splits = load_splits(DataConfig(**settings["data"]), seed=settings["seed"])
        return cls(
            name=name,
            settings=settings,
            truth=read_records(folder / "truth.jsonl"),
            scores=read_records(file.with_name(file.name.removesuffix(".settings.json"))),
            splits=splits.to(pick_device("auto")),
            space=find_space(settings["space"]["name"], settings["space"]["options"]),
        )

    @property
    def device(self) -> str:
        """Name of the device."""
        return environment(self.splits.train.images.device)["device"]

    def kept(self, what: str) -> KeptEvaluations:
        """Open the records of something that was measured on this device."""
        return KeptEvaluations(OUT / f"{self.name}.{what}.{self.device.replace(' ', '-')}.jsonl")


def scored(benchmark: Benchmark, name: str) -> Row:
    """Score networks by one generator's proxy in all ways."""
    (folder,) = (BENCHMARKS / benchmark.name).glob(f"*.{GENERATORS[name]}")
    splits = benchmark.splits
    generator = load_generator(folder, task=splits.task, device=splits.train.images.device)
    settings = benchmark.settings["proxy"]
    proxies = {
        way: GtnProxy.of(
            generator,
            benchmark.space,
            splits,
            validated(ProxyConfig, {**settings, "bf16": way == ROUNDED}),
        )
        for way in (EXACT, ROUNDED, OTHER)
    }
    truth = mean_scores(benchmark.truth)
    networks = [
        one for one in benchmark.scores if one.evaluator == name and one.architecture_id in truth
    ][:N_SCORED]
    kept = benchmark.kept(folder.name)
    found: Found = {way: [] for way in proxies}
    for one in networks:
        network = benchmark.space.architecture(one.choices)
        for way, proxy in proxies.items():
            seed = one.seed + (way == OTHER)
            found[way].append(kept.evaluate(Named(way, proxy), network, seed))
    true = [truth[one.architecture_id] for one in networks]
    return {
        **orders(found),
        "exact_to_truth": spearman(scores_of(found[EXACT]), true),
        "rounded_to_truth": spearman(scores_of(found[ROUNDED]), true),
        "exact_seconds": fmean(one.seconds for one in found[EXACT]),
        "rounded_seconds": fmean(one.seconds for one in found[ROUNDED]),
    }


def trained(benchmark: Benchmark) -> Row:
    """Train networks in bfloat16, beside the first two trainings of each that are kept."""
    config = validated(TrainingConfig, {**benchmark.settings["training"], "bf16": True})
    splits = benchmark.splits
    truth = TrainedTruth(benchmark.space, splits, config, device=splits.train.images.device)
    trainings: Found = {}
    for one in benchmark.truth:
        trainings.setdefault(one.architecture_id, []).append(one)
    kept = benchmark.kept("training")
    found: Found = {EXACT: [], ROUNDED: [], OTHER: []}
    for exact, other, *_ in list(trainings.values())[:N_TRAINED]:
        found[EXACT].append(exact)
        found[OTHER].append(other)
        network = benchmark.space.architecture(exact.choices)
        found[ROUNDED].append(kept.evaluate(Named(ROUNDED, truth), network, exact.seed))
    return {
        **orders(found),
        "exact_accuracy": fmean(scores_of(found[EXACT])),
        "rounded_accuracy": fmean(scores_of(found[ROUNDED])),
    }


def orders(found: Found) -> Row:
    """Compare the orders with each other."""
    exact = scores_of(found[EXACT])
    return {
        "n": len(exact),
        "rounded_to_exact": spearman(scores_of(found[ROUNDED]), exact),
        "other_to_exact": spearman(scores_of(found[OTHER]), exact),
    }


def scores_of(records: list[Evaluation]) -> list[float]:
    """Take the scores; none of these networks fails."""
    return [one.score for one in records if one.score is not None]


def write(benchmark: Benchmark, what: str, row: Row) -> None:
    """Add a row to the table, in place of an older one of the same, and say it."""
    row = {"benchmark": benchmark.name, "what": what, "device": benchmark.device, **row}
    print(row, flush=True)  # noqa: T201
    table = OUT / "table.csv"
    rows = pd.read_csv(table) if table.exists() else pd.DataFrame()
    rows = pd.concat([rows, pd.DataFrame([row])])
    key = ["benchmark", "what", "device"]
    rows.drop_duplicates(key, keep="last").sort_values(key).to_csv(table, index=False)


def main() -> None:
    """Measure what is named, everything where nothing is."""
    OUT.mkdir(parents=True, exist_ok=True)
    with chdir(ROOT):
        for benchmark in map(Benchmark.read, sys.argv[1:] or NAMES):
            for name in GENERATORS:
                write(benchmark, name, scored(benchmark, name))
            if benchmark.settings["truth"] == TRAINED:
                write(benchmark, "training", trained(benchmark))


if __name__ == "__main__":
    main()
