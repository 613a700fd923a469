"""Loads and checks what the stages of a run read; and guards its folder while they work."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nasgtn.anchors import merit_of, short_merit
from nasgtn.artefacts import CONFIG, GENERATOR_CONFIG, JOURNAL, STUDY
from nasgtn.configuration import (
    RunConfig,
    check_steps,
    environment,
    pick_device,
    read_config,
    save_config,
    versions,
)
from nasgtn.data import Splits
from nasgtn.data.sources import load_splits
from nasgtn.errors import (
    ArtefactError,
    InvalidConfigError,
    InvalidDataError,
    InvalidSpaceError,
    NasgtnError,
)
from nasgtn.evaluation import ChargedTable, Evaluator, Truth, TruthConfig, evaluate, make_truth
from nasgtn.facts import ENVIRONMENT, TASK, VERSIONS, read_facts
from nasgtn.gtn import load_generator
from nasgtn.randomness import derive_seed
from nasgtn.records import mend_lines
from nasgtn.search import StudyPlace, check_storage, study_place
from nasgtn.spaces import Choice, FixedTrial, SearchSpace, hold_out
from nasgtn.spaces.catalogue import find_space
from nasgtn.task import Task

CHECKED_ARCHITECTURES = 8
"""A search space is refused where none of so many random architectures can be used."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run with everything that its stages read."""

    folder: Path
    config: RunConfig
    space: SearchSpace
    splits: Splits
    device: torch.device
    truth: Truth
    """Of verified architectures, and of anchors if their trainings are no short ones."""
    short_truth: Truth | None = None
    """Of a shortlist, where a table has it."""

    @property
    def place(self) -> StudyPlace:
        return study_place(self.config.search, self.folder, file=STUDY, journal=JOURNAL)


def prepare(config: RunConfig, folder: Path) -> Run:
    """Load and check everything that a run reads, before it writes.

    Raises:
        NasgtnError: A mistake of the user; the message says which.
    """
    device = pick_device(config.device)
    space = find_space(config.space.name, config.space.options)
    splits = load_splits(config.data, seed=config.seed)
    _check_space(space, splits.task, config.seed)
    has_such_shortlist = config.verification.shortlist > 0 and not config.shortlist_is_its_own
    trains_shortly = config.generator is None or has_such_shortlist
    gtn = config.gtn
    if config.generator is not None:
        is_copied = (folder / GENERATOR_CONFIG).exists()
        given = folder if is_copied else Path(config.generator)
        gtn = load_generator(given, task=splits.task).config
        check_steps(config.proxy, gtn)
    check_small(replace(config, gtn=gtn), space, splits.task, trains_shortly=trains_shortly)
    if config.generator is None:  # what leaves nothing is refused here
        hold_out(space, config.gtn.meta_training.hold_out, splits.task)
        config.gtn.curriculum.different_batches(splits.task.n_classes)
    splits = splits.to(device)
    short = config.truth.short
    run = Run(
        folder=folder,
        config=config,
        space=space,
        splits=splits,
        device=device,
        truth=load_truth(config, space, splits),
        short_truth=None if short is None else load_truth(config, space, splits, short),
    )
    if config.search.storage is not None:
        check_storage(run.place)
    return run


def begin(config: RunConfig, folder: Path) -> Run:
    """Prepare a new run, and write its configuration into a folder that is made for it.

    Raises:
        ArtefactError: The folder exists, or cannot be made.
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
    return run


def load_truth(
    config: RunConfig, space: SearchSpace, splits: Splits, source: TruthConfig | None = None
) -> Truth:
    """Make what tells the accuracies of anchors and verified architectures.

    Args:
        config: Says how networks are trained.
        space: Of the architectures.
        splits: On the device to train on.
        source: Where accuracies come from; None: as `config` says.

    Raises:
        InvalidDataError: It is a table that knows none of a few random architectures.
    """
    device = splits.train.images.device
    source = source or config.truth
    truth = make_truth(source, config.training, space, splits, device)
    if isinstance(truth, ChargedTable):
        drawn = space.sample_distinct(
            CHECKED_ARCHITECTURES, derive_seed(config.seed, "table"), splits.task
        )
        failures = [evaluate(truth, one, seed=0).failure for one in drawn]
        if all(failures):
            raise InvalidDataError(
                f"{source.table} must have the accuracies of search space {space.name!r}, "
                f"but the first of {len(failures)} random architectures gave: {failures[0]}"
            )
    return truth


def load_merit(
    config: RunConfig,
    space: SearchSpace,
    splits: Splits,
    truth: Truth,
    folder: Path | None = None,
) -> Evaluator:
    """Make what measures anchors.

    Args:
        config: Says whether by short trainings.
        space: Of the architectures.
        splits: On the device to train on.
        truth: Of verification.
        folder: Gets the weights of anchors that are trained as verification does.
    """
    if config.anchors.are_short:
        return short_merit(config.anchors, config.training, space, splits)
    return merit_of(truth, folder)


def load_shortlist_merit(run: Run) -> Evaluator:
    """Make what measures a shortlist: a table, short trainings of its own, or as the anchors'."""
    if run.short_truth is not None:
        return merit_of(run.short_truth)
    config = replace(run.config, anchors=run.config.shortlist_training)
    return load_merit(config, run.space, run.splits, run.truth)


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


def check_small(
    config: RunConfig, space: SearchSpace, task: Task, *, trains_shortly: bool = True
) -> None:
    """Refuse a space that cannot be used as the proxy has it, or on images of short trainings."""
    options = space.options_of_proxy(config.gtn.space_options)
    if options:
        _check_options(space, task, options, config.seed)
    look_alikes = space.with_options(options)
    _check_size(look_alikes, task, config.gtn.image_size, "gtn", seed=config.seed)
    if trains_shortly:
        _check_size(space, task, config.anchors.image_size, "anchors", seed=config.seed)


def _check_size(space: SearchSpace, task: Task, size: int, section: str, *, seed: int) -> None:
    """Refuse a space whose architectures for real images cannot be built or run on shrunk ones."""
    small = task.shrunk(size)
    if small == task:
        return
    try:
        for draw in range(CHECKED_ARCHITECTURES):
            choices = space.sample(derive_seed(seed, "shrunk", draw), task).choices
            space.network(choices, small, seed=0)
    except InvalidConfigError as error:
        raise InvalidSpaceError(
            f"architectures of search space {space.name!r} must not depend on the size of the "
            f"images, which {section}.image_size shrinks to {small.height}x{small.width} pixels, "
            f"but: {error}; set {section}.image_size = 0 for images as they are"
        ) from error
    except InvalidSpaceError:
        pass  # a space may fail for some architectures; those cost their trials
    _check_space(space, small, seed)


def _check_options(
    space: SearchSpace, task: Task, options: Mapping[str, Choice], seed: int
) -> None:
    """Refuse options whose networks are not of the architectures that are searched, or fail."""
    named = ", ".join(f"{name} = {value}" for name, value in options.items())
    try:
        look_alikes = space.with_options(options)
        for draw in range(CHECKED_ARCHITECTURES):
            _check_choices(space, look_alikes, task, derive_seed(seed, "look-alike", draw))
        _check_space(look_alikes, task, seed)
    except NasgtnError as error:
        raise InvalidSpaceError(
            f"search space {space.name!r} must be usable with {named}, as the proxy has it "
            f"(gtn.space_options, the space's file, or the generator), but: {error}"
        ) from error


def _check_choices(space: SearchSpace, look_alikes: SearchSpace, task: Task, seed: int) -> None:
    """Refuse look-alikes that ask for other choices: the proxy would not see those left out."""
    try:
        wanted = space.sample(seed, task).choices
        asked = look_alikes.propose(FixedTrial(wanted), task).choices
    except InvalidSpaceError:
        return  # a space may fail for some architectures; those cost their trials
    if asked != wanted:
        left_out = ", ".join(sorted(wanted.keys() - asked.keys()))
        raise InvalidSpaceError(f"its networks must depend on all choices, but not on {left_out}")


def load(folder: Path) -> Run:
    """Prepare a run that has begun.

    Raises:
        ArtefactError: The folder is no run, one of another version, or its dataset has changed.
    """
    facts = read_facts(folder)
    run = prepare(read_config(folder / CONFIG), folder)
    _check_unchanged(run.splits, facts[TASK], folder)
    return run


def load_data(folder: Path) -> Splits:
    """Load the dataset of a run that has begun.

    Raises:
        ArtefactError: As for `load`.
    """
    facts, config = read_facts(folder), read_config(folder / CONFIG)
    splits = load_splits(config.data, seed=config.seed)
    _check_unchanged(splits, facts[TASK], folder)
    return splits


def _check_unchanged(splits: Splits, facts: Mapping[str, Any], folder: Path) -> None:
    found = describe_task(splits)
    if found != facts:
        changed = [name for name in found if found[name] != facts.get(name)]
        raise ArtefactError(
            f"the dataset {splits.task.name} must be the one that {folder} began with, "
            f"but {', '.join(changed)} changed"
        )


def describe_task(splits: Splits) -> dict[str, Any]:  # values of TOML
    """Tell what the dataset is: with these facts a report needs it no more."""
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
def locked(folder: Path) -> Iterator[None]:
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
def disk_errors(folder: Path) -> Iterator[None]:
    """Explain what a disk refuses: no space, no permission."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        reason = error.strerror or error
        raise ArtefactError(
            f"{place} must be writable, but: {reason}; what was finished is kept"
        ) from error
