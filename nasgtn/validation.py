"""Checks tables of values from outside against a dataclass, with errors of one line."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from nasgtn.errors import InvalidConfigError, UnknownNameError

T = TypeVar("T")
Table = Mapping[str, Any]
"""A TOML table: Any, because its values are checked here."""


def validated(kind: type[T], values: Table) -> T:
    """Make a dataclass from nested tables of values; what is left out has its default.

    Raises:
        UnknownNameError: There is no such setting.
        InvalidConfigError: A value is not what it must be.
    """
    _check_names(kind, values, "")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise InvalidConfigError(f"{where}: {message}, got {first['input']!r}") from error


def _check_names(kind: type, values: Table, place: str) -> None:
    """Refuse unknown keys with the nearest known ones, which pydantic does not name."""
    hints = typing.get_type_hints(kind)
    known = {one.name: hints[one.name] for one in dataclasses.fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise UnknownNameError.of("setting", place + name, (place + one for one in known))
        if dataclasses.is_dataclass(known[name]) and isinstance(value, Mapping):
            _check_names(known[name], value, f"{place}{name}.")
