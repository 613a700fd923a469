import contextlib
import io
import signal
import sys
import time

import pytest

from nasgtn.cli.live import Bars
from nasgtn.cli.progress import Lines, StoppedError, shown, stoppable
from nasgtn.progress import silent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_are_few_and_the_last_of_each_stage_always_comes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Lines(seconds_between=60)
    for done in range(1, 101):
        lines("search", done, 100, f"best 0.{done:02d}")
    lines("search", 100, 100)
    lines("verification", 1, 2)
    lines("verification", 2, 2)
    assert capsys.readouterr().err.splitlines() == [
        "search: 1/100, 0 s, best 0.01",
        "search: 100/100, 0 s, best 0.100",
        "verification: 2/2, 0 s",
    ]


def test_what_listens_depends_on_where_stderr_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    with shown(is_quiet=True) as progress:
        assert progress is silent
    with shown() as progress:
        assert isinstance(progress, Lines)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with shown() as progress:
        assert isinstance(progress, Bars)


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("JPY_PARENT_PID", "17")])
def test_a_dumb_terminal_and_a_notebook_get_lines(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with shown() as progress:
        assert isinstance(progress, Lines)


def test_ctrl_c_says_how_to_carry_on() -> None:
    with (
        pytest.raises(StoppedError, match="carry on with: nasgtn resume results/a") as caught,
        stoppable("nasgtn resume results/a"),
    ):
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130


def swallow_ctrl_c_and_go_on(until: float) -> None:
    with contextlib.suppress(KeyboardInterrupt):  # as in a finaliser
        signal.raise_signal(signal.SIGINT)
    while time.monotonic() < until:
        time.sleep(0.01)


def test_ctrl_c_that_was_swallowed_comes_again() -> None:
    before, deadline = signal.getsignal(signal.SIGINT), time.monotonic() + 20
    with pytest.raises(StoppedError), stoppable("the same command"):
        swallow_ctrl_c_and_go_on(deadline)
    assert time.monotonic() < deadline
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_that_a_background_job_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable("the same command"):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
