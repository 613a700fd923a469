"""The stages of a run in order. Each is skipped where its artefact is there already."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nasgtn.artefacts import (
    CONFIG,
    GENERATOR_CONFIG,
    GENERATOR_WEIGHTS,
    JOURNAL,
    PROXY,
    REPORT,
    STUDY,
    write_text,
)
from nasgtn.configuration import (
    ENVIRONMENT,
    TASK,
    VERSIONS,
    RunConfig,
    SpaceConfig,
    check_steps,
    config_from_mapping,
    environment,
    pick_device,
    read_config,
    read_facts,
    save_config,
    versions,
)
from nasgtn.data import Splits
from nasgtn.data.sources import load_splits
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
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.ranking import Agreement
from nasgtn.records import mend_lines, read_records
from nasgtn.report import summarise
from nasgtn.report.page import render
from nasgtn.runs import RunStatus, run_data, status
from nasgtn.search import (
    Problem,
    StudyPlace,
    add_verified,
    best_candidates,
    check_storage,
    comparable,
    control_group,
    search,
    study_place,
)
from nasgtn.spaces import Choice, SearchSpace
from nasgtn.spaces.catalogue import find_space
from nasgtn.task import Task
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

CHECKED_ARCHITECTURES = 8
"""A search space is refused where none of so many random architectures can be used."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a finished run found."""

    folder: Path
    report: Path
    winner: str | None
    """Description of the winner; None where every full training failed."""
    architecture_id: str | None
    choices: Mapping[str, Choice]
    test_accuracy: float | None
    validation_accuracy: float | None
    n_parameters: int | None
    n_multiply_adds: int | None
    control_accuracy: float | None
    """Mean test accuracy of the control."""
    n_candidates: int
    """Distinct architectures that the proxy scored."""
    n_verified: int
    agreement: Agreement | None
    """Between the proxy and the ground truth, over what was verified."""
    seconds: float
    """Of all stages together."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A run with everything that its stages read."""

    folder: Path
    config: RunConfig
    space: SearchSpace
    splits: Splits
    device: torch.device

    @property
    def place(self) -> StudyPlace:
        return study_place(self.config.search, self.folder, file=STUDY, journal=JOURNAL)


def run_search(config: RunConfig, folder: Path, *, progress: Progress = silent) -> RunResult:
    """Run all stages in a new folder. A mistake of the user is found before anything is written.

    Raises:
        ArtefactError: The folder exists, the disk is full, or the storage does not answer.
        NasgtnError: Another mistake of the user; the message says which.
    """
    if folder.exists():
        raise ArtefactError(f"the folder of a new run must not exist, but {folder} does")
    run = _prepare(config, folder)
    facts: dict[str, Mapping[str, Any]] = {
        VERSIONS: versions(),
        ENVIRONMENT: environment(run.device),
        TASK: _describe_task(run.splits),
    }
    with _disk_errors(folder):
        folder.mkdir(parents=True)
        save_config(config, folder, facts)
        with _locked(folder):
            return _run_stages(run, progress)


def resume(folder: Path, *, progress: Progress = silent) -> RunResult:
    """Carry a run on at its first unfinished stage; return the result of a finished one.

    Raises:
        ArtefactError: The folder is no run, one of another version, or in use; or the dataset has
            changed since.
    """
    read_facts(folder)
    if (folder / REPORT).exists():
        return _result(folder)
    run = _load(folder)
    with _disk_errors(folder), _locked(folder):
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
    run = _load(folder)
    asked = {"candidates": candidates, "control": control}
    changes = {name: number for name, number in asked.items() if number is not None}
    config = replace(run.config, verification=replace(run.config.verification, **changes))
    with _disk_errors(folder), _locked(folder):
        generator = _load_generator(run, folder)
        _verification_stage(replace(run, config=config), generator, progress)
        write_report(folder)
    return _result(folder)


def write_report(folder: Path) -> Path:
    """Write the report of what is there of a run, and return its path."""
    path = folder / REPORT
    with _disk_errors(folder):
        write_text(path, render(run_data(folder)))
    return path


def load_problem(folder: Path, n_threads: int) -> Problem:
    """Make what a run searches on, in a process of its own with its share of threads."""
    torch.set_num_threads(n_threads)
    run = _load(folder)
    return _problem(run, _load_generator(run, folder))


def _run_stages(run: _Run, progress: Progress) -> RunResult:
    generator = _gtn_stage(run, progress)
    _search_stage(run, generator, progress)
    _verification_stage(run, generator, progress)
    write_report(run.folder)
    return _result(run.folder)


def _prepare(config: RunConfig, folder: Path) -> _Run:
    """Load and check everything that a run reads, before it writes."""
    device = pick_device(config.device)
    space = find_space(config.space.name, config.space.options)
    splits = load_splits(config.data, seed=config.seed)
    _check_space(space, splits.task, config.seed)
    if config.generator is not None:
        generator = load_generator(Path(config.generator), task=splits.task)
        check_steps(config.proxy, generator.config)
    run = _Run(folder=folder, config=config, space=space, splits=splits.to(device), device=device)
    if config.search.storage is not None:
        check_storage(run.place)
    return run


def _check_space(space: SearchSpace, task: Task, seed: int) -> None:
    """Refuse a space that cannot be used; one that fails for some architectures can be."""
    errors: list[InvalidSpaceError] = []
    for draw in range(CHECKED_ARCHITECTURES):
        try:
            space.check(task, seed=derive_seed(seed, "check", draw))
        except InvalidSpaceError as error:
            errors.append(error)
        else:
            return
    raise errors[0]


def _load(folder: Path) -> _Run:
    facts = read_facts(folder)
    run = _prepare(read_config(folder / CONFIG), folder)
    found = _describe_task(run.splits)
    if found != facts[TASK]:
        changed = [name for name in found if found[name] != facts[TASK].get(name)]
        raise ArtefactError(
            f"the dataset {run.config.data.name} must be the one that {folder} began with, "
            f"but {', '.join(changed)} changed"
        )
    return run


def _gtn_stage(run: _Run, progress: Progress) -> TrainedGenerator:
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
        folder=folder,
        progress=progress,
    )


def _load_generator(run: _Run, folder: Path) -> TrainedGenerator:
    return load_generator(folder, task=run.splits.task, device=run.device)


def _search_stage(run: _Run, generator: TrainedGenerator, progress: Progress) -> None:
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


def _verification_stage(run: _Run, generator: TrainedGenerator, progress: Progress) -> None:
    config, folder = run.config, run.folder
    records = read_records(folder / PROXY)
    candidates = best_candidates(records, config.verification.candidates, config.search.objectives)
    control = control_group(
        records,
        config.verification.control,
        candidates=candidates,
        seed=derive_seed(config.seed, "control"),
    )
    seeds = [
        derive_seed(config.seed, "verification", n) for n in range(config.verification.n_seeds)
    ]
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


def _problem(run: _Run, generator: TrainedGenerator) -> Problem:
    proxy = GtnProxy(
        run.space,
        run.splits.task,
        generator.synthesise(),
        run.splits.validation,
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


def _baselines(run: _Run, generator: TrainedGenerator) -> list[Evaluator]:
    """Make the baselines; one of them trains on as many real batches as the proxy does."""
    space, task, train = run.space, run.splits.task, run.splits.train
    n_steps = run.config.proxy.n_steps or generator.config.curriculum.n_steps
    real = RealSteps(
        space,
        task,
        train,
        run.splits.validation,
        n_steps,
        run.config.proxy,
        generator.config.inner_loop,
        batch_size=generator.config.curriculum.batch_size,
    )
    return [*(made(space, task, train) for made in ZERO_COST.values()), real]


def _result(folder: Path) -> RunResult:
    summary = summarise(run_data(folder))
    winner = summary.winner
    return RunResult(
        folder=folder,
        report=folder / REPORT,
        winner=winner.description if winner else None,
        architecture_id=winner.architecture_id if winner else None,
        choices=winner.choices if winner else {},
        test_accuracy=winner.test_accuracy if winner else None,
        validation_accuracy=winner.validation_accuracy if winner else None,
        n_parameters=winner.n_parameters if winner else None,
        n_multiply_adds=winner.n_multiply_adds if winner else None,
        control_accuracy=summary.control_mean,
        n_candidates=summary.costs.n_candidates,
        n_verified=sum(one.test_accuracy is not None for one in summary.verified),
        agreement=summary.proxy.agreement if summary.proxy else None,
        seconds=sum(summary.costs.stages.values()),
    )


def _describe_task(splits: Splits) -> dict[str, Any]:  # values of TOML
    task = splits.task
    return {
        "name": task.name,
        "input_shape": list(task.input_shape),
        "class_names": list(task.class_names),
        "mean": list(task.mean),
        "std": list(task.std),
        "flips": task.flips,
        "n_train": len(splits.train),
        "n_validation": len(splits.validation),
        "n_test": len(splits.test),
    }


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from working on the run; the lock ends with this process."""
    with (folder / CONFIG).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArtefactError(
                f"only one process may work on {folder}, and another one does"
            ) from error
        for path in folder.glob("*.jsonl"):
            mend_lines(path)
        yield


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Explain what a disk refuses: no space, no permission."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        reason = error.strerror or error
        raise ArtefactError(
            f"{place} must be writable, but: {reason}; what was finished is kept"
        ) from error
