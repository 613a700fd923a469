"""Opens optuna-dashboard on the studies of a run, with what nasgtn found out beside the trials."""

import importlib
import io
import warnings
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from types import ModuleType
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.storages import BaseStorage
from PIL import Image

from nasgtn.artefacts import BASELINES, PROXY, REPORT, VERIFICATION
from nasgtn.errors import InvalidConfigError
from nasgtn.report import RunData, Summary, summarise, words
from nasgtn.report.figures import TITLES, draw
from nasgtn.report.picture import picture
from nasgtn.report.summary import Verified
from nasgtn.search import StudyPlace
from nasgtn.search.objective import ARCHITECTURE_ID
from nasgtn.search.study import PROXY_STUDY, VERIFICATION_STUDY, opened

SHOWN = (REPORT, PROXY, VERIFICATION, BASELINES)
"""Files of a run that the dashboard offers as artifacts, where they are there."""
PICTURE = "synthetic-images.png"
OF_TRUTH = ("agreement", "estimators")
"""Figures that the study of the verification shows too."""


def publish(place: StudyPlace, data: RunData, folder: Path, artefacts: Path) -> None:
    """Add notes, figures and artifacts to the studies of a run; again replaces what is there.

    Args:
        place: Where the run keeps its studies.
        data: What the run found so far.
        folder: Of the run; its report and records become artifacts.
        artefacts: Folder for the files of the artifacts; made where it is missing.

    Raises:
        InvalidConfigError: The extra `dashboard` is not installed.
        ArtefactError: The storage does not answer.
    """
    package = _need()
    summary = summarise(data)
    text, figures = note(data, summary), draw(data, summary)
    with opened(place) as storage:
        studies = _studies(storage, place)
        for name, study in studies.items():
            names = _objective_names(name, data)
            if len(names) == len(study.directions):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    study.set_metric_names(names)
            package.save_note(study, text)
            for graph, figure in figures.items():
                if name == PROXY_STUDY or graph in OF_TRUTH:
                    figure.update_layout(title=TITLES[graph], margin_t=90)
                    package.save_plotly_graph_object(study, figure, graph_object_id=graph)
        if VERIFICATION_STUDY in studies:
            _note_trials(package, studies[VERIFICATION_STUDY], summary)
        if PROXY_STUDY in studies:
            _upload(studies[PROXY_STUDY], storage, _files(data, folder), artefacts)


def serve(
    place: StudyPlace,
    artefacts: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    ready: Callable[[str], object] = webbrowser.open,
) -> None:
    """Serve the dashboard until the user interrupts it; `ready` is told its address.

    Raises:
        InvalidConfigError: The extra `dashboard` is not installed, or the port is taken.
        ArtefactError: The storage does not answer.
    """
    with serving(place, artefacts, host=host, port=port) as server:
        ready(f"http://{host}:{server.server_port}/")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


@contextmanager
def serving(
    place: StudyPlace, artefacts: Path, *, host: str = "127.0.0.1", port: int = 8080
) -> Iterator[WSGIServer]:
    """Make a server that listens, and answers once it is told to `serve_forever`."""
    package = _need()
    artefacts.mkdir(parents=True, exist_ok=True)
    with opened(place) as storage:
        store = FileSystemArtifactStore(artefacts)
        application = package.wsgi(storage, artifact_store=store)
        try:
            server = make_server(host, port, application, _Server, _Quiet)
        except OSError as error:
            raise InvalidConfigError(
                f"the dashboard must be able to listen on {host}:{port}, but: {error.strerror}"
            ) from error
        with server:
            yield server


def note(data: RunData, summary: Summary) -> str:
    """Write what the run found as Markdown."""
    lines = [f"## {_code(data.name)}"]
    if summary.winner is not None:
        lines.append(f"Winner: {_code(summary.winner.description)}.")
    lines += [
        words.winner_in_words(summary, data.task),
        words.trust_in_words(summary.proxy),
        words.cost_in_words(summary.costs),
    ]
    rows = summary.verified or summary.best_scores
    if rows:
        table = [
            "| architecture | chosen as | proxy score | test accuracy | parameters |",
            "| --- | --- | ---: | ---: | ---: |",
        ]
        table += [
            f"| {_code(row.description)} | {_role(row, summary)} | "
            f"{words.number(row.proxy_score, 3)} | {words.percent(row.test_accuracy)} | "
            f"{words.count(row.n_parameters)} |"
            for row in rows
        ]
        lines.append("\n".join(table))
    lines.append(f"Run it again: {_code(data.command)}")
    return "\n\n".join(lines) + "\n"


class _Server(ThreadingMixIn, WSGIServer):
    """A browser asks for several things at once."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Says nothing about each request."""

    def log_message(self, format: str, *args: object) -> None:
        return


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
    return ["proxy score" if name == "accuracy" else str(name) for name in objectives]


def _note_trials(package: ModuleType, study: optuna.Study, summary: Summary) -> None:
    """Say beside each verified trial what it is, and how its two scores compare."""
    rows = {row.architecture_id: row for row in summary.verified}
    for frozen in study.get_trials(deepcopy=False):
        row = rows.get(frozen.user_attrs.get(ARCHITECTURE_ID, ""))
        if row is None:
            continue
        text = (
            f"**{_role(row, summary).capitalize()}** {_code(row.description)}\n\n"
            f"Proxy score {words.number(row.proxy_score, 3)}, "
            f"test accuracy {words.percent(row.test_accuracy)}, "
            f"validation accuracy {words.percent(row.validation_accuracy)}, "
            f"{words.count(row.n_parameters)} parameters.\n"
        )
        package.save_note(optuna.trial.Trial(study, frozen._trial_id), text)


def _role(row: Verified, summary: Summary) -> str:
    if summary.winner is not None and row.architecture_id == summary.winner.architecture_id:
        return "winner"
    return "control" if row.is_control else "candidate"


def _files(data: RunData, folder: Path) -> dict[str, bytes]:
    """What becomes an artifact, by file name."""
    found = {name: (folder / name).read_bytes() for name in SHOWN if (folder / name).is_file()}
    class_names = [str(name) for name in data.task.get("class_names", ())]
    drawn = picture(*data.synthetic, class_names) if data.synthetic else None
    if drawn is not None:
        found[PICTURE] = _enlarged(drawn.png)
    return found


def _enlarged(png: bytes) -> bytes:
    """Make a small picture about a thousand pixels wide."""
    image = Image.open(io.BytesIO(png))
    times = max(1, 1000 // image.width)
    file = io.BytesIO()
    image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST).save(
        file, format="PNG", optimize=True
    )
    return file.getvalue()


def _upload(
    study: optuna.Study, storage: BaseStorage, files: Mapping[str, bytes], artefacts: Path
) -> None:
    """Store each file once under its name; a later version takes the place of the earlier."""
    artefacts.mkdir(parents=True, exist_ok=True)
    store = FileSystemArtifactStore(artefacts)
    known = {meta.filename: meta for meta in get_all_artifact_meta(study, storage=storage)}
    for name, content in files.items():
        if name in known:
            store.write(known[name].artifact_id, io.BytesIO(content))
            continue
        path = artefacts / name
        path.write_bytes(content)
        upload_artifact(
            artifact_store=store, file_path=str(path), study_or_trial=study, storage=storage
        )
        path.unlink()


def _code(text: str) -> str:
    """Write a user's text so that Markdown reads nothing into it, not even a table's border."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "/")
    return f"`{plain}`" if plain else "unnamed"


def _need() -> ModuleType:
    try:
        return importlib.import_module("optuna_dashboard")
    except ImportError as error:
        raise InvalidConfigError(
            "the dashboard needs the package optuna-dashboard "
            f"(pip install 'nasgtn[dashboard]'), but importing it failed: {error}"
        ) from error
