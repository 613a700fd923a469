"""Opens optuna-dashboard on the studies of a run, with what nasgtn found out beside the trials."""

import fcntl
import importlib
import io
import logging
import tempfile
import threading
import time
import warnings
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socketserver import ThreadingMixIn
from types import ModuleType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import WSGIApplication

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.storages import BaseStorage
from PIL import Image

from nasgtn.artefacts import ANCHORS, BASELINES, PROXY, REPORT, SHORTLIST, VERIFICATION
from nasgtn.errors import InvalidConfigError, NasgtnError
from nasgtn.notes import fused_scores, note, trial_note
from nasgtn.report import RunData, Summary, summarise
from nasgtn.report.figures import TITLES, draw
from nasgtn.report.picture import picture
from nasgtn.search import SearchConfig, StudyPlace
from nasgtn.search.objective import ARCHITECTURE_ID
from nasgtn.search.study import PROXY_STUDY, VERIFICATION_STUDY, open_proxy_study, opened

SHOWN = (REPORT, ANCHORS, PROXY, SHORTLIST, VERIFICATION, BASELINES)
"""Files of a run that the dashboard offers as artifacts, where they are there."""
PICTURE = "synthetic-images.png"
OF_TRUTH = ("agreement", "estimators")
"""Figures that the study of the verification shows too."""
LOCK = "lock"
PORT = 8080
SECONDS_BETWEEN_LOOKS = 10.0
SHARE = 0.1
"""Of one core that bringing a dashboard up to date takes at most: the run needs the machine."""

log = logging.getLogger(__name__)


def begin(place: StudyPlace, config: SearchConfig) -> None:
    """Make the study of a search that is still to come, so that there is something to show."""
    with opened(place) as storage:
        open_proxy_study(storage, place, config, seed=0)


class Publisher:
    """Adds notes, figures and artifacts to the studies of a run.

    What it has written it writes again only where that has changed, so that a run that is under
    way is hardly kept from its storage. Figures are drawn again with each verified architecture
    and not with each trial, since the browser may read one while it is written.

    Args:
        place: Where the run keeps its studies.
        folder: Of the run; its report and records become artifacts.
        artefacts: Folder for the files of the artifacts; made where it is missing.

    Raises:
        InvalidConfigError: The extra `dashboard` is not installed.
    """

    def __init__(self, place: StudyPlace, folder: Path, artefacts: Path) -> None:
        self._package = _need()
        self._place = place
        self._folder = folder
        self._artefacts = artefacts
        self._written: dict[tuple[str, ...], object] = {}
        self._seen: object = None
        self._drawn: object = None

    def refresh(self, read: Callable[[], RunData]) -> None:
        """Publish what `read` finds, if the run has written anything since the last time."""
        paths = [self._folder / REPORT, *self._folder.glob("*.jsonl")]
        seen = {path.name: path.stat().st_mtime_ns for path in paths if path.exists()}
        if seen != self._seen:
            self.publish(read())
            self._seen = seen

    def publish(self, data: RunData) -> None:
        """Write what has changed.

        Args:
            data: What the run found so far.

        Raises:
            ArtefactError: The storage does not answer.
        """
        summary = summarise(data)
        text = note(data, summary)
        verified = {one.architecture_id for one in data.verification}
        judged = [one for one in data.baselines if one.architecture_id in verified]
        drawn = data.synthetic is not None, len(judged), len(data.verification)
        figures = draw(data, summary) if drawn != self._drawn else {}
        with _alone(self._artefacts), opened(self._place) as storage:
            studies = _studies(storage, self._place)
            for name, study in studies.items():
                self._name_objectives(name, study, data)
                self._note(study, text, name)
                self._draw(study, figures, name)
                self._note_trials(study, data, summary, name)
            if PROXY_STUDY in studies:
                self._upload(studies[PROXY_STUDY], storage, data, with_picture=bool(figures))
        self._drawn = drawn

    def _once(self, key: tuple[str, ...], content: object, write: Callable[[], object]) -> None:
        if key not in self._written or self._written[key] != content:
            write()
            self._written[key] = content

    def _name_objectives(self, name: str, study: optuna.Study, data: RunData) -> None:
        names = _objective_names(name, data)
        if len(names) == len(study.directions):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._once((name, "names"), names, lambda: study.set_metric_names(names))

    def _note(self, target: "optuna.Study | optuna.Trial", text: str, *key: str) -> None:
        self._once(("note", *key), text, lambda: self._package.save_note(target, text))

    def _draw(self, study: optuna.Study, figures: Mapping[str, Any], name: str) -> None:
        save = self._package.save_plotly_graph_object
        for graph, figure in figures.items():
            if name == PROXY_STUDY or graph in OF_TRUTH:
                figure.update_layout(title=TITLES[graph], margin_t=90)
                write = partial(save, study, figure, graph_object_id=graph)
                self._once(("figure", name, graph), figure.to_json(), write)

    def _note_trials(
        self, study: optuna.Study, data: RunData, summary: Summary, name: str
    ) -> None:
        """Say beside each trial of a verified architecture what it is, and how it did."""
        rows = {row.architecture_id: row for row in summary.verified}
        fused = fused_scores(data)
        for frozen in study.get_trials(deepcopy=False):
            row = rows.get(frozen.user_attrs.get(ARCHITECTURE_ID, ""))
            if row is not None:
                trial = optuna.trial.Trial(study, frozen._trial_id)
                self._note(trial, trial_note(row, summary, fused), name, str(frozen.number))

    def _upload(
        self, study: optuna.Study, storage: BaseStorage, data: RunData, *, with_picture: bool
    ) -> None:
        """Store each file once under its name; a later version takes the place of the earlier."""
        store = FileSystemArtifactStore(self._artefacts)
        known = {
            meta.filename: meta.artifact_id
            for meta in get_all_artifact_meta(study, storage=storage)
        }

        def upload(name: str, read: Callable[[], bytes]) -> None:
            if name in known:
                store.write(known[name], io.BytesIO(read()))
                return
            with tempfile.TemporaryDirectory(dir=self._artefacts) as folder:
                path = Path(folder) / name
                path.write_bytes(read())
                upload_artifact(
                    artifact_store=store,
                    file_path=str(path),
                    study_or_trial=study,
                    storage=storage,
                )

        for name in SHOWN:
            path = self._folder / name
            if path.is_file():
                version = path.stat().st_mtime_ns
                self._once(("file", name), version, partial(upload, name, path.read_bytes))
        png = _picture(data) if with_picture else None
        if png is not None:
            self._once(("file", PICTURE), png, partial(upload, PICTURE, io.BytesIO(png).read))


def serve(
    place: StudyPlace,
    artefacts: Path,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    refresh: Callable[[], object] | None = None,
    ready: Callable[[str], object] = webbrowser.open,
) -> None:
    """Serve the dashboard until the user interrupts it.

    Args:
        place: Where the run keeps its studies.
        artefacts: Folder of the files of the artifacts.
        host: To listen on.
        port: None: `PORT`, or a free one where that is taken.
        refresh: Called now and then beside; its errors are logged.
        ready: Told the address.

    Raises:
        InvalidConfigError: The extra `dashboard` is not installed, or the port is taken.
        ArtefactError: The storage does not answer.
    """
    with serving(place, artefacts, host=host, port=port) as server:
        ready(f"http://{host}:{server.server_port}/")
        with _repeating(refresh or (lambda: None)):
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                return


@contextmanager
def serving(
    place: StudyPlace, artefacts: Path, *, host: str = "127.0.0.1", port: int | None = None
) -> Iterator[WSGIServer]:
    """Make a server that listens, and answers once it is told to `serve_forever`."""
    package = _need()
    artefacts.mkdir(parents=True, exist_ok=True)
    with opened(place) as storage:
        store = FileSystemArtifactStore(artefacts)
        application = package.wsgi(storage, artifact_store=store)
        try:
            server = _listen(application, host, PORT if port is None else port)
        except InvalidConfigError:
            if port is not None:
                raise
            server = _listen(application, host, 0)
        with server:
            yield server


class _Server(ThreadingMixIn, WSGIServer):
    """A browser asks for several things at once."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Says nothing about each request."""

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def _alone(artefacts: Path) -> Iterator[None]:
    """Wait for other dashboards of the run that are writing; the lock ends with the process."""
    artefacts.mkdir(parents=True, exist_ok=True)
    with (artefacts / LOCK).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _repeating(refresh: Callable[[], object]) -> Iterator[None]:
    """Call `refresh` again and again in a thread, as long as the block lasts."""
    ended, took = threading.Event(), 0.0

    def run() -> None:
        nonlocal took
        while not ended.wait(max(SECONDS_BETWEEN_LOOKS, took / SHARE)):
            start = time.thread_time()
            try:
                refresh()
            except (NasgtnError, OSError) as error:  # next time it may be well again
                log.warning("the dashboard could not be brought up to date: %s", error)
            took = time.thread_time() - start

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _listen(application: WSGIApplication, host: str, port: int) -> WSGIServer:
    try:
        return make_server(host, port, application, _Server, _Quiet)
    except OSError as error:
        raise InvalidConfigError(
            f"the dashboard must be able to listen on {host}:{port}, but: {error.strerror}"
        ) from error


def _studies(storage: BaseStorage, place: StudyPlace) -> dict[str, optuna.Study]:
    there = {study.study_name for study in storage.get_all_studies()}
    return {
        name: optuna.load_study(
            storage=storage,
            study_name=place.prefix + name,
            sampler=optuna.samplers.RandomSampler(),  # asks nothing of a study
        )
        for name in (PROXY_STUDY, VERIFICATION_STUDY)
        if place.prefix + name in there
    }


def _objective_names(study: str, data: RunData) -> list[str]:
    if study == VERIFICATION_STUDY:
        return ["test accuracy"]
    objectives = data.config.get("search", {}).get("objectives", ["accuracy"])
    return [data.searched_score if name == "accuracy" else str(name) for name in objectives]


def _picture(data: RunData) -> bytes | None:
    """Draw the synthetic images, large enough for a browser."""
    class_names = [str(name) for name in data.task.get("class_names", ())]
    drawn = picture(*data.synthetic, class_names) if data.synthetic else None
    return None if drawn is None else _enlarged(drawn.png)


def _enlarged(png: bytes) -> bytes:
    """Make a small picture about a thousand pixels wide."""
    image = Image.open(io.BytesIO(png))
    times = max(1, 1000 // image.width)
    file = io.BytesIO()
    image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST).save(
        file, format="PNG", optimize=True
    )
    return file.getvalue()


def _need() -> ModuleType:
    try:
        return importlib.import_module("optuna_dashboard")
    except ImportError as error:
        raise InvalidConfigError(
            "the dashboard needs the package optuna-dashboard "
            f"(pip install 'nasgtn[dashboard]'), but importing it failed: {error}"
        ) from error
