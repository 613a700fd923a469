import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from nasgtn.errors import ArtefactError
from nasgtn.records import Evaluation, append_record, mend_lines, read_records, write_records

GOOD = Evaluation(
    evaluator="gtn",
    architecture_id="0123456789ab",
    choices={"width": 8, "norm": None, "kind": "é<b>", "flat": True, "rate": 0.1},
    seed=3,
    score=0.75,
    seconds=1.5,
    metrics={"accuracy": 0.75},
    curve=((1, 0.5), (2, 0.75)),
)
FAILED = replace(GOOD, architecture_id="ba9876543210", score=None, failure="ValueError: no\nway")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def test_what_is_appended_reads_back_the_same(path: Path) -> None:
    assert read_records(path) == []
    append_record(path, GOOD)
    append_record(path, FAILED)
    assert read_records(path) == [GOOD, FAILED]
    assert [json.loads(line)["seed"] for line in path.read_text().splitlines()] == [3, 3]


def test_what_is_written_whole_replaces_the_file(path: Path) -> None:
    append_record(path, GOOD)
    write_records(path, [FAILED, GOOD])
    assert read_records(path) == [FAILED, GOOD]
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_torn_line_is_left_out_and_mended(path: Path, cut: int) -> None:
    append_record(path, GOOD)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut])
    assert read_records(path) == [GOOD]
    mend_lines(path)
    assert path.read_bytes() == whole
    append_record(path, FAILED)
    assert read_records(path) == [GOOD, FAILED]


def test_a_whole_line_without_its_end_is_kept(path: Path) -> None:
    append_record(path, GOOD)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert read_records(path) == [GOOD]
    mend_lines(path)
    assert path.read_bytes() == whole


def test_there_may_be_nothing_to_mend(path: Path) -> None:
    mend_lines(path)
    assert not path.exists()
    path.touch()
    mend_lines(path)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("damage", [b"no json", b"{}", b'{"curve": []}', b"\xff\x00", b"[1]"])
def test_a_damaged_line_is_one_clear_line(path: Path, damage: bytes) -> None:
    append_record(path, GOOD)
    path.write_bytes(damage + b"\n" + path.read_bytes())
    with pytest.raises(ArtefactError, match=r"records\.jsonl, line 1: not an evaluation"):
        read_records(path)


@pytest.mark.parametrize(
    ("number", "other"),
    [('"score": 0.75', '"score": NaN'), ('"loss": 1.5', '"loss": Infinity')],
)
def test_what_is_not_finite_is_a_failed_evaluation(path: Path, number: str, other: str) -> None:
    append_record(path, replace(GOOD, score=0.75, metrics={"loss": 1.5, "accuracy": 0.5}))
    append_record(path, GOOD)
    text = path.read_text()
    assert number in text
    path.write_text(text.replace(number, other, 1))
    wrong, right = read_records(path)
    assert right == GOOD
    assert wrong.score is None
    assert wrong.failure == f"the record has {other.split()[1]} where a number must be"
    assert wrong.metrics["accuracy"] == 0.5
    assert wrong.choices == GOOD.choices


def append_many(path: Path, name: str) -> None:
    for seed in range(200):
        append_record(path, replace(GOOD, architecture_id=name * 200, seed=seed))


def test_lines_of_several_processes_never_mix(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    names = ("a", "b", "c")
    processes = [context.Process(target=append_many, args=(path, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    records = read_records(path)
    for name in names:
        seeds = [one.seed for one in records if one.architecture_id == name * 200]
        assert seeds == list(range(200))


def test_a_score_that_is_not_finite_is_no_record() -> None:
    for wrong in ({"score": float("nan")}, {"score": None}, {"failure": "but it has a score"}):
        with pytest.raises(AssertionError):
            replace(GOOD, **wrong)
