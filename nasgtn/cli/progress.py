"""Shows how far long work is, and what to do when it is stopped.

Bars on a terminal, a line every few seconds elsewhere, in a notebook too. Both write to stderr, so
that stdout holds the result alone.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from nasgtn.progress import Progress, silent

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_STOPS = 3.0
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class StoppedError(click.ClickException):
    """Ctrl-C, with what the user can do next."""

    exit_code = INTERRUPTED


@contextmanager
def stoppable(carry_on: str) -> Iterator[None]:
    """Turn Ctrl-C into one line that says how to carry on.

    While the block goes on, it comes again every few seconds: what Python runs in between, such as
    a finaliser, may have swallowed it. Where Ctrl-C is ignored, as in a job that a script started
    in the background, it stays so.
    """
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    is_ours &= threading.current_thread() is threading.main_thread()
    again: threading.Timer | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal again
        if again:
            again.cancel()
        here = threading.main_thread().ident
        again = threading.Timer(SECONDS_BETWEEN_STOPS, signal.pthread_kill, (here, signal.SIGINT))
        again.daemon = True
        again.start()
        raise KeyboardInterrupt

    if is_ours:
        signal.signal(signal.SIGINT, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(f"stopped; carry on with: {carry_on}") from None
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # while the timer is put away
            if again:
                again.cancel()
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def shown(run: Path | None = None, *, is_quiet: bool = False) -> Iterator[Progress]:
    """Give a `Progress` that fits where stderr goes, for the time of the block.

    Args:
        run: Folder of the run that goes its path; None for other work.
        is_quiet: Show nothing.
    """
    if is_quiet:
        yield silent
    elif _can_draw_again():
        from nasgtn.cli.live import live

        with live(run) as bars:
            yield bars
    else:
        yield Lines()


def _can_draw_again() -> bool:
    """Whether stderr can change what it showed: a notebook, for one, only adds to it."""
    is_notebook = "JPY_PARENT_PID" in os.environ  # its `!command` is given a terminal
    is_dumb = os.environ.get("TERM", "dumb") in ("dumb", "unknown")
    return sys.stderr.isatty() and not is_dumb and not is_notebook


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
