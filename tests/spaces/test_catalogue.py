import sys
from pathlib import Path

import pytest

from nasgtn.errors import InvalidConfigError, InvalidSpaceError, NasgtnError, UnknownNameError
from nasgtn.spaces import BUILT_IN, SearchSpace, find_space
from nasgtn.task import Task

USER_SPACE = '''"""My networks.

More about them.
"""
from dataclasses import dataclass
from torch import nn


@dataclass
class Layer:
    width: int


def build(trial, task, *, scale=1):
    layer = Layer(trial.suggest_int("width", 1, 3) * scale)
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(layer.width), nn.LazyLinear(task.n_classes))


def describe(choices):
    return f"{choices['width']} wide"


def parse(text):
    return {"width": int(text.split()[0])}


def other(trial, task):
    """Always linear."""
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(task.n_classes))


number = 3
'''
READY_SPACE = """
from nasgtn.spaces import SearchSpace
from torch import nn

space = SearchSpace(name="ready", build=lambda trial, task: nn.Flatten(), summary="Ready made.")
"""


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    path = tmp_path / "my_space.py"
    path.write_text(USER_SPACE)
    return path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that can be imported; its name is new in each test."""
    name = f"spaces_of_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "mine.py").write_text(USER_SPACE)
    (folder / "ready.py").write_text(READY_SPACE)
    (folder / "broken.py").write_text("import a_package_that_is_not_there\n")
    (folder / "raising.py").write_text("raise RuntimeError('two\\nlines')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_names_are_found(name: str) -> None:
    space = find_space(name)
    assert space.name == name
    assert space.summary


def test_a_file_is_a_space(user_file: Path, toy_task: Task) -> None:
    path_before = list(sys.path)
    space = find_space(str(user_file))
    assert (space.name, space.summary) == ("my_space", "My networks.")
    assert space.sample(0, toy_task).description in {"1 wide", "2 wide", "3 wide"}
    assert space.from_description("2 wide").choices == {"width": 2}
    assert sys.path == path_before
    assert "my_space" not in sys.modules
    assert [path.name for path in user_file.parent.iterdir()] == ["my_space.py"]


def test_options_are_handed_to_build_and_checked(user_file: Path) -> None:
    assert find_space(str(user_file), {"scale": 2}).options == {"scale": 2}
    with pytest.raises(
        UnknownNameError, match="option of search space 'my_space' 'scal'; did you"
    ):
        find_space(str(user_file), {"scal": 2})
    with pytest.raises(InvalidConfigError, match="'convnet' has no options, got 'channels'"):
        find_space("convnet", {"channels": 2})


def test_a_module_or_its_attribute_is_a_space(package: str, toy_task: Task) -> None:
    whole = find_space(f"{package}.mine")
    assert (whole.summary, whole.describe is not None) == ("My networks.", True)
    function = find_space(f"{package}.mine:other")
    assert (function.summary, function.describe) == ("Always linear.", None)
    ready = find_space(f"{package}.ready:space")
    assert isinstance(ready, SearchSpace)
    assert (ready.name, ready.summary) == ("ready", "Ready made.")


def test_an_unknown_name_is_an_error_with_near_names() -> None:
    with pytest.raises(UnknownNameError, match="'convnte'; did you mean convnet"):
        find_space("convnte")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nowhere.py", UnknownNameError, "must be a Python file; there is none"),
        ("no_such_package.mine", UnknownNameError, "no module 'no_such_package'"),
        ("{package}.nothing", UnknownNameError, "no module '{package}.nothing'"),
        ("{package}.broken", InvalidSpaceError, "No module named 'a_package_that_is_not_there'"),
        ("{package}.raising", InvalidSpaceError, "it raised RuntimeError: two lines"),
        ("{package}.ready", InvalidSpaceError, r"must define build\(trial, task\), found nothing"),
        ("{package}.mine:buidl", InvalidSpaceError, r"must define buidl\(trial, task\)"),
        ("{package}.mine:number", InvalidSpaceError, "found 3$"),
    ],
)
def test_what_is_no_space_is_an_error_in_one_line(
    name: str, error: type[NasgtnError], message: str, package: str
) -> None:
    with pytest.raises(error, match=message.format(package=package)) as caught:
        find_space(name.format(package=package))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("def build(:", "raised SyntaxError"),
        ("import sys; sys.exit(3)", "raised SystemExit: 3"),
        ("x = 1", "must define build"),
        ("build = 1", "found 1$"),
        ("from nasgtn.spaces import nothing", "raised ImportError: cannot import name 'nothing'"),
    ],
)
def test_a_file_that_is_no_space_is_an_error_in_one_line(
    code: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(code)
    with pytest.raises(InvalidSpaceError, match=message) as caught:
        find_space(str(path))
    assert "\n" not in str(caught.value)


def test_a_corrected_file_is_read_again(user_file: Path) -> None:
    assert find_space(str(user_file)).summary == "My networks."
    user_file.write_text(USER_SPACE.replace("My networks.", "No networks."))  # of equal size
    assert find_space(str(user_file)).summary == "No networks."
