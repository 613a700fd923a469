"""`train-generator --hold-out`: kept with the generator, and refused before any work."""

import tomllib
from pathlib import Path

import pytest
from command_line import QUICK, Nasgtn, Refused


@pytest.fixture
def where(toy_archive: Path, tiny_space_file: Path) -> tuple[object, ...]:
    return ("--dataset", toy_archive, "--space", tiny_space_file, "--quiet", *QUICK)


def test_held_out_families_are_kept_with_the_generator_and_ranked_all_the_same(
    nasgtn: Nasgtn, where: tuple[object, ...], tmp_path: Path
) -> None:
    out = tmp_path / "generator"
    families = ("--hold-out", "activation=tanh", "--hold-out", "pool=1,width=4")
    outcome = nasgtn("train-generator", *where, *families, "--out", out)
    assert outcome.code == 0, outcome.err
    saved = tomllib.loads((out / "generator.toml").read_text())["gtn"]["meta_training"]
    assert saved["hold_out"] == ["activation=tanh", "pool=1,width=4"]
    ranked = nasgtn("rank", "--generator", out, "--architectures", 8, "--quiet")
    assert ranked.code == 0, ranked.err
    assert "activation=tanh" in ranked.out


@pytest.mark.parametrize(
    ("families", "code", "message"),
    [
        (("activation",), 2, "a family must be CHOICE=VALUE"),
        (("actvation=tanh",), 2, "did you mean activation"),
        (("activation=tan",), 2, "did you mean tanh"),
        (("activation=tanh", "activation=relu"), 1, "must have architectures that are not held"),
    ],
)
def test_families_that_cannot_be_held_out_are_refused_before_anything_is_written(
    refused: Refused,
    where: tuple[object, ...],
    tmp_path: Path,
    families: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    options = [word for family in families for word in ("--hold-out", family)]
    out = tmp_path / "out"
    assert message in refused("train-generator", *where, *options, "--out", out, code=code)
    held = f"gtn.meta_training.hold_out={list(families)}"
    assert message in refused("search", *where, "--set", held, "--run", out, code=code)
    assert not out.exists()
