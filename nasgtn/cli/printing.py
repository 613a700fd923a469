"""Writes results to stdout: JSON alone, or aligned text for people."""

import dataclasses
import json
import textwrap
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


def print_fields(fields: Mapping[str, object], *, width: int | None = None) -> None:
    """Print one `name  value` line a field; with a `width`, long values go on below themselves.

    Words are not broken, so that a path can be copied.
    """
    indent = max(map(len, fields), default=0) + 2
    for name, value in fields.items():
        line = f"{name.ljust(indent)}{_cell(value)[0]}".rstrip()
        lines = [line] if width is None else _wrapped(line, width, indent)
        for one in lines:
            click.echo(one)


def shortened(text: str, width: int) -> str:
    """Cut a text off that is longer, and mark that."""
    return text if len(text) <= width else text[: width - 3] + "..."


def duration(seconds: float) -> str:
    """Write seconds in the unit that people use for so long a time.

    >>> duration(0.4), duration(75), duration(3700)
    ('0.4 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _wrapped(line: str, width: int, indent: int) -> list[str]:
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


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
