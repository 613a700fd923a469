"""The stages of a run as bars on a terminal, and below them the best architectures so far."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nasgtn.status import Leader, leaders

PATH = ("anchors", "meta-training", "search", "verification")
"""The stages of a run, in order."""
INSIDE = {
    "protocol": "meta-training",
    "warm start": "meta-training",
    "reference": "search",
    "control": "verification",
    "shortlist": "verification",
    "baselines": "verification",
    "multiply-adds": "verification",
}
"""Stages that are parts of others; shown as long as they take."""
WITH_LEADERS = ("search", "verification")
WIDTH = 100
BAR_WIDTH = 20
N_ROWS = 12
"""Of stages that belong to no path: the last ones are shown."""
SECONDS_BETWEEN_LOOKS = 1.0
SHARE = 0.02
"""Of its time that a run looks for the best so far at most."""


@contextmanager
def live(run: Path | None) -> Iterator["Bars"]:
    """Show bars on the terminal of stderr, for the time of the block."""
    bars = Bars(run)
    with Live(bars, console=Console(stderr=True)):
        yield bars


@dataclass
class _Stage:
    """How far a stage is."""

    first: int
    """Done when it was first heard of: a run that is carried on did not do that now."""
    started: float
    done: int = 0
    total: int = 0
    note: str = ""
    ended: float | None = None

    def update(self, done: int, total: int, note: str) -> None:
        self.done, self.total, self.note = done, total, note
        self.ended = time.monotonic() if done >= total else None

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.started

    @property
    def seconds_left(self) -> float | None:
        n = self.done - self.first
        if self.ended is not None or n <= 0:
            return None
        return self.seconds / n * (self.total - self.done)


class Bars:
    """One bar a stage; the whole path of a run, with what is inside of the stage that is open.

    Args:
        run: Folder of the run that goes its path, whose best architectures are shown; None for
            other work.
    """

    def __init__(self, run: Path | None = None) -> None:
        self._run = run
        self._stages: dict[str, _Stage] = {}
        self._leaders: tuple[Leader, ...] = ()
        self._next_look = 0.0

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        one = self._stages.get(stage)
        if one is None or done < one.done:
            one = self._stages[stage] = _Stage(first=done, started=time.monotonic())
        one.update(done, total, note)
        if self._run is not None and stage in WITH_LEADERS:
            self._look(self._run, is_last=done >= total)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[Table | Text]:
        width = min(WIDTH, options.max_width)
        if self._stages:
            yield self._table_of_stages(width)
        if self._leaders:
            yield Text()
            yield _table_of_leaders(self._leaders, width)

    def _look(self, run: Path, *, is_last: bool) -> None:
        start = time.monotonic()
        if start >= self._next_look or is_last:
            self._leaders = leaders(run)
            took = time.monotonic() - start
            self._next_look = start + max(SECONDS_BETWEEN_LOOKS, took / SHARE)

    def _table_of_stages(self, width: int) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.width = width
        for _ in range(5):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        stages = dict(self._stages)  # the thread that draws is another one
        if self._run is None:
            for name in list(stages)[-N_ROWS:]:
                table.add_row(*_cells(name, stages[name]))
            return table
        begun = [PATH.index(name) for name in stages if name in PATH]
        for place, name in enumerate(PATH):
            if name in stages:
                table.add_row(*_cells(name, stages[name]))
            else:
                has_passed = place < max(begun, default=-1)
                table.add_row(name, Text("done before" if has_passed else "", style="dim"))
            for part, whole in INSIDE.items():
                if whole == name and part in stages and stages[part].ended is None:
                    table.add_row(*_cells(f"  {part}", stages[part]))
        return table


def _cells(name: str, stage: _Stage) -> list[Text | ProgressBar]:
    left = stage.seconds_left
    return [
        Text(name),
        ProgressBar(total=max(1, stage.total), completed=stage.done, width=BAR_WIDTH),
        Text(f"{stage.done}/{stage.total}", justify="right"),
        Text(_clock(stage.seconds), justify="right"),
        Text("" if left is None else f"-{_clock(left)}", justify="right"),
        Text(stage.note),
    ]


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _table_of_leaders(found: Sequence[Leader], width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), width=width)
    table.add_column("best so far", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("proxy score", "validation", "parameters"):
        table.add_column(name, no_wrap=True, justify="right")
    for one in found:
        accuracy, n = one.validation_accuracy, one.n_parameters
        table.add_row(
            Text(one.choices),
            "-" if one.score is None else f"{one.score:.4f}",
            "-" if accuracy is None else f"{100 * accuracy:.2f} %",
            "-" if n is None else f"{n:,}",
        )
    return table
