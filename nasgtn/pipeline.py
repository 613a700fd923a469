"""The stages of a run in order. Each is skipped where its artefact is there already."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from nasgtn.anchors import draw_anchors, evaluate_anchors
from nasgtn.artefacts import (
    ANCHOR_WEIGHTS,
    ANCHORS,
    FINISHED,
    GENERATOR_CONFIG,
    GENERATOR_WEIGHTS,
    PROXY,
    REPORT,
    SUMMARY,
    write_text,
)
from nasgtn.configuration import (
    RunConfig,
    SpaceConfig,
    config_from_mapping,
    pick_device,
    read_config,
    save_config,
)
from nasgtn.errors import ArtefactError, InvalidConfigError, InvalidSpaceError
from nasgtn.facts import read_facts
from nasgtn.gtn import (
    TrainedGenerator,
    load_generator,
    save_generator,
    train_generator,
)
from nasgtn.preparation import Run, begin, disk_errors, load, load_merit, locked
from nasgtn.progress import Progress, silent
from nasgtn.records import Evaluation, read_records
from nasgtn.report import summarise
from nasgtn.report.page import render
from nasgtn.report.side_by_side import render_side_by_side
from nasgtn.runs import RunResult, run_data, run_result
from nasgtn.search import (
    Problem,
    comparable,
    search,
)
from nasgtn.stages import anchor_seed, problem_of, score_reference, verification_stage
from nasgtn.status import RunStatus, is_finished, status

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
    run = begin(config, folder)
    with disk_errors(folder), locked(folder):
        return _run_stages(run, progress)


def resume(folder: Path, *, progress: Progress = silent) -> RunResult:
    """Carry a run on at its first unfinished stage; return the result of a finished one.

    Raises:
        ArtefactError: The folder is no run, one of another version, or in use; or the dataset has
            changed since.
    """
    read_facts(folder)
    if is_finished(folder):
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
        shortlist=usual.shortlist and max(usual.shortlist, candidates or 0),
        control=usual.control if control is None else control,
    )
    config = replace(run.config, verification=verification)
    with disk_errors(folder), locked(folder):
        generator = _load_generator(run, folder)
        verification_stage(replace(run, config=config), generator, progress, usual=usual)
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
    return problem_of(run, _load_generator(run, folder))


def _run_stages(run: Run, progress: Progress) -> RunResult:
    anchors = _anchor_stage(run, progress)
    generator = _gtn_stage(run, anchors, progress)
    _search_stage(run, generator, progress)
    verification_stage(run, generator, progress)
    write_report(run.folder)
    write_text(run.folder / FINISHED, "all stages are done\n")
    return run_result(run.folder)


def _anchor_stage(run: Run, progress: Progress) -> list[Evaluation]:
    """Train the anchors, or look them up, unless a generator is there that needs none."""
    if run.config.generator is not None:
        return []
    return evaluate_anchors(
        load_merit(run.config, run.space, run.splits, run.truth, run.folder / ANCHOR_WEIGHTS),
        draw_anchors(run.space, run.splits.task, run.config.anchors.n, seed=run.config.seed),
        run.folder / ANCHORS,
        seed=anchor_seed(run),
        progress=progress,
    )


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
    score_reference(run, generator, progress)
    search(
        problem_of(run, generator),
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
