"""Writes results to stdout: JSON alone, or aligned text for people."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click


def print_json(value: object) -> None:
    """Print one JSON value; dataclasses become objects, paths become text."""
    click.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their headers; numbers are aligned to the right, None is a dash."""
    body = [[_cell(value) for value in row] for row in rows]
    texts = [list(headers), *([text for text, _ in row] for row in body)]
    widths = [max(len(text) for text in column) for column in zip(*texts, strict=True)]
    is_right = [
        bool(body) and all(is_number for _, is_number in column)
        for column in zip(*body, strict=True)
    ] or [False] * len(headers)
    for row in texts:
        cells = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, is_right, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def print_fields(fields: Mapping[str, object]) -> None:
    """Print one `name  value` line a field."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name.ljust(width)}  {_cell(value)[0]}".rstrip())


def _cell(value: object) -> tuple[str, bool]:
    match value:
        case None:
            return "-", True
        case bool():
            return ("yes" if value else "no"), False
        case int():
            return f"{value:,}", True
        case float():
            return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"), True
        case list() | tuple():
            return ", ".join(_cell(item)[0] for item in value), False
        case dict():
            items = (f"{name}={_cell(item)[0]}" for name, item in value.items())
            return ", ".join(items), False
        case _:
            return " ".join(str(value).split()), False


def _plain(value: object) -> object:
    """Turn a value into what JSON has: dict, list, text, number, bool, None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {
            field.name: getattr(value, field.name)
            for field in dataclasses.fields(value)
            if field.repr
        }
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value
