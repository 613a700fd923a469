import csv
import gzip
from pathlib import Path

import pytest
from contracts import EVALUATOR_CONTRACT, EvaluatorRule

from nasgtn.errors import InvalidDataError, NasgtnError, UnknownNameError
from nasgtn.evaluation import TableTruth, evaluate
from nasgtn.spaces import Architecture


def named(description: str, *, name: str = "0123456789ab") -> Architecture:
    return Architecture(id=name, choices={}, description=description)


def test_nasbench201_is_found_by_its_official_string(shared_data: Path) -> None:
    file = shared_data / "nasbench201_cifar10.csv.gz"
    truth = TableTruth.read(f"{file}:cifar10_test_200ep")
    with gzip.open(file, "rt", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    for row in rows[::1000]:
        evaluation = evaluate(truth, named(row["arch_str"]), seed=0)
        assert evaluation.score == float(row["cifar10_test_200ep"])
        assert evaluation.metrics == {"cifar10_test_200ep": evaluation.score}
    best = max(rows, key=lambda row: truth.score(named(row["arch_str"]), seed=0).score)
    assert best["arch_index"] == "6111"  # the published optimum


def test_nasbench_macro_keeps_its_leading_zeros(shared_data: Path) -> None:
    truth = TableTruth.read(f"{shared_data / 'nasbench_macro_cifar10.csv.gz'}:test_acc_mean")
    assert truth.score(named("22212202"), seed=0).score == pytest.approx(93.13, abs=0.01)
    assert truth.score(named("00000001"), seed=0).score == 64.22333
    with pytest.raises(LookupError, match="none of '1'"):
        truth.score(named("1"), seed=0)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "truth.csv"
    path.write_text("name,id,accuracy,note\nwide,aaa,0.9,x\ndeep,bbb,0.8,x\nodd,ccc,,x\n")
    return path


@pytest.mark.parametrize("holds", EVALUATOR_CONTRACT, ids=lambda rule: rule.__name__)
def test_a_table_keeps_the_contract(table: Path, holds: EvaluatorRule) -> None:
    holds(TableTruth.read(f"{table}:accuracy"), named("wide"))


def test_rows_are_found_by_description_or_id(table: Path) -> None:
    truth = TableTruth.read(f"{table}:accuracy")
    assert truth.score(named("wide"), seed=0).score == 0.9
    assert truth.score(named("something else", name="bbb"), seed=0).score == 0.8


def test_a_missing_architecture_or_value_is_a_failure(table: Path) -> None:
    truth = TableTruth.read(f"{table}:accuracy")
    absent = evaluate(truth, named("absent"), seed=0)
    assert absent.score is None
    assert "the table must have a row of each architecture" in str(absent.failure)
    empty = evaluate(truth, named("odd"), seed=0)
    assert "the table has no accuracy of 'odd'" in str(empty.failure)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("name,accuracies\na,1\n", UnknownNameError, r"'accuracy'; did you mean accuracies\?"),
        ("", InvalidDataError, "must have a header and rows, got an empty file"),
        ("name,accuracy\n", InvalidDataError, "must have rows below its header"),
        ("name,accuracy\na,1\nb\n", InvalidDataError, "must have 2 values, got 1 in row 3"),
        ("name,accuracy\na,1\nb,good\n", InvalidDataError, "must hold numbers, got 'good'"),
        ("name,accuracy\na,1\na,1\n", InvalidDataError, "names each architecture once"),
        ("n\xe4me,accuracy\n", InvalidDataError, "must be a table in UTF-8 CSV"),
    ],
)
def test_unfit_tables_are_refused(
    tmp_path: Path, content: str, error: type[NasgtnError], message: str
) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(error, match=message) as caught:
        TableTruth.read(f"{path}:accuracy")
    assert "\n" not in str(caught.value)


def test_damaged_and_missing_files_are_refused(tmp_path: Path, table: Path) -> None:
    packed = tmp_path / "truth.csv.gz"
    content = gzip.compress(table.read_bytes())
    for damaged in (content[:-12], b"no gzip", content[:20] + b"\0\0" + content[22:]):
        packed.write_bytes(damaged)
        with pytest.raises(InvalidDataError, match=r"truth\.csv\.gz must be a table"):
            TableTruth.read(f"{packed}:accuracy")
    with pytest.raises(InvalidDataError, match="must be an existing file"):
        TableTruth.read(f"{tmp_path / 'absent.csv'}:accuracy")
    with pytest.raises(InvalidDataError, match=r"must be FILE\.csv:COLUMN, got 'truth\.csv'"):
        TableTruth.read("truth.csv")
