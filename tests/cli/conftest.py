"""Runs the command line in this process, as a user's shell would."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from command_line import QUICK, TINY_SPACE, Nasgtn, Outcome, Refused, write_toy_archive

from nasgtn.cli.main import run


@pytest.fixture
def nasgtn(capsys: pytest.CaptureFixture[str]) -> Nasgtn:
    """`nasgtn("spaces", "--json")`: exit code, stdout and stderr of a command line."""

    def call(*args: object) -> Outcome:
        capsys.readouterr()
        code = run([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return call


@pytest.fixture
def refused(nasgtn: Nasgtn) -> Refused:
    """Run a command line that must fail with one line on stderr and nothing on stdout."""

    def call(*args: object, code: int) -> str:
        outcome = nasgtn(*args)
        assert outcome.out == ""
        assert outcome.err.startswith("Error: ")
        assert outcome.err.count("\n") == 1
        assert outcome.code == code, outcome.err
        return outcome.err

    return call


@pytest.fixture(scope="session")
def toy_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_archive(tmp_path_factory.mktemp("data") / "toy.npz")


@pytest.fixture(scope="session")
def tiny_space_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "tiny.py"
    path.write_text(TINY_SPACE)
    return path


@pytest.fixture(scope="session")
def finished_search(
    tmp_path_factory: pytest.TempPathFactory, toy_archive: Path, tiny_space_file: Path
) -> tuple[Path, Outcome]:
    """The folder of a whole run on toy data, and what `search --json` printed."""
    folder = tmp_path_factory.mktemp("runs") / "new" / "finished"
    where = ("--dataset", str(toy_archive), "--space", str(tiny_space_file), "--run", str(folder))
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(["search", *where, "--trials", "8", "--verify", "3", "--json", *QUICK])
    return folder, Outcome(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def finished_run(finished_search: tuple[Path, Outcome]) -> Path:
    """A whole run on toy data; tests that write to it take a copy."""
    return finished_search[0]
