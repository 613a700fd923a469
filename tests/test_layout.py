"""The house keeps its shape: sizes, places, light imports, pins, and what its pages must say."""

import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from nasgtn import errors
from nasgtn.cli.listings import EXTRAS
from nasgtn.cli.main import cli
from nasgtn.cli.options import overrides_of
from nasgtn.configuration import config_from_mapping
from nasgtn.spaces.catalogue import find_space

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
MODULES = sorted([*(ROOT / "nasgtn").rglob("*.py"), *(ROOT / "search_spaces").glob("*.py")])


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def project(requirement: str) -> str:
    """Name of the project that a requirement asks for, normalised."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short_and_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert text.startswith('"""')


def test_top_level_folders_are_the_known_ones() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    folders = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert folders <= {".ci", "docs", "nasgtn", "search_spaces", "results", "scripts", "tests"}


def test_every_package_is_installed() -> None:
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "nasgtn").rglob("__init__.py")
    }
    assert {*found, "nasgtn.search_spaces"} == set(lines(SETUP["options"]["packages"]))


def test_every_module_below_nasgtn_has_a_layer() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = " ".join(config["tool"]["importlinter"]["contracts"][0]["layers"])
    placed = set(re.findall(r"nasgtn\.(\w+)", layers))
    there = {
        path.stem
        for path in (ROOT / "nasgtn").iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
    }
    assert there <= placed


@pytest.mark.parametrize(
    "module", ["nasgtn.records", "nasgtn.ranking", "nasgtn.report", "nasgtn.progress"]
)
def test_records_and_reports_need_no_torch(module: str) -> None:
    code = f"import sys, {module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_direct_dependency_is_pinned() -> None:
    extras = SETUP["options.extras_require"]
    asked = {
        project(line)
        for text in [SETUP["options"]["install_requires"], *extras.values()]
        for line in lines(text)
    } - {"nasgtn", "torchvision"}  # torchvision follows torch
    pins = lines((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    pinned = {project(line) for line in pins if re.fullmatch(r"[\w.-]+==[\w.]+", line)}
    assert asked <= pinned


def test_env_knows_the_extras_of_the_package() -> None:
    extras = dict(SETUP["options.extras_require"])
    extras.pop("dev")
    known = {name: {project(line) for line in lines(text)} for name, text in extras.items()}
    assert {name: set(packages) for name, packages in EXTRAS.items()} == known


def commands(group: click.Group, prefix: str) -> list[str]:
    found = []
    for name, command in group.commands.items():
        found.append(f"{prefix} {name}")
        if isinstance(command, click.Group):
            found += commands(command, f"{prefix} {name}")
    return found


@pytest.mark.parametrize("command", commands(cli, "nasgtn"))
def test_the_page_of_commands_has_every_command(command: str) -> None:
    assert command in COMMANDS


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.NasgtnError)
    ],
)
def test_the_page_of_commands_has_every_error(name: str) -> None:
    assert f"`{name}`" in COMMANDS


def test_readme_starts_with_the_two_commands() -> None:
    assert README.index("make search") < README.index("make test") < 1500


def test_every_setting_that_is_shown_exists() -> None:
    """What `--set` is shown with: keys of the configuration, and options of spaces."""
    shown = README + COMMANDS + (ROOT / "Makefile").read_text(encoding="utf-8")
    settings = re.findall(r"--set ([a-z_.0-9]+=[^\s`]+)", shown.replace("SECTION.KEY", "x"))
    settings.remove("section.key=value")
    assert len(settings) > 4
    for setting in settings:
        overrides = overrides_of({"settings": (setting,)})
        options = overrides.get("space", {}).get("options", {})
        config_from_mapping(overrides)
        assert not options or find_space("nasbench201", options)
