import json
from pathlib import Path

import pytest
from command_line import Nasgtn, Refused


def test_a_new_space_can_be_shown_at_once(nasgtn: Nasgtn, tmp_path: Path) -> None:
    file = tmp_path / "my_space.py"
    outcome = nasgtn("new-space", file)
    assert (outcome.code, outcome.err) == (0, "")
    assert str(file) in outcome.out
    assert f"nasgtn spaces show {file}" in file.read_text()
    assert "FILE" not in file.read_text()
    shown = json.loads(nasgtn("spaces", "show", file, "--sample", 12, "--json").out)
    assert shown["summary"].startswith("My search space")
    described = [row["description"] for row in shown["architectures"]]
    assert len(set(described)) == len(described) == 12
    option = ("--set", "space.options.channels=32")
    larger = json.loads(nasgtn("spaces", "show", file, "--sample", 12, *option, "--json").out)
    pairs = zip(shown["architectures"], larger["architectures"], strict=True)
    assert all(one["n_parameters"] < other["n_parameters"] for one, other in pairs)


def test_an_existing_file_is_kept(nasgtn: Nasgtn, refused: Refused, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("mine")
    assert "must not exist yet" in refused("new-space", file, code=1)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "code", "said"), [("space.txt", 2, ".py"), ("none/space.py", 1, "space.py")]
)
def test_a_place_that_cannot_be_is_one_line(
    refused: Refused, tmp_path: Path, name: str, code: int, said: str
) -> None:
    assert said in refused("new-space", tmp_path / name, code=code)
    assert list(tmp_path.iterdir()) == []
