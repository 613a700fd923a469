"""Every command of docs/ runs, on toy data and with a small budget; every link leads somewhere.

A block marked `console` has commands, each after a `$`; they run in the order of the page, in one
folder that has a dataset `photos/` and one `arrays.npz`. A block marked `python NAME` is a file
that the page tells its reader to write.
"""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import QUICK, write_toy_archive
from PIL import Image

from nasgtn.cli.main import cli, run

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCKS = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SLOW = ("nasgtn search", "nasgtn compare")
SMALL = (*QUICK, "--set", "data.image_size=8")
BUDGETS = {
    "search": (*SMALL, "--trials", "5", "--verify", "2", "--quiet"),
    "train-generator": (*SMALL, "--quiet"),
    "compare": (*SMALL, "--architectures", "4", "--set", "proxy.n_steps=4", "--quiet"),
    "rank": ("--quiet",),
    "audit": ("--quiet",),
    "verify": ("--quiet",),
    "export": ("--quiet",),
}
"""Options that follow those of the page, and win over them."""


def page_cases() -> list[object]:
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    return [
        pytest.param(
            page,
            marks=[pytest.mark.slow] if any(one in text for one in SLOW) else [],
            id=page.stem,
        )
        for page, text in texts.items()
        if "```console" in text
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's own folder, with two datasets in it; one has all three parts."""
    archive = write_toy_archive(tmp_path / "arrays.npz")
    with np.load(archive) as arrays:
        held = {f"val_{name}": arrays[f"test_{name}"][:24] for name in ("images", "labels")}
        np.savez(archive, **arrays, **held)
        for number, image in enumerate(arrays["train_images"]):
            place = tmp_path / "photos" / ("left", "middle", "right")[number % 3]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", page_cases())
def test_every_command_of_a_page_runs(page: Path, folder: Path) -> None:
    text = page.read_text(encoding="utf-8")
    n_commands = 0
    for kind, name, content in BLOCKS.findall(text):
        if kind == "python" and name:
            (folder / name).write_text(content, encoding="utf-8")
        if kind == "console":
            for command in commands_of(content):
                execute(command)
                n_commands += 1
    assert n_commands == len(re.findall(r"^\$ ", text, re.MULTILINE)) > 0


def commands_of(block: str) -> list[str]:
    """Join lines that end in a backslash with the next; each starts with `$`."""
    lines = block.replace("\\\n", " ").splitlines()
    assert all(line.startswith("$ ") for line in lines)
    return [line.removeprefix("$ ") for line in lines]


def execute(command: str) -> None:
    program, *args = shlex.split(command)
    if program != "nasgtn":
        line = command.replace("python ", f"{shlex.quote(sys.executable)} ", 1)
        subprocess.run(line, shell=True, check=True)
        return
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        code = run([*args, *BUDGETS.get(args[0], ())])
    assert code == 0, f"{command}: {err.getvalue()}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_links_lead_somewhere_and_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target
    known = set(cli.commands)
    assert set(re.findall(r"`nasgtn ([a-z][a-z-]+)", text)) <= known


def test_the_index_has_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert {page.name for page in PAGES} - {"README.md"} == set(
        re.findall(r"\((\w+\.md)\)", index)
    )
