"""A whole search against Optuna's own one on short real training: what each finds, for what cost.

True accuracies come from a table, so that what was missed is known.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from nasgtn.artefacts import (
    ANCHORS,
    BASELINES,
    CONFIG,
    CONTROL,
    GENERATOR_CONFIG,
    PROXY,
    VERIFICATION,
    write_text,
)
from nasgtn.comparison import ComparisonConfig, Estimator, check_settings, compare, make_estimator
from nasgtn.configuration import RunConfig
from nasgtn.errors import InvalidConfigError
from nasgtn.evaluation import ChargedTable, Evaluator
from nasgtn.facts import read_toml
from nasgtn.pipeline import resume, run_search
from nasgtn.preparation import Run, begin, disk_errors, load, locked, prepare
from nasgtn.progress import Progress, silent, within
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation, read_records
from nasgtn.report.regret import render_regret
from nasgtn.search import Problem, best_candidates, search
from nasgtn.verification import Chosen, verify_chosen

NASGTN, RIVAL = "nasgtn", "tpe + hyperband"
"""Names of the two methods."""
TUNING = "tuning.jsonl"


@dataclass(frozen=True, kw_only=True)
class RivalConfig:
    """Optuna's TPE with its Hyperband pruner, on short real training of the same networks."""

    trials: int = 200
    rungs: tuple[int, ...] = (64, 128, 256, 512)
    """Real steps after which Hyperband may stop a training; the last of them ends it."""
    tuned_on: int = 24
    """Random architectures on which its learning rate and its score are chosen, by the agreement
    with the truth: in its favour, and neither their trainings nor their true accuracies count."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a method knew after one of its true accuracies."""

    method: str
    seed: int
    n_verified: int
    """True accuracies so far, those of anchors included."""
    seconds: float
    """Everything that was spent so far, charges included."""
    charged: float
    """The part of it that trainings of the table are charged."""
    regret: float
    """Best accuracy of the table less the best of those that are known."""


def benchmark_search(
    config: RunConfig,
    rival: RivalConfig,
    seeds: Sequence[int],
    folder: Path,
    *,
    progress: Progress = silent,
) -> list[Found]:
    """Run both methods with each seed, and write `regret.csv` and `regret.html`.

    Both end with as many true accuracies: the rival verifies as many architectures as the other
    knows in the end, anchors included. What a stopped benchmark left is gone on with.

    Args:
        config: Of the search; its seed is replaced.
        rival: The other method.
        seeds: One pair of runs each.
        folder: Gets a folder of each run, and the two files.
        progress: Told by every stage.

    Raises:
        InvalidConfigError: The configuration has no truth table.
        ArtefactError: What the folder holds was measured with other settings.
    """
    if config.truth.table is None:
        raise InvalidConfigError("a search benchmark needs truth.table, got none")
    check_settings(folder / TUNING, {"search": asdict(config), "rival": asdict(rival)})
    tuned = _tuned(config, rival, folder, progress)
    found: list[Found] = []
    for seed in seeds:
        seeded = replace(config, seed=seed)
        own, other = (folder / f"{name}-{seed}" for name in ("nasgtn", "rival"))
        resume(own, progress=progress) if own.exists() else run_search(
            seeded, own, progress=progress
        )
        known = {one.architecture_id for one in _verified(own)}
        truth = _search_by_real_steps(
            seeded, rival, tuned, other, n_verified=len(known), progress=within("rival", progress)
        )
        found += follow(NASGTN, seed, own, truth.best) + follow(RIVAL, seed, other, truth.best)
        rows = io.StringIO()
        writer = csv.DictWriter(rows, [field.name for field in fields(Found)])
        writer.writeheader()
        writer.writerows(asdict(one) for one in found)
        write_text(folder / "regret.csv", rows.getvalue())
        write_text(folder / "regret.html", render_regret(rows.getvalue()))
    return found


def follow(method: str, seed: int, folder: Path, best: float) -> list[Found]:
    """Tell, after each true accuracy of a run, what was spent and how much is missing to `best`.

    Short real training that judges the proxy in a report is no part of a search, and not counted.
    """
    anchors = read_records(folder / ANCHORS)
    generator = folder / GENERATOR_CONFIG
    before = float(read_toml(generator)["seconds"]) if generator.exists() else 0.0
    scored = [one for name in (PROXY, CONTROL) for one in read_records(folder / name)]
    twice = {(one.evaluator, one.architecture_id) for one in scored}
    beside = [
        one
        for one in read_records(folder / BASELINES)
        if not one.evaluator.startswith(("real:", "fused", "calib"))
        and (one.evaluator, one.architecture_id) not in twice
    ]
    before += sum(one.seconds for one in (*scored, *beside))
    known = {one.architecture_id for one in anchors}
    new = [one for one in _verified(folder) if one.architecture_id not in known]
    rows: list[Found] = []
    charged, highest = 0.0, 0.0
    for spent, one in [*((0.0, one) for one in anchors), *((before, one) for one in new)]:
        charged += one.seconds
        highest = max(highest, one.score or 0.0)
        rows.append(
            Found(
                method=method,
                seed=seed,
                n_verified=len(rows) + 1,
                seconds=spent + charged,
                charged=charged,
                regret=best - highest,
            )
        )
    return rows


def _verified(folder: Path) -> list[Evaluation]:
    return [one for name in (ANCHORS, VERIFICATION) for one in read_records(folder / name)]


def _tuned(
    config: RunConfig, rival: RivalConfig, folder: Path, progress: Progress
) -> tuple[str, str]:
    """Find the learning rate and the score by which the rival agrees best with the truth."""
    run = prepare(config, folder)
    folder.mkdir(parents=True, exist_ok=True)
    estimator = _real(run, rival)
    seed = derive_seed(config.seed, "tuning")
    compared = compare(
        [estimator],
        run.truth,
        run.space.sample_distinct(rival.tuned_on, seed, run.splits.task),
        ComparisonConfig(seed=seed, records=folder / TUNING),
        progress=within("tuning", progress),
    )
    rate, _, metric = (compared.estimators[0].setting or "").partition(", ")
    return rate.removeprefix("learning rate "), metric.replace(" ", "_")


def _real(run: Run, rival: RivalConfig, tuned: tuple[str, str] | None = None) -> Estimator:
    """Make short real training with the rival's rungs; if not tuned, in all its settings."""
    rate, metric = tuned or (None, None)
    name = f"real:{rival.rungs[-1]}" + (f"@{rate}" if rate else "")
    probing = replace(run.config.proxy, n_steps=None, n_probes=1, rungs=rival.rungs, metric=metric)
    return make_estimator(name, run.space, run.splits, probing, gtn=run.config.gtn)


def _search_by_real_steps(
    config: RunConfig,
    rival: RivalConfig,
    tuned: tuple[str, str],
    folder: Path,
    *,
    n_verified: int,
    progress: Progress,
) -> ChargedTable:
    """Search as the rival does, and verify its best; return what told their accuracies."""
    settings = replace(
        config.search, sampler="tpe", trials=rival.trials, prune=True, pruner="hyperband"
    )
    run = load(folder) if (folder / CONFIG).exists() else begin(config, folder)
    assert isinstance(run.truth, ChargedTable)
    (evaluator,) = _real(run, rival, tuned).settings.values()
    with disk_errors(folder), locked(folder):
        search(_problem(run, evaluator, rival), settings, run.place, progress=progress)
        best = _best(read_records(folder / PROXY), n_verified)
        chosen = Chosen(candidates=best, control=())
        verify_chosen(run.truth, run.space, chosen, folder, (config.seed,), progress=progress)
    return run.truth


def _best(records: Sequence[Evaluation], n: int) -> list[Evaluation]:
    """Choose the best `n`: those that were trained to the end before the others."""
    whole = best_candidates(records, n)
    ids = {one.architecture_id for one in whole}
    cut = [one for one in records if one.score is not None and one.architecture_id not in ids]
    cut.sort(key=lambda one: (-one.curve[-1][0], -(one.score or 0.0)))
    return [*whole, *cut][:n]


def _problem(run: Run, evaluator: Evaluator, rival: RivalConfig) -> Problem:
    return Problem(
        space=run.space,
        task=run.splits.task,
        evaluator=evaluator,
        records=run.folder / PROXY,
        seed=run.config.seed,
        device=run.device,
        rungs=rival.rungs,
    )
