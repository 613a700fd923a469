"""Opens the Optuna studies of a run: storage, sampler, pruner."""

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from nasgtn.errors import ArtefactError
from nasgtn.randomness import derive_seed
from nasgtn.records import mend_lines
from nasgtn.search.config import SearchConfig

PROXY_STUDY = "proxy"
VERIFICATION_STUDY = "verification"
JOURNAL_PREFIX = "journal:"
SECONDS_TO_CONNECT = 10
SECONDS_TO_WAIT_FOR_LOCK = 60
"""An open dashboard reads the SQLite file of a study, and holds up who writes to it."""

SECONDS_OF_A_LOCK = 1.0
"""A journal is locked for milliseconds; an older lock was left behind."""

MEDIAN_STARTUP_TRIALS = 10
"""Complete evaluations before the first one can be pruned."""


@dataclass(frozen=True, kw_only=True)
class StudyPlace:
    """Where a run keeps its studies."""

    storage: str
    """An Optuna URL, or `journal:` and the path of a journal file."""
    prefix: str = ""
    """Tells the studies of several runs in one database apart."""

    @property
    def shown(self) -> str:
        """The storage as it may be shown: without a password."""
        if self.storage.startswith(JOURNAL_PREFIX):
            return self.storage
        try:
            return make_url(self.storage).render_as_string(hide_password=True)
        except SQLAlchemyError:
            return self.storage


def study_place(config: SearchConfig, folder: Path, *, file: str, journal: str) -> StudyPlace:
    """Say where the run in `folder` keeps its studies: `file` is SQLite, `journal` for workers."""
    if config.storage is not None:
        return StudyPlace(storage=config.storage, prefix=f"{folder.name}/")
    if config.workers > 1:
        return StudyPlace(storage=f"{JOURNAL_PREFIX}{folder / journal}")
    return StudyPlace(storage=f"sqlite:///{(folder / file).resolve()}")


@contextmanager
def opened(place: StudyPlace, *, to_read: bool = False) -> Iterator[BaseStorage]:
    """Open a storage for the time of the block.

    Args:
        place: Where it is.
        to_read: Neither make a database that is missing, nor change one that may be another's.

    Raises:
        ArtefactError: It does not answer, when it is opened or later in the block.
    """
    optuna.logging.set_verbosity(logging.WARNING)
    if place.storage.startswith(JOURNAL_PREFIX):
        with _journal(place, to_read=to_read) as journal:
            yield journal
        return
    storage = _connect(place, to_read=to_read)
    try:
        yield storage
    except (SQLAlchemyError, StorageInternalError) as error:
        raise _unanswered(place, error) from error
    finally:
        storage.remove_session()
        storage.engine.dispose()


def check_storage(place: StudyPlace) -> None:
    """Ask a storage for its studies, to find out that it does not answer before a long run."""
    with opened(place) as storage:
        storage.get_all_studies()


def free_locks(place: StudyPlace) -> None:
    """Put a journal file in order that killed processes left locked or torn.

    For the moment before a run goes on, when no other process works on it; an open dashboard may
    write a note.
    """
    if place.storage.startswith(JOURNAL_PREFIX):
        path = Path(place.storage.removeprefix(JOURNAL_PREFIX))
        lock = path.with_name(path.name + ".lock")
        end = time.monotonic() + SECONDS_OF_A_LOCK
        while lock.is_symlink() and time.monotonic() < end:
            time.sleep(SECONDS_OF_A_LOCK / 100)
        lock.unlink(missing_ok=True)
        mend_lines(path)


def open_proxy_study(
    storage: BaseStorage,
    place: StudyPlace,
    config: SearchConfig,
    *,
    seed: int,
    worker: int = 0,
    rungs: Sequence[int] = (),
) -> optuna.Study:
    """Open the study of a search, or make it.

    The state of a sampler is not stored. Its seed depends on how many trials there are, so that a
    resumed study does not propose the same architectures again. `rungs` are the steps at which an
    evaluation tells its score; a pruner needs them.
    """
    study = optuna.create_study(
        storage=storage,
        study_name=place.prefix + PROXY_STUDY,
        directions=config.directions,
        pruner=_pruner(config, rungs),
        load_if_exists=True,
    )
    n_trials = len(study.get_trials(deepcopy=False))
    study.sampler = _sampler(config.sampler, derive_seed(seed, "sampler", n_trials, worker))
    return study


def load_proxy_study(storage: BaseStorage, place: StudyPlace) -> optuna.Study:
    """Open the study of a search to read it.

    Raises:
        ArtefactError: There is none.
    """
    try:
        return optuna.load_study(storage=storage, study_name=place.prefix + PROXY_STUDY)
    except KeyError as error:
        raise ArtefactError(f"{place.shown} holds no study of this run") from error


def _sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    match name:
        case "tpe":
            return optuna.samplers.TPESampler(seed=seed)
        case "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed)
        case "gp":
            return optuna.samplers.GPSampler(seed=seed)
        case _:
            return optuna.samplers.RandomSampler(seed=seed)


def _pruner(config: SearchConfig, rungs: Sequence[int]) -> optuna.pruners.BasePruner:
    if not config.prune or len(rungs) < 2:
        return optuna.pruners.NopPruner()
    factor = max(2, rungs[1] // rungs[0])  # rounded up, Hyperband would have one bracket alone
    if config.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=rungs[0], reduction_factor=factor
        )
    if config.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=rungs[0], max_resource=rungs[-1], reduction_factor=factor
        )
    return optuna.pruners.MedianPruner(n_startup_trials=MEDIAN_STARTUP_TRIALS)


@contextmanager
def _journal(place: StudyPlace, *, to_read: bool) -> Iterator[BaseStorage]:
    path = Path(place.storage.removeprefix(JOURNAL_PREFIX))
    if to_read and not path.exists():
        raise ArtefactError(f"{path} must be there, but is not")
    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        # lines that are not Optuna's
        raise ArtefactError(f"{path} must be a journal of Optuna, but is not: {error}") from error
    yield storage


def _connect(place: StudyPlace, *, to_read: bool) -> RDBStorage:
    path = _sqlite_path(place)
    if to_read and path is not None and not path.exists():
        raise ArtefactError(f"{path} must be there, but is not")
    try:
        storage = RDBStorage(
            place.storage,
            engine_kwargs=_engine_options(place.storage),
            skip_table_creation=to_read,
        )
        if storage.engine.dialect.name == "sqlite" and not to_read:
            event.listen(storage.engine, "connect", _write_ahead)
            storage.engine.dispose()  # the connections so far do not know of it
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        raise _unanswered(place, error) from error
    return storage


def _sqlite_path(place: StudyPlace) -> Path | None:
    """Find the file of a database that is one."""
    try:
        url = make_url(place.storage)
    except SQLAlchemyError:
        return None  # connecting says what is wrong with it
    is_file = url.get_backend_name() == "sqlite" and url.database
    return Path(url.database) if is_file and url.database else None


def _write_ahead(connection: sqlite3.Connection, _record: object) -> None:
    """Let readers such as the dashboard not block the search, and commit without a disk sync.

    A killed process loses nothing; a power cut may lose the last trials, never the file.
    """
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _engine_options(url: str) -> dict[str, object]:
    dialect = make_url(url).get_backend_name()
    if dialect == "sqlite":
        return {"connect_args": {"timeout": SECONDS_TO_WAIT_FOR_LOCK}}
    if dialect in ("postgresql", "mysql", "mariadb"):
        connect = {"connect_timeout": SECONDS_TO_CONNECT}
        return {"connect_args": connect, "pool_pre_ping": True}
    return {}


def _unanswered(place: StudyPlace, error: BaseException) -> ArtefactError:
    cause = error.__cause__ or error
    reason = str(cause).strip().split("\n")[0] or type(cause).__name__
    return ArtefactError(f"the storage {place.shown} must answer, but it says: {reason}")
