"""The search itself: trials one after another, in this process or side by side in several."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from nasgtn.errors import ArtefactError, NasgtnError
from nasgtn.memory import keep_freed_memory
from nasgtn.progress import Progress, silent
from nasgtn.records import mend_lines, read_records
from nasgtn.search.config import TRIALS_PER_CANDIDATE, SearchConfig
from nasgtn.search.objective import INTERRUPTED, Problem, queue_unseen, run_trial, told_trials
from nasgtn.search.study import StudyPlace, free_locks, open_proxy_study, opened

STAGE = "search"
SECONDS_BETWEEN_LOOKS = 0.5
IDLE_TRIALS = 2
"""After so many trials without a new evaluation the next architecture is a random one."""


def search(
    problem: Problem,
    config: SearchConfig,
    place: StudyPlace,
    *,
    load_problem: Callable[[], Problem] | None = None,
    progress: Progress = silent,
) -> None:
    """Run trials until enough distinct architectures are evaluated; go on where another stopped.

    What a killed search left behind is put in order first: its unfinished trials are marked as
    failed and queued again, and what they had recorded is looked up then.

    Args:
        problem: What to search; its records grow.
        config: How to search, and how long.
        place: Where the study is, or will be.
        load_problem: Makes the problem in each worker; to be pickled. Needed for several workers.
        progress: Told the number of distinct architectures after each trial.

    Raises:
        ArtefactError: The storage does not answer, holds the study of another run, or a worker
            was killed.
    """
    free_locks(place)
    with opened(place) as storage:
        study = open_proxy_study(storage, place, config, seed=problem.seed, rungs=problem.rungs)
        _claim(study, place, problem.records)
        mend_lines(problem.records)
        recover(study, storage)
        if config.workers == 1:
            work(study, problem, config, progress=progress)
    if config.workers > 1:
        assert load_problem is not None
        _Workers(load_problem, config, place).run(problem.records, progress)


def work(
    study: optuna.Study, problem: Problem, config: SearchConfig, *, progress: Progress = silent
) -> None:
    """Run trials in this process until enough distinct architectures are evaluated.

    A sampler that keeps proposing what is known is helped out with a random architecture.
    """
    n_idle = 0
    while is_unfinished(study, problem.records, config):
        n_idle = 0 if run_trial(study, problem, config) else n_idle + 1
        report_progress(problem.records, config, progress)
        if n_idle >= IDLE_TRIALS and not queue_unseen(study, problem):
            break


def is_unfinished(study: optuna.Study, records: Path, config: SearchConfig) -> bool:
    """Whether another trial is wanted, beside those that run now."""
    n_running = len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
    n_distinct = len({record.architecture_id for record in read_records(records)})
    n_trials = len(told_trials(study)) + n_running
    return (
        n_distinct + n_running < config.trials and n_trials < TRIALS_PER_CANDIDATE * config.trials
    )


def recover(study: optuna.Study, storage: BaseStorage) -> None:
    """Queue again what a killed search left running."""
    study_id = storage.get_study_id_from_name(study.study_name)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.params:
            study.enqueue_trial(trial.params)
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        storage.set_trial_user_attr(trial_id, INTERRUPTED, True)
        study.tell(trial.number, state=TrialState.FAIL)


def report_progress(records: Path, config: SearchConfig, progress: Progress) -> None:
    """Say how many distinct architectures are evaluated, and the best score."""
    evaluations = {record.architecture_id: record for record in read_records(records)}
    scores = [record.score for record in evaluations.values() if record.score is not None]
    note = f"best score {max(scores):.4f}" if scores else ""
    progress(STAGE, min(len(evaluations), config.trials), config.trials, note)


def _claim(study: optuna.Study, place: StudyPlace, records: Path) -> None:
    """Refuse a study that another run of the same name filled, in a database they share."""
    if not records.exists():
        if study.get_trials(deepcopy=False):
            raise ArtefactError(
                f"{place.shown} must not hold the study {study.study_name!r} of another run; "
                "name this run differently"
            )
        records.touch()


class _Workers:
    """Processes that work on one study; they end with this one, however it ends."""

    def __init__(
        self, load_problem: Callable[[], Problem], config: SearchConfig, place: StudyPlace
    ) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share threads and CUDA
        self._config = config
        self._errors: SimpleQueue[NasgtnError] = context.SimpleQueue()
        self._processes: list[BaseProcess] = [
            context.Process(
                target=_run_worker,
                args=(load_problem, config, place, number, self._errors),
                daemon=True,
            )
            for number in range(1, config.workers + 1)
        ]

    def run(self, records: Path, progress: Progress) -> None:
        for process in self._processes:
            process.start()
        try:
            while any(process.is_alive() for process in self._processes):
                sentinels = [process.sentinel for process in self._processes if process.is_alive()]
                wait(sentinels, timeout=SECONDS_BETWEEN_LOOKS)
                self._check()
                report_progress(records, self._config, progress)
            self._check()
        finally:
            for process in self._processes:
                process.terminate()
            for process in self._processes:
                process.join()

    def _check(self) -> None:
        if not self._errors.empty():
            raise self._errors.get()
        for process in self._processes:
            if process.exitcode not in (None, 0):
                raise ArtefactError(
                    f"all workers must finish, but one ended with exit code {process.exitcode}; "
                    "what was finished is kept, and the run can be resumed"
                )


def _run_worker(
    load_problem: Callable[[], Problem],
    config: SearchConfig,
    place: StudyPlace,
    number: int,
    errors: "SimpleQueue[NasgtnError]",
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    try:
        problem = load_problem()
        with opened(place) as storage:
            study = open_proxy_study(
                storage,
                place,
                config,
                seed=problem.seed,
                worker=number,
                rungs=problem.rungs,
            )
            work(study, problem, config)
    except NasgtnError as error:
        errors.put(error)
        sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
