"""Shows how far long work is, and what to do when it is stopped.

Bars on a terminal, a line every few seconds elsewhere. Both write to stderr, so that stdout holds
the result alone.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from nasgtn.progress import Progress, silent

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 5.0
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class StoppedError(click.ClickException):
    """Ctrl-C, with what the user can do next."""

    exit_code = INTERRUPTED


@contextmanager
def stoppable(carry_on: str) -> Iterator[None]:
    """Turn Ctrl-C into one line that says how to carry on."""
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(f"stopped; carry on with: {carry_on}") from None


@contextmanager
def shown(*, is_quiet: bool = False) -> Iterator[Progress]:
    """Give a `Progress` that fits where stderr goes, for the time of the block."""
    if is_quiet:
        yield silent
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield Bars(bars)
    else:
        yield Lines()


class Lines:
    """Plain lines: what is being done, how far, for how long, and its note."""

    def __init__(self, seconds_between: float = SECONDS_BETWEEN_LINES) -> None:
        self._seconds_between = seconds_between
        self._last = float("-inf")
        self._started: dict[str, float] = {}
        self._finished: set[str] = set()

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        started = self._started.setdefault(stage, now)
        is_end = done >= total and stage not in self._finished
        if not is_end and now - self._last < self._seconds_between:
            return
        self._last = now
        if is_end:
            self._finished.add(stage)
        parts = [f"{stage}: {done}/{total}", f"{now - started:.0f} s", *([note] if note else [])]
        click.echo(", ".join(parts), err=True)


class Bars:
    """One bar a stage, on a terminal."""

    def __init__(self, bars: "RichProgress") -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, note="")
        self._bars.update(self._tasks[stage], completed=done, total=total, note=note)


def _bars() -> "RichProgress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(stderr=True),
    )
