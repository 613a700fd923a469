"""The stages of a run in order. Each is skipped where its artefact is there already."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from nasgtn.anchors import draw_anchors, evaluate_anchors, merit_of, read_anchors
from nasgtn.artefacts import (
    ANCHOR_WEIGHTS,
    ANCHORS,
    BASELINES,
    GENERATOR_CONFIG,
    GENERATOR_WEIGHTS,
    PROXY,
    REPORT,
    SUMMARY,
    VERIFICATION,
    write_text,
)
from nasgtn.candidacy import Pool, fused_records, rate
from nasgtn.configuration import (
    RunConfig,
    SpaceConfig,
    config_from_mapping,
    environment,
    pick_device,
    read_config,
    save_config,
    versions,
)
from nasgtn.errors import ArtefactError, InvalidConfigError, InvalidSpaceError
from nasgtn.evaluation import Evaluator, evaluate
from nasgtn.evaluation.baselines import ZERO_COST
from nasgtn.evaluation.proxy import GtnProxy, RealSteps
from nasgtn.facts import ENVIRONMENT, TASK, VERSIONS, read_facts
from nasgtn.gtn import (
    TrainedGenerator,
    load_generator,
    save_generator,
    train_generator,
)
from nasgtn.preparation import Run, describe_task, disk_errors, load, locked, prepare
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation, append_record, read_records
from nasgtn.report import summarise
from nasgtn.report.page import render
from nasgtn.report.side_by_side import render_side_by_side
from nasgtn.runs import RunResult, run_data, run_result
from nasgtn.search import (
    Problem,
    add_verified,
    best_candidates,
    comparable,
    control_group,
    proxy_seed,
    search,
)
from nasgtn.status import RunStatus, status
from nasgtn.verification import Chosen, evaluate_baselines, verify_chosen

__all__ = [
    "RunConfig",
    "RunResult",
    "RunStatus",
    "SpaceConfig",
    "config_from_mapping",
    "pick_device",
    "read_config",
    "resume",
    "run_data",
    "run_search",
    "save_config",
    "status",
    "verify",
    "write_report",
    "write_side_by_side",
]


def run_search(config: RunConfig, folder: Path, *, progress: Progress = silent) -> RunResult:
    """Run all stages in a new folder. A mistake of the user is found before anything is written.

    Raises:
        ArtefactError: The folder exists, the disk is full, or the storage does not answer.
        NasgtnError: Another mistake of the user; the message says which.
    """
    if folder.exists():
        raise ArtefactError(f"the folder of a new run must not exist, but {folder} does")
    run = prepare(config, folder)
    facts: dict[str, Mapping[str, Any]] = {
        VERSIONS: versions(),
        ENVIRONMENT: environment(run.device),
        TASK: describe_task(run.splits),
    }
    with disk_errors(folder):
        folder.mkdir(parents=True)
        save_config(config, folder, facts)
        with locked(folder):
            return _run_stages(run, progress)


def resume(folder: Path, *, progress: Progress = silent) -> RunResult:
    """Carry a run on at its first unfinished stage; return the result of a finished one.

    Raises:
        ArtefactError: The folder is no run, one of another version, or in use; or the dataset has
            changed since.
    """
    read_facts(folder)
    if (folder / REPORT).exists():
        return run_result(folder)
    run = load(folder)
    with disk_errors(folder), locked(folder):
        return _run_stages(run, progress)


def verify(
    folder: Path,
    *,
    candidates: int | None = None,
    control: int | None = None,
    progress: Progress = silent,
) -> RunResult:
    """Verify more architectures of a run than its configuration says; then report again.

    Args:
        folder: Of the run; its search must have begun.
        candidates: How many of the best, in all; None: as configured.
        control: How many others, in all; None: as configured.
        progress: Told after each training.
    """
    read_facts(folder)
    if not read_records(folder / PROXY):
        raise ArtefactError(f"{folder} must have evaluated architectures, but {PROXY} has none")
    run = load(folder)
    usual = run.config.verification
    verification = replace(
        usual,
        candidates=usual.candidates if candidates is None else candidates,
        control=usual.control if control is None else control,
    )
    config = replace(run.config, verification=verification)
    with disk_errors(folder), locked(folder):
        generator = _load_generator(run, folder)
        _verification_stage(replace(run, config=config), generator, progress)
        write_report(folder)
    return run_result(folder)


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the report of what is there of a run, and its numbers; return the report's path.

    Args:
        folder: Of the run.
        out: Where the report goes; None: into the folder.
    """
    data = run_data(folder)
    summary, path = summarise(data), out or folder / REPORT
    with disk_errors(path.parent):
        write_text(folder / SUMMARY, summary.json())
        write_text(path, render(data, summary))
    return path


def write_side_by_side(folders: Sequence[Path], out: Path, *, command: str) -> Path:
    """Write a page that compares several runs, and return its path.

    Args:
        folders: Of the runs; each must be another one.
        out: The page.
        command: That writes it again.

    Raises:
        InvalidConfigError: A run comes twice.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InvalidConfigError("runs must be different, got one twice")
    runs = [run_data(folder) for folder in folders]
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        runs = [replace(run, name=str(path)) for run, path in zip(runs, folders, strict=True)]
    with disk_errors(out.parent):
        write_text(out, render_side_by_side(runs, command))
    return out


def load_problem(folder: Path, n_threads: int) -> Problem:
    """Make what a run searches on, in a process of its own with its share of threads."""
    torch.set_num_threads(n_threads)
    run = load(folder)
    return _problem(run, _load_generator(run, folder))


def _run_stages(run: Run, progress: Progress) -> RunResult:
    anchors = _anchor_stage(run, progress)
    generator = _gtn_stage(run, anchors, progress)
    _search_stage(run, generator, progress)
    _verification_stage(run, generator, progress)
    write_report(run.folder)
    return run_result(run.folder)


def _anchor_stage(run: Run, progress: Progress) -> list[Evaluation]:
    """Train the anchors, or look them up, unless a generator is there that needs none."""
    if run.config.generator is not None:
        return []
    return evaluate_anchors(
        merit_of(run.truth, run.folder / ANCHOR_WEIGHTS),
        draw_anchors(run.space, run.splits.task, run.config.anchors.n, seed=run.config.seed),
        run.folder,
        seed=_verification_seed(run, 0),
        progress=progress,
    )


def _verification_seed(run: Run, number: int) -> int:
    """Derive the seed of full trainings; the anchors have that of the first verification."""
    return derive_seed(run.config.seed, "verification", number)


def _gtn_stage(run: Run, anchors: Sequence[Evaluation], progress: Progress) -> TrainedGenerator:
    folder = run.folder
    if (folder / GENERATOR_WEIGHTS).exists() and (folder / GENERATOR_CONFIG).exists():
        return _load_generator(run, folder)
    if run.config.generator is not None:
        generator = _load_generator(run, Path(run.config.generator))
        save_generator(generator, folder)
        return generator
    return train_generator(
        run.space,
        run.splits,
        run.config.gtn,
        seed=run.config.seed,
        anchors=anchors,
        folder=folder,
        progress=progress,
    )


def _load_generator(run: Run, folder: Path) -> TrainedGenerator:
    return load_generator(folder, task=run.splits.task, device=run.device)


def _search_stage(run: Run, generator: TrainedGenerator, progress: Progress) -> None:
    workers = run.config.search.workers
    n_threads = max(1, torch.get_num_threads() // workers)
    search(
        _problem(run, generator),
        run.config.search,
        run.place,
        load_problem=partial(load_problem, run.folder, n_threads),
        progress=progress,
    )
    records = read_records(run.folder / PROXY)
    if not comparable(records):
        failures = [record.failure for record in records if record.failure]
        reason = f"the first of {len(failures)} says: {failures[0]}" if failures else "none fits"
        raise InvalidSpaceError(
            f"at least one architecture must be within the limits and be scored, but {reason}"
        )


def _verification_stage(run: Run, generator: TrainedGenerator, progress: Progress) -> None:
    config, folder = run.config, run.folder
    pool = _score_pool(run, generator, progress)
    showing = _showing_verified(run, progress)
    seeds = [_verification_seed(run, n) for n in range(config.verification.n_seeds)]
    candidates: list[Evaluation] = []
    for number in range(config.verification.rounds):
        candidates += _next_candidates(run, pool, candidates, number)
        is_last = number + 1 == config.verification.rounds
        control = _control(run, candidates) if is_last else []
        chosen = Chosen(candidates=candidates, control=control)
        verify_chosen(run.truth, run.space, chosen, folder, seeds, progress=showing)
    evaluate_baselines(
        [_real_steps(run, generator)],
        chosen.all,
        run.space,
        folder,
        seed=config.seed,
        progress=progress,
    )


def _showing_verified(run: Run, progress: Progress) -> Progress:
    """Add each training to the study as soon as it is finished, so that a dashboard shows it."""
    proxy, n_shown = read_records(run.folder / PROXY), 0

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        nonlocal n_shown
        verified = read_records(run.folder / VERIFICATION)
        if len(verified) > n_shown:
            add_verified(run.place, verified, proxy, run.space)
            n_shown = len(verified)
        progress(stage, done, total, note)

    return tell


def _score_pool(run: Run, generator: TrainedGenerator, progress: Progress) -> Pool:
    """Score all candidates and the anchors by every part of the fused score, and fuse."""
    folder, seed = run.folder, run.config.seed
    scored = comparable(read_records(folder / PROXY))
    anchors = read_anchors(folder)
    known = {one.architecture_id for one in scored}
    proxy = GtnProxy.of(generator, run.space, run.splits, run.config.proxy)
    others = [
        evaluate(proxy, run.space.architecture(one.choices), seed=proxy_seed(seed))
        for one in anchors
        if one.architecture_id not in known
    ]
    free = [made(run.space, run.splits.task, run.splits.train) for made in ZERO_COST.values()]
    found = evaluate_baselines(
        free, [*scored, *others], run.space, folder, seed=seed, progress=progress
    )
    pool = Pool.of([one.architecture_id for one in (*scored, *others)], found)
    done = {(one.evaluator, one.architecture_id) for one in found}
    labels = _labels(folder, ())  # before any is verified
    for record in fused_records(pool, scored, labels, seed=seed):
        if (record.evaluator, record.architecture_id) not in done:
            append_record(folder / BASELINES, record)
    return pool


def _next_candidates(
    run: Run, pool: Pool, before: Sequence[Evaluation], number: int
) -> list[Evaluation]:
    """Choose the candidates of one round, knowing what the rounds before it found out."""
    config, seed = run.config.verification, run.config.seed
    evaluations = {one.architecture_id: one for one in read_records(run.folder / PROXY)}
    records = comparable(list(evaluations.values()))
    known = {one.architecture_id for one in before}
    if config.score == "fused":
        acquisition = config.acquisition if number else "mean"
        ratings = rate(pool, _labels(run.folder, known), acquisition, seed=seed)
        records = [replace(one, score=ratings[one.architecture_id]) for one in records]
    best = best_candidates(records, len(records), run.config.search.objectives)
    ranked = [evaluations[one.architecture_id] for one in best if one.architecture_id not in known]
    n_all = math.ceil(config.candidates * (number + 1) / config.rounds)
    return ranked[: n_all - len(before)]


def _labels(folder: Path, verified: Collection[str]) -> dict[str, float]:
    """Read the validation accuracies of the anchors, and of those that are `verified`."""
    found: dict[str, list[float]] = {}
    for record in read_anchors(folder):
        assert record.score is not None
        found.setdefault(record.architecture_id, []).append(record.score)
    for record in read_records(folder / VERIFICATION):
        if record.score is not None and record.architecture_id in verified:
            accuracy = record.metrics["validation_accuracy"]
            found.setdefault(record.architecture_id, []).append(accuracy)
    return {name: fmean(accuracies) for name, accuracies in found.items()}


def _control(run: Run, candidates: Sequence[Evaluation]) -> list[Evaluation]:
    """Draw the control from what the search scored; anchors have been seen by the generator."""
    anchors = {one.architecture_id for one in read_records(run.folder / ANCHORS)}
    records = read_records(run.folder / PROXY)
    return control_group(
        [one for one in records if one.architecture_id not in anchors],
        run.config.verification.control,
        candidates=candidates,
        seed=derive_seed(run.config.seed, "control"),
    )


def _problem(run: Run, generator: TrainedGenerator) -> Problem:
    proxy = GtnProxy.of(generator, run.space, run.splits, run.config.proxy)
    return Problem(
        space=run.space,
        task=run.splits.task,
        evaluator=proxy,
        records=run.folder / PROXY,
        seed=run.config.seed,
        device=run.device,
    )


def _real_steps(run: Run, generator: TrainedGenerator) -> Evaluator:
    """Make the baseline that trains on as many real batches as the proxy does."""
    n_steps = run.config.proxy.n_steps or generator.config.curriculum.n_steps
    batches = n_steps, generator.config.curriculum.batch_size
    small = run.splits.shrunk(generator.config.image_size)
    inner_loop = generator.config.inner_loop
    proxy = run.config.proxy.scored_by(generator.config.meta_training.rank_score)
    return RealSteps(run.space, small, batches, proxy, inner_loop)
