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
from concurrent.futures import ThreadPoolExecutor
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

from nasgtn.dashboard import Publisher, begin, serve, serving
from nasgtn.errors import ArtefactError, InvalidConfigError
from nasgtn.report import RunData, summarise, words
from nasgtn.search import SearchConfig, StudyPlace
from nasgtn.search.study import opened

pytest.importorskip("optuna_dashboard")


def publish(place: StudyPlace, data: RunData, folder: Path) -> None:
    Publisher(place, folder, folder / "dashboard").publish(data)


def fill(place: StudyPlace, data: RunData) -> None:
    """Make the two studies that a run leaves."""
    with opened(place) as storage:
        proxy = optuna.create_study(
            storage=storage,
            study_name=place.prefix + "proxy",
            direction="maximize",
            load_if_exists=True,
        )
        for trial in data.history:
            is_failed = trial["state"] == "failed"
            state = TrialState.FAIL if is_failed else TrialState.COMPLETE
            attributes = {"architecture_id": trial["architecture_id"]}
            value = trial["score"]
            proxy.add_trial(create_trial(state=state, value=value, user_attrs=attributes))
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
    publish(place, data, tmp_path)
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
        truth = {record.architecture_id: record.score for record in data.verification}
        for trial in proxy["trials"]:
            attributes = {row["key"]: row["value"] for row in trial["user_attrs"]}
            accuracy = truth.get(attributes["architecture_id"])
            said = "" if accuracy is None else words.percent(accuracy)
            assert bool(trial["note"]["body"]) == bool(said)
            assert said in trial["note"]["body"]
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
    publish(place, data, tmp_path)
    with answering(place, tmp_path / "dashboard") as url:
        browser.get(url)
        wait = WebDriverWait(browser, 30)
        for name in ("proxy", "verification"):
            wait.until(text_to_be_present_in_element(("tag name", "body"), name))
        study = get_studies(url)["proxy"]["id"]
        browser.get(f"{url}/dashboard/studies/{study}/note")
        wait.until(text_to_be_present_in_element(("tag name", "body"), "Winner:"))
        details = get_studies(url)["verification"]
        winner = next(t for t in details["trials"] if t["note"]["body"].startswith("**Winner**"))
        browser.get(f"{url}/dashboard/studies/{details['id']}/trials?numbers={winner['number']}")
        wait.until(text_to_be_present_in_element(("tag name", "body"), "fused score"))
        console: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
        assert not [row for row in console if "Uncaught" in row["message"]]


@pytest.mark.slow
def test_it_is_opened_before_the_first_trial_and_follows_the_run(
    browser: webdriver.Chrome, place: StudyPlace, tmp_path: Path
) -> None:
    whole = make_run(n_trials=24)
    empty = dataclasses.replace(
        make_run(n_trials=0), meta_training=[], importances={}, synthetic=None
    )
    publisher = Publisher(place, tmp_path, tmp_path / "dashboard")
    begin(place, SearchConfig())
    publisher.publish(empty)
    with answering(place, tmp_path / "dashboard") as url:
        wait = WebDriverWait(browser, 30)
        browser.get(url)
        wait.until(text_to_be_present_in_element(("tag name", "body"), "proxy"))
        (found,) = get_studies(url).values()
        assert "the search has no trials" in found["note"]["body"]
        fill(place, dataclasses.replace(whole, verification=whole.verification[:2]))
        publisher.publish(dataclasses.replace(whole, verification=whole.verification[:2]))
        assert len(notes_of(url, place)) == 2
        with opened(place) as storage:
            study = optuna.load_study(study_name=f"{place.prefix}verification", storage=storage)
            for record in whole.verification[2:]:
                attributes = {"architecture_id": record.architecture_id}
                study.add_trial(create_trial(value=record.score, user_attrs=attributes))
        publisher.publish(whole)
        time.sleep(2.1)  # so long does the dashboard remember trials
        notes = notes_of(url, place)
        assert len(notes) == len(whole.verification)
        winner = summarise(whole).winner
        assert winner is not None
        (best,) = (note for note in notes if note.startswith("**Winner**"))
        assert winner.description in best
        browser.get(f"{url}/dashboard/studies/{found['id']}/note")
        wait.until(text_to_be_present_in_element(("tag name", "body"), winner.description))


def notes_of(url: str, place: StudyPlace) -> list[str]:
    trials = get_studies(url)[f"{place.prefix}verification"]["trials"]
    return [trial["note"]["body"] for trial in trials if trial["note"]["body"]]


def test_only_what_changed_is_written_again(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"journal:{tmp_path / 'study.journal'}")
    data = make_run(n_trials=12, n_candidates=2, n_control=1)
    fill(place, data)
    publisher = Publisher(place, tmp_path, tmp_path / "dashboard")
    publisher.publish(data)
    journal = tmp_path / "study.journal"
    before = journal.read_bytes()
    publisher.publish(data)
    assert journal.read_bytes() == before
    (record, *rest) = data.verification
    worse = dataclasses.replace(record, score=0.125)
    publisher.publish(dataclasses.replace(data, verification=[worse, *rest]))
    added = journal.read_bytes().removeprefix(before)
    assert b"12.5" in added
    assert b"dashboard:plot_data:meta-loss" not in added


def test_nothing_is_read_again_before_the_run_writes(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    data = make_run(n_trials=4)
    fill(place, data)
    publisher = Publisher(place, tmp_path, tmp_path / "dashboard")
    read: list[int] = []

    def count() -> RunData:
        read.append(len(read))
        return data

    publisher.refresh(count)
    publisher.refresh(count)
    assert len(read) == 1
    (tmp_path / "proxy.jsonl").touch()
    publisher.refresh(count)
    assert len(read) == 2


def test_several_that_write_at_once_leave_each_file_once(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    data = make_run(n_trials=8, n_candidates=2, n_control=1)
    fill(place, data)
    (tmp_path / "report.html").write_text("report")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: publish(place, data, tmp_path), range(3)))
    with opened(place) as storage:
        study = optuna.load_study(study_name="proxy", storage=storage)
        found = optuna.artifacts.get_all_artifact_meta(study, storage=storage)
    assert sorted(meta.filename for meta in found) == ["report.html", "synthetic-images.png"]


def test_a_search_goes_on_while_a_dashboard_is_read(tmp_path: Path) -> None:
    """A reader that never pauses, and one who writes notes, hold up no trial for long."""
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    begin(place, SearchConfig())
    data = make_run(n_trials=4)
    ended = threading.Event()

    def keep_reading(url: str) -> None:
        while not ended.is_set():
            get_studies(url)

    def keep_writing() -> None:
        while not ended.is_set():
            publish(place, data, tmp_path)

    with answering(place, tmp_path / "dashboard") as url, ThreadPoolExecutor(2) as pool:
        others = [pool.submit(keep_reading, url), pool.submit(keep_writing)]
        try:
            with opened(place) as storage:
                study = optuna.load_study(study_name="proxy", storage=storage)
                for n in range(20):
                    study.tell(study.ask(), n / 20)
        finally:
            ended.set()
        for other in others:
            other.result()
    with opened(place) as storage:
        assert len(optuna.load_study(study_name="proxy", storage=storage).trials) == 20


def test_publishing_again_replaces_what_was_there(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    data = make_run(n_trials=12, n_candidates=2, n_control=1)
    fill(place, data)
    for text in ("first", "second"):
        (tmp_path / "report.html").write_text(text)
        publish(place, data, tmp_path)
    with opened(place) as storage:
        study = optuna.load_study(study_name="proxy", storage=storage)
        found = optuna.artifacts.get_all_artifact_meta(study, storage=storage)
    assert sorted(meta.filename for meta in found) == ["report.html", "synthetic-images.png"]
    stored = {path.name: path.read_bytes() for path in (tmp_path / "dashboard").iterdir()}
    assert set(stored) == {"lock", *(meta.artifact_id for meta in found)}
    report = next(meta for meta in found if meta.filename == "report.html")
    assert stored[report.artifact_id] == b"second"


def test_a_run_that_has_only_begun_can_be_published(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    data = dataclasses.replace(
        make_run(n_trials=0), meta_training=[], importances={}, synthetic=None
    )
    publish(place, data, tmp_path)  # no study yet
    with opened(place) as storage:
        optuna.create_study(storage=storage, study_name="proxy", direction="maximize")
    publish(place, data, tmp_path)
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
    publish(place, data, tmp_path)
    with opened(place) as storage:
        study = optuna.load_study(study_name="proxy", storage=storage)
        assert study.metric_names == ["proxy score", "params"]


def test_a_taken_port_is_one_clear_error(tmp_path: Path) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidConfigError, match=f"listen on 127.0.0.1:{port}"):
            serve(place, tmp_path / "dashboard", port=port, ready=lambda _: None)


def test_a_port_that_nobody_asked_for_may_be_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr("nasgtn.dashboard.PORT", taken.getsockname()[1])
        with serving(place, tmp_path / "dashboard") as server:
            assert server.server_port not in (0, taken.getsockname()[1])


def test_it_is_brought_up_to_date_again_and_again_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nasgtn.dashboard.SECONDS_BETWEEN_LOOKS", 0.01)
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    calls: list[int] = []

    def refresh() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise ArtefactError("a line is torn")
        if len(calls) == 3:
            _thread.interrupt_main()

    serve(place, tmp_path / "dashboard", port=0, refresh=refresh, ready=lambda _: None)
    assert len(calls) >= 3
    assert "a line is torn" in caplog.text


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
        publish(place, make_run(n_trials=4), tmp_path)


def test_a_missing_extra_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    place = StudyPlace(storage=f"sqlite:///{tmp_path / 'study.db'}")
    with pytest.raises(InvalidConfigError, match=r"pip install 'nasgtn\[dashboard\]'"):
        publish(place, make_run(n_trials=4), tmp_path)
