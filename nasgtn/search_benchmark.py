"""A whole search against Optuna's own one on real training: what each finds, for what cost.

True accuracies come from a table, so that what was missed is known.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import pandas as pd

from nasgtn.artefacts import (
    ANCHORS,
    BASELINES,
    CONFIG,
    CONTROL,
    GENERATOR_CONFIG,
    JOURNAL,
    PROXY,
    SHORTLIST,
    STUDY,
    VERIFICATION,
    write_text,
)
from nasgtn.candidacy import Pool
from nasgtn.configuration import RunConfig, read_config
from nasgtn.errors import InvalidConfigError
from nasgtn.evaluation import (
    ChargedTable,
    Report,
    Scores,
    Truth,
    TruthConfig,
    check_settings,
    evaluate,
)
from nasgtn.facts import read_toml
from nasgtn.fusion import PARTS, Reference
from nasgtn.pipeline import resume, run_search
from nasgtn.preparation import Run, disk_errors, prepare
from nasgtn.progress import Progress, silent, within
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation, or_lowest, read_records
from nasgtn.report.regret import render_regret
from nasgtn.search import Problem, TrainingFree, best_candidates, search, study_place
from nasgtn.spaces import Architecture
from nasgtn.stages import N_REFERENCE, training_free
from nasgtn.status import beside

NASGTN = "nasgtn"
RIVALS = {"hyperband": "tpe + hyperband", "halving": "tpe + successive halving"}
"""Names of the methods: Optuna's sampler with each of these pruners."""
FREE = "training-free"
"""nasgtn without anchors, generator and proxy: the other scores, and a shortlist of as many."""
REGRET = "regret.csv"
N_TRAININGS = 2
"""Of an architecture that was trained to the end: a short one, and the rest."""


@dataclass(frozen=True, kw_only=True)
class RivalConfig:
    """Optuna's TPE with its pruners, on the trainings of the tables themselves.

    Each architecture has a short training first, and a full one after it is charged the rest.
    """

    epochs: tuple[int, int]
    """Of a short and of a full training: a pruner's resources."""
    trials: int = 400
    """Distinct architectures."""
    seeds: int = 8
    """Searches with each pruner: they take a minute, and much depends on luck."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a method knew after one of its true accuracies."""

    method: str
    seed: int
    n_verified: int
    """True accuracies so far; those of anchors are some if their trainings are no short ones."""
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
    """Run all methods, and write `regret.csv` and `regret.html`; go on with what was stopped.

    What is in `regret.csv` is not run again, so that seeds can be added without the old runs.

    Args:
        config: Of the search; its seed is replaced.
        rival: The other method.
        seeds: Of nasgtn's runs.
        folder: Gets a folder of each run, and the two files.
        progress: Told by every stage.

    Raises:
        InvalidConfigError: The configuration has no tables of full and short trainings, or
            charges short ones otherwise than by their epochs.
        ArtefactError: What the folder holds was measured with other settings.
    """
    _check_tables(config.truth, rival)
    check_settings(folder / REGRET, {"search": asdict(config), "rival": asdict(rival)})
    (folder / REGRET).touch()  # runs are kept from here on, so the settings must stay
    run = prepare(config, folder)
    found = _read(folder / REGRET)
    done = {(one.method, one.seed) for one in found}
    searches: list[tuple[str, int, Callable[[Progress], list[Found]]]] = [
        *(
            (RIVALS[pruner], seed, partial(_search_table, run, rival, pruner, seed))
            for pruner, seed in product(RIVALS, range(rival.seeds))
        ),
        *((FREE, seed, partial(_search_free, run, seed)) for seed in seeds),
        *((NASGTN, seed, partial(_search_nasgtn, run, seed)) for seed in seeds),
    ]
    for method, seed, search_once in searches:
        if (method, seed) not in done:
            found += search_once(within(method, progress))
            _write(folder, found)
    return found


def _check_tables(truth: TruthConfig, rival: RivalConfig) -> None:
    if truth.short is None:
        raise InvalidConfigError(
            "a search benchmark needs truth.table and truth.short_table, got one at most"
        )
    short, full = rival.epochs
    if not math.isclose(truth.short_share, short / full):
        raise InvalidConfigError(
            f"truth.short_share must be the part that {short} of {full} epochs are, got "
            f"{truth.short_share}"
        )


def _search_nasgtn(run: Run, seed: int, progress: Progress) -> list[Found]:
    own = run.folder / f"{NASGTN}-{seed}"
    if own.exists():
        resume(own, progress=progress)
    else:
        run_search(replace(run.config, seed=seed), own, progress=progress)
    return follow(seed, own, _best(run.truth))


def _best(truth: Truth) -> float:
    assert isinstance(truth, ChargedTable)
    return truth.best


def follow(seed: int, folder: Path, best: float) -> list[Found]:
    """Tell, after each true accuracy of a run, what was spent and how much is missing to `best`.

    Short real training that judges the proxy in a report is no part of a search, and not counted.
    """
    config = read_config(folder / CONFIG)
    are_short, is_looked_up = config.anchors.are_short, config.truth.short is not None
    anchors, shortlist = read_records(folder / ANCHORS), read_records(folder / SHORTLIST)
    generator = folder / GENERATOR_CONFIG
    before = float(read_toml(generator)["seconds"]) if generator.exists() else 0.0
    short = [*(anchors if are_short else ()), *(() if is_looked_up else shortlist)]
    scored = [one for name in (PROXY, CONTROL) for one in read_records(folder / name)]
    others = beside(read_records(folder / BASELINES), scored)
    of_search = [one for one in others if one.evaluator in PARTS]
    before += sum(one.seconds for one in (*short, *scored, *of_search))
    true = [] if are_short else anchors
    known = {one.architecture_id for one in true}
    new = [one for one in read_records(folder / VERIFICATION) if one.architecture_id not in known]
    told = [
        *((0.0, one, True) for one in true),
        *((before, one, False) for one in (shortlist if is_looked_up else ())),
        *((before, one, True) for one in new),
    ]
    return _found(NASGTN, seed, told, best)


def follow_rival(method: str, seed: int, folder: Path, best: float) -> list[Found]:
    """Tell the same of a rival's search: a true accuracy is one of a full training."""
    records = read_records(folder / PROXY)
    told = [(0.0, one, len(one.curve) == N_TRAININGS) for one in records]
    return _found(method, seed, told, best)


def _follow_free(run: Run) -> list[Found]:
    """Tell the same of a search without a proxy, whose shortlist is trained here."""
    assert run.short_truth is not None
    spent = sum(one.seconds for one in read_records(run.folder / BASELINES))
    config = run.config.verification
    best = best_candidates(read_records(run.folder / PROXY), config.shortlist)
    shortlist = [run.space.architecture(one.choices) for one in best]
    short = [evaluate(run.short_truth, one, seed=0) for one in shortlist]
    ranked = sorted(zip(short, shortlist, strict=True), key=lambda pair: -or_lowest(pair[0].score))
    told = [(spent, one, False) for one in short]
    for _, architecture in ranked[: config.candidates]:
        told.append((spent, evaluate(run.truth, architecture, seed=0), True))
    return _found(FREE, run.config.seed, told, _best(run.truth))


def _found(
    method: str, seed: int, told: Sequence[tuple[float, Evaluation, bool]], best: float
) -> list[Found]:
    """Sum up what was told: seconds beside the charges, a training, whether it is a true one."""
    rows: list[Found] = []
    charged, highest = 0.0, 0.0
    for spent, one, is_true in told:
        charged += one.seconds
        if is_true:
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


def _read(path: Path) -> list[Found]:
    if not path.stat().st_size:
        return []
    rows = pd.read_csv(path).to_dict("records")
    return [Found(**{str(name): value for name, value in row.items()}) for row in rows]


def _write(folder: Path, found: Sequence[Found]) -> None:
    rows = pd.DataFrame(map(asdict, found)).to_csv(index=False)
    write_text(folder / REGRET, rows)
    write_text(folder / "regret.html", render_regret(rows))


def cost_to_reach(found: Sequence[Found], method: str, regret: float) -> float | None:
    """Take the median over a method's runs of the seconds until so little was missing.

    None where half of the runs or more never came there.
    """
    seconds: dict[int, float] = {one.seed: float("inf") for one in found if one.method == method}
    for one in found:
        if one.method == method and one.regret <= regret:
            seconds[one.seed] = min(seconds[one.seed], one.seconds)
    middle = median(seconds.values())
    return middle if middle < float("inf") else None


class _Trainings:
    """Looks a short training up, and the full one after it where that is not stopped."""

    name = "training"

    def __init__(self, short: Truth, full: Truth, epochs: tuple[int, int]) -> None:
        self._short = short
        self._full = full
        self._epochs = epochs

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        first = self._short.score(architecture, seed=seed)
        curve = ((self._epochs[0], first.score),)
        if report is not None and not report(*curve[0]):
            return replace(first, curve=curve)
        full = self._full.score(architecture, seed=seed)
        last = (self._epochs[1], full.score)
        if report is not None:
            report(*last)
        return replace(full, curve=(*curve, last))


class _TrainingFreeSum:
    """Sums log-ranks of training-free scores, as the fused score does beside the proxy."""

    name = FREE

    def __init__(self, free: TrainingFree, reference: Reference) -> None:
        self._free = free
        self._reference = reference

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        scores = self._free.scores_of(architecture)
        return Scores(score=self._reference.summed_log_ranks(scores))


def _search_free(run: Run, seed: int, progress: Progress) -> list[Found]:
    """Search by training-free scores alone, with the sampler and the trials of nasgtn."""
    own = run.folder / f"{FREE}-{seed}"
    run = replace(run, folder=own, config=replace(run.config, seed=seed))
    own.mkdir(parents=True, exist_ok=True)
    free = training_free(run)
    group = run.space.sample_distinct(
        N_REFERENCE, derive_seed(run.config.seed, "reference"), run.splits.task
    )
    for one in group:
        free.score(one)
    scores = Pool.of([one.id for one in group], read_records(free.records)).scores
    weights = {name: PARTS[name] for name in free.evaluators}
    problem = Problem(
        space=run.space,
        task=run.splits.task,
        evaluator=_TrainingFreeSum(free, Reference(scores=scores, weights=weights)),
        records=run.folder / PROXY,
        seed=run.config.seed,
        device=run.device,
    )
    with disk_errors(run.folder):
        search(problem, run.config.search, run.place, progress=progress)
    return _follow_free(run)


def _search_table(
    run: Run, rival: RivalConfig, pruner: str, seed: int, progress: Progress
) -> list[Found]:
    """Search as a rival does, all its trainings being looked up."""
    folder = run.folder / f"{pruner}-{seed}"
    assert run.short_truth is not None
    settings = replace(
        run.config.search,
        trials=rival.trials,
        sampler="tpe",
        prune=True,
        pruner=pruner,
        gate=0.0,
        workers=1,
        storage=None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    problem = Problem(
        space=run.space,
        task=run.splits.task,
        evaluator=_Trainings(run.short_truth, run.truth, rival.epochs),
        records=folder / PROXY,
        seed=seed,
        device=run.device,
        rungs=rival.epochs,
    )
    place = study_place(settings, folder, file=STUDY, journal=JOURNAL)
    with disk_errors(folder):
        search(problem, settings, place, progress=progress)
    return follow_rival(RIVALS[pruner], seed, folder, _best(run.truth))
