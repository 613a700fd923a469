"""Finds a search space: a built-in name, the path of a Python file, or package.module:attribute.

A space's module defines `build`, and may define `canonical`, `describe`, `parse` and
`proxy_options`.
"""

import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from nasgtn.errors import InvalidSpaceError, NasgtnError, UnknownNameError
from nasgtn.spaces.choices import Choice
from nasgtn.spaces.space import SearchSpace

BUILT_IN: dict[str, str] = {
    name: f"nasgtn.search_spaces.{name}"
    for name in ("convnet", "nasbench201", "nasbench_macro", "enas_micro", "mlp")
}
"""Name of each built-in space, and the module that defines it."""


def find_space(name: str, options: Mapping[str, Choice] | None = None) -> SearchSpace:
    """Find a search space by what the user calls it.

    Args:
        name: A built-in name, the path of a `.py` file, `package.module`, or
            `package.module:attribute` where the attribute is a build function or a SearchSpace.
        options: Keyword arguments of the space's `build`.

    Raises:
        UnknownNameError: There is no such space.
        InvalidSpaceError: Its code raises when imported, or defines no `build`.
        InvalidConfigError: `build` does not take these options.
    """
    where, _, attribute = name.partition(":")
    if name in BUILT_IN:
        space = _space_of(importlib.import_module(BUILT_IN[name]), name, "build")
    elif name.endswith(".py"):
        space = _space_of(_load_file(Path(name)), Path(name).stem, "build")
    elif "." in where or attribute:
        space = _space_of(_import(where, name), name, attribute or "build")
    else:
        raise UnknownNameError.of("search space", name, BUILT_IN)
    return space.with_options(options) if options else space


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UnknownNameError(f"search space {str(path)!r} must be a Python file; there is none")
    module = ModuleType(f"nasgtn_space_{path.stem}", "")
    module.__file__ = str(path.resolve())
    sys.modules[module.__name__] = module  # dataclasses of the file look their module up there
    try:
        # Not through an import loader: it would leave compiled files in the user's folder.
        exec(compile(path.read_bytes(), module.__file__, "exec"), module.__dict__)
    except NasgtnError:
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise InvalidSpaceError(f"search space {str(path)!r} {_why(error)}") from error
    return module


def _import(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module + ".").startswith(error.name + "."):
            raise UnknownNameError(
                f"unknown search space {name!r}: no module {error.name!r} is installed "
                f"(a file is named by its path, with .py; built in: {', '.join(BUILT_IN)})"
            ) from error
        raise InvalidSpaceError(f"search space {name!r} {_why(error)}") from error
    except NasgtnError:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidSpaceError(f"search space {name!r} {_why(error)}") from error


def _why(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"cannot be imported: it raised {type(error).__name__}: {text}"


def _space_of(module: ModuleType, name: str, attribute: str) -> SearchSpace:
    found = getattr(module, attribute, None)
    if isinstance(found, SearchSpace):
        return found
    if not callable(found):
        what = "nothing of that name" if found is None else f"{found!r}"
        raise InvalidSpaceError(
            f"search space {name!r} must define {attribute}(trial, task), found {what}"
        )
    is_whole = attribute == "build"  # what else the module defines belongs to its `build` alone
    proxy_options = getattr(module, "proxy_options", {}) if is_whole else {}
    if not isinstance(proxy_options, Mapping) or not all(
        isinstance(option, str) and isinstance(value, bool | int | float | str)
        for option, value in proxy_options.items()
    ):
        raise InvalidSpaceError(
            f"proxy_options of search space {name!r} must map names to numbers, texts or truth "
            f"values, got {proxy_options!r}"
        )
    documented = module if is_whole else found
    lines = (inspect.getdoc(documented) or "").strip().splitlines()
    return SearchSpace(
        name=name,
        build=found,
        canonical=getattr(module, "canonical", None) if is_whole else None,
        describe=getattr(module, "describe", None) if is_whole else None,
        parse=getattr(module, "parse", None) if is_whole else None,
        proxy_options=proxy_options,
        summary=lines[0] if lines else "",
    )
