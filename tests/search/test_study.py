import sqlite3
from pathlib import Path

import optuna
import pytest

from nasgtn.errors import ArtefactError
from nasgtn.search import SearchConfig, StudyPlace, check_storage, history, study_place
from nasgtn.search.study import free_locks, open_proxy_study, opened

PLACES = ("sqlite", "journal")


def place_of(kind: str, folder: Path) -> StudyPlace:
    config = SearchConfig(workers=1 if kind == "sqlite" else 2)
    return study_place(config, folder, file="study.db", journal="study.journal")


@pytest.mark.parametrize("kind", PLACES)
def test_what_one_process_tells_another_one_reads(kind: str, tmp_path: Path) -> None:
    place = place_of(kind, tmp_path)
    config = SearchConfig()
    with opened(place) as storage:
        study = open_proxy_study(storage, place, config, seed=0)
        trial = study.ask()
        study.tell(trial, trial.suggest_float("x", 0, 1))
    with opened(place) as storage:
        again = open_proxy_study(storage, place, config, seed=0)
        assert [t.value for t in again.trials] == [trial.params["x"]]
        assert again.study_name == "proxy"


def test_a_resumed_sampler_does_not_repeat_its_first_proposals(tmp_path: Path) -> None:
    place = place_of("sqlite", tmp_path)
    drawn = []
    for _ in range(2):
        with opened(place) as storage:
            study = open_proxy_study(storage, place, SearchConfig(sampler="random"), seed=0)
            for _ in range(4):
                trial = study.ask()
                drawn.append(trial.suggest_float("x", 0, 1))
                study.tell(trial, drawn[-1])
    assert len(set(drawn)) == 8


def test_workers_propose_differently_and_the_same_seed_proposes_the_same() -> None:
    place = StudyPlace(storage="sqlite://")

    def draw(seed: int, worker: int) -> float:
        storage = optuna.storages.InMemoryStorage()
        study = open_proxy_study(storage, place, SearchConfig(), seed=seed, worker=worker)
        return study.ask().suggest_float("x", 0, 1)

    assert draw(0, 1) == draw(0, 1)
    assert len({draw(0, 1), draw(0, 2), draw(1, 1)}) == 3


def test_a_reader_does_not_block_the_search(tmp_path: Path) -> None:
    place = place_of("sqlite", tmp_path)
    with opened(place) as storage:
        study = open_proxy_study(storage, place, SearchConfig(), seed=0)
        reader = sqlite3.connect(tmp_path / "study.db", timeout=0)
        try:
            reader.execute("BEGIN")
            assert reader.execute("SELECT COUNT(*) FROM trials").fetchone() == (0,)
            study.tell(study.ask(), 1.0)  # waits for nobody
        finally:
            reader.close()
        assert len(study.trials) == 1


def test_runs_that_share_a_database_have_studies_of_their_own(tmp_path: Path) -> None:
    config = SearchConfig(storage=f"sqlite:///{tmp_path / 'shared.db'}", workers=3)
    places = [
        study_place(config, tmp_path / name, file="study.db", journal="study.journal")
        for name in ("one", "two")
    ]
    for place in places:
        with opened(place) as storage:
            open_proxy_study(storage, place, config, seed=0)
    with opened(places[0]) as storage:
        assert sorted(optuna.get_all_study_names(storage)) == ["one/proxy", "two/proxy"]


@pytest.mark.parametrize(
    "storage",
    [
        "sqlite:////no/such/folder/study.db",
        "postgresql+psycopg2://me:secret@127.0.0.1:1/nasgtn",
        "redis://127.0.0.1:1",
        "no url at all",
    ],
)
def test_a_storage_that_does_not_answer_is_one_clear_line(storage: str) -> None:
    with pytest.raises(ArtefactError, match=r"must answer, but it says: .+") as caught:
        check_storage(StudyPlace(storage=storage))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def ask_a_damaged_study(folder: Path) -> None:
    place = place_of("sqlite", folder)
    with opened(place) as storage:
        study = open_proxy_study(storage, place, SearchConfig(), seed=0)
        other = sqlite3.connect(folder / "study.db")
        other.execute("DROP TABLE trials")
        other.close()
        study.ask()


def test_a_storage_that_stops_answering_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"study\.db must answer, but it says"):
        ask_a_damaged_study(tmp_path)


def test_a_database_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("this is not a database, but long enough to be read" * 99)
    with pytest.raises(ArtefactError, match="not a database"):
        check_storage(place_of("sqlite", tmp_path))


def test_a_journal_that_a_killed_process_left_is_put_in_order(tmp_path: Path) -> None:
    place = place_of("journal", tmp_path)
    with opened(place) as storage:
        study = open_proxy_study(storage, place, SearchConfig(), seed=0)
        study.tell(study.ask(), 1.0)
    journal = tmp_path / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    journal.with_name("study.journal.lock").symlink_to(journal)
    free_locks(place)
    with opened(place) as storage:
        study = open_proxy_study(storage, place, SearchConfig(), seed=0)
        study.tell(study.ask(), 2.0)
        assert [trial.value for trial in study.trials] == [1.0, 2.0]


@pytest.mark.parametrize(
    "text", ["no journal\n", "[1]\n", '{"op_code": 99, "worker_id": "a"}\n', "{}\n", None]
)
def test_a_journal_of_anothers_is_one_clear_line_and_stays(
    text: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "study.journal"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ArtefactError, match=r"study\.journal (must be|holds no study)"):
        history(place_of("journal", tmp_path))
    assert (path.read_text() if path.exists() else None) == text
