"""The stages of a run in order. Each is skipped where its artefact is there already."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nasgtn.anchors import ValidatedTruth, draw_anchors, evaluate_anchors
from nasgtn.artefacts import (
    ANCHOR_WEIGHTS,
    ANCHORS,
    GENERATOR_CONFIG,
    GENERATOR_WEIGHTS,
    PROXY,
    REPORT,
    write_text,
)
from nasgtn.configuration import (
    ENVIRONMENT,
    TASK,
    VERSIONS,
    RunConfig,
    SpaceConfig,
    config_from_mapping,
    environment,
    pick_device,
    read_config,
    read_facts,
    save_config,
    versions,
)
from nasgtn.errors import ArtefactError, InvalidSpaceError
from nasgtn.evaluation import Evaluator
from nasgtn.evaluation.baselines import ZERO_COST
from nasgtn.evaluation.ground_truth import TrainedTruth
from nasgtn.evaluation.proxy import GtnProxy, RealSteps
from nasgtn.gtn import (
    TrainedGenerator,
    load_generator,
    save_generator,
    train_generator,
)
from nasgtn.preparation import Run, describe_task, disk_errors, load, locked, prepare
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation, read_records
from nasgtn.report.page import render
from nasgtn.runs import RunResult, RunStatus, run_data, run_result, status
from nasgtn.search import (
    Problem,
    add_verified,
    best_candidates,
    comparable,
    control_group,
    search,
)
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
    asked = {"candidates": candidates, "control": control}
    changes = {name: number for name, number in asked.items() if number is not None}
    config = replace(run.config, verification=replace(run.config.verification, **changes))
    with disk_errors(folder), locked(folder):
        generator = _load_generator(run, folder)
        _verification_stage(replace(run, config=config), generator, progress)
        write_report(folder)
    return run_result(folder)


def write_report(folder: Path) -> Path:
    """Write the report of what is there of a run, and return its path."""
    path = folder / REPORT
    with disk_errors(folder):
        write_text(path, render(run_data(folder)))
    return path


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
    """Train the anchors, unless a generator is there that needs none."""
    if run.config.generator is not None:
        return []
    truth = TrainedTruth(run.space, run.splits, run.config.training, device=run.device)
    return evaluate_anchors(
        ValidatedTruth(truth, run.folder / ANCHOR_WEIGHTS),
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
    records = read_records(folder / PROXY)
    candidates = best_candidates(records, config.verification.candidates, config.search.objectives)
    anchors = {one.architecture_id for one in read_records(folder / ANCHORS)}
    control = control_group(
        [one for one in records if one.architecture_id not in anchors],
        config.verification.control,
        candidates=candidates,
        seed=derive_seed(config.seed, "control"),
    )
    seeds = [_verification_seed(run, n) for n in range(config.verification.n_seeds)]
    chosen = Chosen(candidates=candidates, control=control)
    truth = TrainedTruth(run.space, run.splits, config.training, device=run.device)
    verified = verify_chosen(truth, run.space, chosen, folder, seeds, progress=progress)
    add_verified(run.place, verified, records, run.space)
    evaluate_baselines(
        _baselines(run, generator),
        chosen.all,
        run.space,
        folder,
        seed=config.seed,
        progress=progress,
    )


def _problem(run: Run, generator: TrainedGenerator) -> Problem:
    proxy = GtnProxy(
        run.space,
        run.splits.task,
        generator.synthesise(),
        run.splits.probe(run.config.proxy.n_images),
        run.config.proxy,
        generator.config.inner_loop,
    )
    return Problem(
        space=run.space,
        task=run.splits.task,
        evaluator=proxy,
        records=run.folder / PROXY,
        seed=run.config.seed,
        device=run.device,
    )


def _baselines(run: Run, generator: TrainedGenerator) -> list[Evaluator]:
    """Make the baselines; one of them trains on as many real batches as the proxy does."""
    space, task, train = run.space, run.splits.task, run.splits.train
    n_steps = run.config.proxy.n_steps or generator.config.curriculum.n_steps
    batches = n_steps, generator.config.curriculum.batch_size
    small = run.splits.shrunk(generator.config.image_size)
    real = RealSteps(space, small, batches, run.config.proxy, generator.config.inner_loop)
    return [*(made(space, task, train) for made in ZERO_COST.values()), real]
