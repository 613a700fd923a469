"""The dashboard answers over HTTP with our notes, figures, names and files."""

import _thread
import dataclasses
import io
import json
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from PIL import Image
from run_data import make_run
from selenium import webdriver
from selenium.webdriver.support.expected_conditions import text_to_be_present_in_element
from selenium.webdriver.support.wait import WebDriverWait

from nasgtn.dashboard import note, publish, serve, serving
from nasgtn.errors import ArtefactError, InvalidConfigError
from nasgtn.report import RunData, summarise
from nasgtn.search import StudyPlace
from nasgtn.search.study import opened

pytest.importorskip("optuna_dashboard")
HOSTILE = "</script><script>alert(1)</script> | `x` ![a](http://x)"


def fill(place: StudyPlace, data: RunData) -> None:
    """Make the two studies that a run leaves."""
    with opened(place) as storage:
        proxy = optuna.create_study(
            storage=storage, study_name=place.prefix + "proxy", direction="maximize"
        )
        for trial in data.history:
            is_failed = trial["state"] == "failed"
            state = TrialState.FAIL if is_failed else TrialState.COMPLETE
            proxy.add_trial(create_trial(state=state, value=trial["score"]))
        verification = optuna.create_study(
            storage=storage, study_name=place.prefix + "verification", direction="maximize"
        )
        for record in data.verification:
            attributes = {"architecture_id": record.architecture_id}
            verification.add_trial(create_trial(value=record.score, user_attrs=attributes))


@contextmanager
def answering(place: StudyPlace, artefacts: Path) -> Iterator[str]:
    with serving(place, artefacts, port=0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        content: bytes = answer.read()
    return content


def get_studies(url: str) -> dict[str, Any]:
    summaries = json.loads(get(f"{url}/api/studies"))["study_summaries"]
    return {
        row["study_name"]: {
            "id": row["study_id"],
            **json.loads(get(f"{url}/api/studies/{row['study_id']}")),
        }
        for row in summaries
    }


@pytest.fixture(params=["sqlite", "journal"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StudyPlace:
    if request.param == "sqlite":
        return StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    return StudyPlace(storage=f"journal:{tmp_path / 'study.journal'}", prefix="my run/")


@pytest.mark.slow
def test_everything_is_there_over_http(place: StudyPlace, tmp_path: Path) -> None:
    data = make_run(n_trials=24)
    fill(place, data)
    (tmp_path / "report.html").write_text("<p>report</p>")
    publish(place, data, tmp_path, tmp_path / "dashboard")
    with answering(place, tmp_path / "dashboard") as url:
        studies = get_studies(url)
        proxy = studies[place.prefix + "proxy"]
        verification = studies[place.prefix + "verification"]
        assert proxy["objective_names"] == ["proxy score"]
        assert verification["objective_names"] == ["test accuracy"]
        winner = summarise(data).winner
        assert winner is not None
        assert f"Winner: `{winner.description}`." in proxy["note"]["body"]
        figures = {row["id"] for row in proxy["plotly_graph_objects"]}
        assert {"agreement", "history", "importances", "meta-loss"} <= figures
        assert {row["id"] for row in verification["plotly_graph_objects"]} == {
            "agreement",
            "estimators",
        }
        drawn = json.loads(proxy["plotly_graph_objects"][0]["graph_object"])
        assert drawn["data"]
        assert len(proxy["trials"]) == 24
        notes = [trial["note"]["body"] for trial in verification["trials"]]
        assert sum(body.startswith("**Winner**") for body in notes) == 1
        assert sum(body.startswith("**Control**") for body in notes) == 5
        files = {row["filename"]: row["artifact_id"] for row in proxy["artifacts"]}
        assert set(files) == {"report.html", "synthetic-images.png"}
        png = get(f"{url}/artifacts/{proxy['id']}/{files['synthetic-images.png']}")
        assert Image.open(io.BytesIO(png)).width > 500
        assert b"<html" in get(f"{url}/dashboard/").lower()


@pytest.mark.slow
def test_a_browser_shows_the_studies(browser: webdriver.Chrome, tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    data = make_run(n_trials=12)
    fill(place, data)
    publish(place, data, tmp_path, tmp_path / "dashboard")
    with answering(place, tmp_path / "dashboard") as url:
        browser.get(url)
        wait = WebDriverWait(browser, 30)
        for name in ("proxy", "verification"):
            wait.until(text_to_be_present_in_element(("tag name", "body"), name))
        study = get_studies(url)["proxy"]["id"]
        browser.get(f"{url}/dashboard/studies/{study}/note")
        wait.until(text_to_be_present_in_element(("tag name", "body"), "Winner:"))


def test_publishing_again_replaces_what_was_there(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    data = make_run(n_trials=12, n_candidates=2, n_control=1)
    fill(place, data)
    for text in ("first", "second"):
        (tmp_path / "report.html").write_text(text)
        publish(place, data, tmp_path, tmp_path / "dashboard")
    with opened(place) as storage:
        study = optuna.load_study(study_name="proxy", storage=storage)
        found = optuna.artifacts.get_all_artifact_meta(study, storage=storage)
    assert sorted(meta.filename for meta in found) == ["report.html", "synthetic-images.png"]
    stored = {path.name: path.read_bytes() for path in (tmp_path / "dashboard").iterdir()}
    assert len(stored) == 2
    report = next(meta for meta in found if meta.filename == "report.html")
    assert stored[report.artifact_id] == b"second"


def test_a_run_that_has_only_begun_can_be_published(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    data = dataclasses.replace(
        make_run(n_trials=0), meta_training=[], importances={}, synthetic=None
    )
    publish(place, data, tmp_path, tmp_path / "dashboard")  # no study yet
    with opened(place) as storage:
        optuna.create_study(storage=storage, study_name="proxy", direction="maximize")
    publish(place, data, tmp_path, tmp_path / "dashboard")
    with opened(place) as storage:
        attributes = storage.get_study_system_attrs(1)
    assert "the search has no trials" in attributes["dashboard:note_str:0"]


def test_several_objectives_are_named(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    with opened(place) as storage:
        optuna.create_study(
            storage=storage, study_name="proxy", directions=["maximize", "minimize"]
        )
    data = make_run(n_trials=4)
    data = dataclasses.replace(data, config={"search": {"objectives": ["accuracy", "params"]}})
    publish(place, data, tmp_path, tmp_path / "dashboard")
    with opened(place) as storage:
        study = optuna.load_study(study_name="proxy", storage=storage)
        assert study.metric_names == ["proxy score", "params"]


def test_a_name_cannot_write_markdown() -> None:
    data = make_run(n_trials=12)
    data = dataclasses.replace(
        data,
        name=HOSTILE,
        command=HOSTILE,
        descriptions=dict.fromkeys(data.descriptions, HOSTILE),
    )
    for line in note(data, summarise(data)).splitlines():
        outside = "".join(line.split("`")[::2])
        assert "<" not in outside
        assert "http" not in outside
        if line.startswith("|"):
            assert line.count("|") == 6


def test_a_taken_port_is_one_clear_error(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidConfigError, match=f"listen on 127.0.0.1:{port}"):
            serve(place, tmp_path / "dashboard", port=port, ready=lambda _: None)


def test_an_interrupt_ends_it_quietly(tmp_path: Path) -> None:
    def interrupt(url: str) -> None:
        assert url.startswith("http://127.0.0.1:")
        threading.Timer(0.2, _thread.interrupt_main).start()

    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    start = time.monotonic()
    serve(place, tmp_path / "dashboard", port=0, ready=interrupt)
    assert time.monotonic() - start < 30


def test_a_storage_that_does_not_answer_is_one_clear_error(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'no' / 'such' / 'study.db'}")
    with pytest.raises(ArtefactError, match="must answer"):
        publish(place, make_run(n_trials=4), tmp_path, tmp_path / "dashboard")


def test_a_missing_extra_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    with pytest.raises(InvalidConfigError, match=r"pip install 'nasgtn\[dashboard\]'"):
        publish(place, make_run(n_trials=4), tmp_path, tmp_path / "dashboard")
