import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nasgtn.cli.printing import print_fields, print_json, print_table, shortened


@dataclass
class Inner:
    value: float | None
    hidden: int = field(default=1, repr=False)


def test_json_holds_dataclasses_paths_and_tuples(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"inner": (Inner(0.5), Inner(None)), "path": Path("a/b"), "none": None})
    assert json.loads(capsys.readouterr().out) == {
        "inner": [{"value": 0.5}, {"value": None}],
        "path": "a/b",
        "none": None,
    }


def test_numbers_stand_right_text_left_and_none_is_a_dash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("name", "n", "score"), [("a", 12345, 0.51239), ("longer\nname", 1, None)])
    assert capsys.readouterr().out == (
        "name              n   score\na            12,345  0.5124\nlonger name       1       -\n"
    )


def test_an_empty_table_has_its_headers(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "n"), [])
    assert capsys.readouterr().out == "name  n\n"


def test_fields_show_every_kind_of_value(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"is_done": True, "shape": [1, 8, 8], "values": {"a": 1.5}, "seconds": 12345.6})
    assert capsys.readouterr().out == (
        "is_done  yes\nshape    1, 8, 8\nvalues   a=1.5\nseconds  12,346\n"
    )


def test_long_values_go_on_below_themselves_and_paths_stay_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = "results/" + "a-long-name" * 4
    print_fields({"winner": "one two three four", "report": path}, width=20)
    assert capsys.readouterr().out == (
        f"winner  one two\n        three four\nreport\n        {path}\n"
    )


def test_a_text_that_is_cut_off_says_so() -> None:
    assert shortened("12345678", 8) == "12345678"
    assert shortened("123456789", 8) == "12345..."
