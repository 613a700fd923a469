"""What the live view shows, drawn as a terminal would draw it."""

import io
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import QUICK
from rich.console import Console
from run_folder import write_run

from nasgtn.cli.live import Bars, live
from nasgtn.status import leaders


def drawn(bars: Bars, width: int = 80) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(bars)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_the_whole_path_is_shown_with_what_is_open(tmp_path: Path) -> None:
    bars = Bars(tmp_path)
    assert drawn(bars) == []
    bars("anchors", 24, 24)
    bars("warm start", 50, 300, "error 0.310")
    lines = drawn(bars)
    assert [line.split()[0] for line in lines] == [
        *("anchors", "meta-training", "warm", "search", "verification")
    ]
    assert "24/24" in lines[0]
    assert lines[2].startswith("  warm start")
    assert "50/300" in lines[2]
    bars("warm start", 300, 300)
    bars("meta-training", 20, 200, "meta-loss 1.2")
    assert not any("warm start" in line for line in drawn(bars))
    assert "meta-loss 1.2" in drawn(bars)[1]


def test_stages_that_a_carried_on_run_passed_say_so(tmp_path: Path) -> None:
    bars = Bars(tmp_path)
    bars("search", 5, 48)
    assert drawn(bars)[0].split() == ["anchors", "done", "before"]
    assert drawn(bars)[3].split() == ["verification"]


def test_the_best_so_far_fit_below_and_are_those_of_the_files(tmp_path: Path) -> None:
    bars = Bars(write_run(tmp_path))
    bars("search", 48, 48, "best score 0.9")
    lines = drawn(bars)
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24 - 2
    best = leaders(tmp_path)
    assert len(best) == 5
    table = lines[lines.index("") + 1 :]
    assert table[0].split() == ["best", "so", "far", "proxy", "score", "validation", "parameters"]
    for line, one in zip(table[1:], best, strict=True):
        assert line.startswith(one.choices[:20])
        assert f"{one.score:.4f}" in line
        assert one.validation_accuracy is not None
        assert f"{100 * one.validation_accuracy:.2f} %" in line


def test_a_stage_that_begins_again_has_a_new_clock() -> None:
    bars = Bars()
    bars("baselines", 10, 10)
    bars("baselines", 1, 5)
    (line,) = drawn(bars)
    assert "1/5" in line


def test_the_time_left_counts_what_this_process_did(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    bars = Bars()
    bars("search", 40, 60)
    now += 10
    bars("search", 45, 60)
    assert "0:00:10  -0:00:30" in drawn(bars)[0]  # 2 s each, 15 to come


def test_names_and_notes_are_shown_as_they_are_and_cut_off() -> None:
    bars = Bars()
    bars("[bold]tested", 1, 2, "[red]" + "long " * 40)
    (line,) = drawn(bars)
    assert "[bold]tested" in line
    assert "[red]long" in line
    assert len(line) <= 80


def test_of_very_many_stages_the_last_are_shown() -> None:
    bars = Bars()
    for n in range(40):
        bars(f"family {n}", 1, 1)
    lines = drawn(bars)
    assert len(lines) == 12
    assert lines[-1].startswith("family 39")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_colour_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    texts = []
    for no_color in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_color)
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        with live(write_run(tmp_path)) as bars:
            bars("search", 12, 48)
        texts.append(terminal.getvalue())
    colour = re.compile(r"\x1b\[[\d;]*3[0-9][\d;]*m")
    assert colour.search(texts[0])
    assert not colour.search(texts[1])
    assert "12/48" in texts[1]


@pytest.mark.slow
def test_a_search_in_a_terminal_of_80_by_24(
    toy_archive: Path, tiny_space_file: Path, tmp_path: Path
) -> None:
    """stderr is a terminal, stdout is not: progress is on the first, the result on the second."""
    where = ("--dataset", toy_archive, "--space", tiny_space_file, "--run", tmp_path / "run")
    command = ("-m", "nasgtn", "search", *where, "--trials", "6", "--verify", "2", *QUICK)
    ours, theirs = pty.openpty()
    size = {"COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    env = {name: value for name, value in os.environ.items() if name != "JPY_PARENT_PID"}
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**env, **size},
        text=True,
    )
    os.close(theirs)
    shown = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        try:
            if select.select([ours], [], [], 0.2)[0]:
                shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    out, _ = process.communicate()
    os.close(ours)
    assert process.returncode == 0, shown.decode()
    lines = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.decode()).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= 80
    for name in ("anchors", "meta-training", "search", "verification", "best so far"):
        assert any(line.startswith(name) for line in lines), name
    assert any("4/4" in line for line in lines if line.startswith("verification"))
    summary = out.splitlines()
    assert len(summary) <= 23
    assert summary[0].startswith("winner")
    assert "\x1b" not in out
