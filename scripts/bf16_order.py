"""Measure what bfloat16 changes in the order of the kept generators' proxies, and in their time.

    python scripts/bf16_order.py                  # the four benchmarks
    python scripts/bf16_order.py nasbench_macro   # this one

The first 64 networks of benchmark_ranking.py are scored as there, in bfloat16, and in float32 from
other initial weights: what those change in the order is the noise that there is anyway. On a GPU
where there is one. Records are kept in results/benchmarks/bf16/, those of each device apart, and
not made again; table.csv has a row a generator.
"""

import json
import sys
from contextlib import chdir
from pathlib import Path
from statistics import fmean

import pandas as pd

from nasgtn.configuration import environment, pick_device
from nasgtn.data import DataConfig, load_splits
from nasgtn.estimates import mean_scores
from nasgtn.evaluation import Named, evaluate
from nasgtn.evaluation.proxy import GtnProxy, ProxyConfig
from nasgtn.gtn import load_generator
from nasgtn.ranking import spearman
from nasgtn.records import Evaluation, append_record, read_records
from nasgtn.spaces import find_space

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "results" / "benchmarks"
OUT = BENCHMARKS / "bf16"
NAMES = ("digits_convnet", "fashion_convnet", "nasbench201", "nasbench_macro")
GENERATORS = (".generator", ".generator-1", ".generator-2")
N_NETWORKS = 64
EXACT, ROUNDED, OTHER = "float32", "bfloat16", "float32, other weights"
"""How a network is scored: twice from the same initial weights, and once from others."""


def score(name: str, number: int) -> dict[str, object]:
    """Score the networks of a benchmark with one generator in all ways, and sum them up."""
    device = pick_device("auto")
    folder = BENCHMARKS / name
    (settings_file,) = folder.glob("truth.?*.jsonl.settings.json")
    settings = json.loads(settings_file.read_text(encoding="utf-8"))
    truth = mean_scores(read_records(folder / "truth.jsonl"))
    measured = read_records(folder / settings_file.name.removesuffix(".settings.json"))
    networks = [
        one
        for one in measured
        if one.evaluator == f"gtn, generator {number}" and one.architecture_id in truth
    ][:N_NETWORKS]

    splits = load_splits(DataConfig(**settings["data"]), seed=settings["seed"])
    space = find_space(settings["space"]["name"], settings["space"]["options"])
    (generator,) = folder.glob(f"*{GENERATORS[number]}")
    trained = load_generator(generator, task=splits.task, device=device)
    proxies = {
        way: GtnProxy.of(
            trained,
            space,
            splits.to(device),
            ProxyConfig(n_seeds=settings["proxy"]["n_seeds"], bf16=way == ROUNDED),
        )
        for way in (EXACT, ROUNDED, OTHER)
    }

    path = OUT / f"{name}-{number}.{device.type}.jsonl"
    known = {(one.evaluator, one.architecture_id): one for one in read_records(path)}
    for one in networks:
        for way, proxy in proxies.items():
            if (way, one.architecture_id) not in known:
                seed = one.seed + (way == OTHER)
                record = evaluate(Named(way, proxy), space.architecture(one.choices), seed=seed)
                known[way, one.architecture_id] = record
                append_record(path, record)
    ids = [one.architecture_id for one in networks]
    found = {way: [known[way, name] for name in ids] for way in proxies}
    return {
        "benchmark": name,
        "generator": number,
        "device": environment(device)["device"],
        "n": len(ids),
        **facts(found, [truth[name] for name in ids]),
    }


def facts(found: dict[str, list[Evaluation]], truth: list[float]) -> dict[str, object]:
    """Compare the orders with each other and with the truth; a network without a score is last."""
    scores = {
        way: [float("-inf") if one.score is None else one.score for one in records]
        for way, records in found.items()
    }
    return {
        "rounded_to_exact": spearman(scores[ROUNDED], scores[EXACT]),
        "other_to_exact": spearman(scores[OTHER], scores[EXACT]),
        **{f"{way}: to truth": spearman(values, truth) for way, values in scores.items()},
        **{
            f"{way}: seconds": fmean(one.seconds for one in found[way]) for way in (EXACT, ROUNDED)
        },
    }


def main() -> None:
    """Score what is named, everything where nothing is; write and say a row a generator."""
    OUT.mkdir(parents=True, exist_ok=True)
    table = OUT / "table.csv"
    for name in sys.argv[1:] or NAMES:
        for number in range(len(GENERATORS)):
            with chdir(ROOT):
                row = score(name, number)
            print(row, flush=True)  # noqa: T201
            rows = pd.read_csv(table) if table.exists() else pd.DataFrame()
            rows = pd.concat([rows, pd.DataFrame([row])])
            key = ["benchmark", "generator", "device"]
            rows.drop_duplicates(key, keep="last").sort_values(key).to_csv(table, index=False)


if __name__ == "__main__":
    main()
