import errno
import subprocess
import sys
from pathlib import Path

import click
import pytest
from command_line import Nasgtn, Refused

from nasgtn import __version__
from nasgtn.cli.main import cli, run
from nasgtn.errors import NasgtnError


def paths_of_commands(group: click.Group, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths = []
    for name, command in group.commands.items():
        paths.append((*prefix, name))
        if isinstance(command, click.Group):
            paths += paths_of_commands(command, (*prefix, name))
    return paths


COMMANDS = paths_of_commands(cli)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_a_text_for_each_option(
    nasgtn: Nasgtn, path: tuple[str, ...]
) -> None:
    outcome = nasgtn(*path, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: nasgtn {' '.join(path)}")
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_listing_and_result_commands_print_json() -> None:
    without = [
        path
        for path in COMMANDS
        if "--json" not in _options(path) and path not in {("dashboard",)}
    ]
    assert without == []


def _options(path: tuple[str, ...]) -> set[str]:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return {name for option in command.params for name in option.opts}


def test_no_command_at_all_shows_the_help(nasgtn: Nasgtn) -> None:
    outcome = nasgtn()
    assert outcome.code == 0
    assert "search" in outcome.out


def test_version(nasgtn: Nasgtn) -> None:
    assert nasgtn("--version").out == f"nasgtn, version {__version__}\n"


def test_unknown_command_and_option_get_a_near_name(refused: Refused) -> None:
    assert "'search'" in refused("serch", code=2)
    assert "'--trials'" in refused("search", "--trial", "3", code=2)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom nasgtn.cli.main import run\nassert run(['--help']) == 0\n"
        "heavy = {'torch', 'optuna', 'rich', 'pandas', 'numpy', 'plotly', 'pydantic', 'sklearn'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nasgtn", "searhc"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "Error: No such command 'searhc'. Did you mean 'search'?\n"


@click.command()
@click.argument("kind")
def fail(kind: str) -> None:
    raise {
        "full": OSError(errno.ENOSPC, "No space left on device", "results/a"),
        "denied": PermissionError(errno.EACCES, "Permission denied", "results/b"),
        "package": ModuleNotFoundError("No module named 'optuna'", name="optuna"),
        "user": NasgtnError("two\n  lines"),
        "ours": KeyError("ours"),
        "stop": KeyboardInterrupt(),
    }[kind]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.commands, "fail", fail)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("full", "Error: the disk is full; what was finished is kept: results/a\n"),
        ("denied", "Error: Permission denied: results/b\n"),
        ("user", "Error: two lines\n"),
        (
            "package",
            "Error: the package 'optuna' is needed for this; `pip install` it first\n",
        ),
    ],
)
def test_errors_of_the_surroundings_are_one_line(nasgtn: Nasgtn, kind: str, message: str) -> None:
    outcome = nasgtn("fail", kind)
    assert (outcome.code, outcome.out, outcome.err) == (1, "", message)


@pytest.mark.usefixtures("failing")
def test_ctrl_c_is_one_line_and_exit_code_130(nasgtn: Nasgtn) -> None:
    outcome = nasgtn("fail", "stop")
    assert (outcome.code, outcome.err.strip()) == (130, "stopped")


@pytest.mark.usefixtures("failing")
def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(KeyError):
        run(["fail", "ours"])


@pytest.mark.usefixtures("failing")
def test_debug_shows_the_traceback_in_any_position(nasgtn: Nasgtn) -> None:
    for args in (("--debug", "fail", "user"), ("fail", "user", "--debug")):
        outcome = nasgtn(*args)
        assert outcome.code == 1
        assert "Traceback (most recent call last)" in outcome.err
        assert outcome.err.endswith("Error: two lines\n")


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m nasgtn --help | true", shell=True, capture_output=True, check=False
    )
    assert b"Traceback" not in done.stderr
