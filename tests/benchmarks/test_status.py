"""Whether `nasgtn status` is quick for a run of 1,000 trials: the whole command, bounded."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
from run_folder import write_run

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(300)]

MOST_SECONDS = 1.0


def test_status_of_a_thousand_trials(report_line: Callable[[str], None], tmp_path: Path) -> None:
    write_run(tmp_path, n_trials=1000)

    def run(*command: str) -> float:
        start = time.perf_counter()
        done = subprocess.run([sys.executable, *command], check=True, capture_output=True)
        seconds = time.perf_counter() - start
        if "status" in command:
            assert json.loads(done.stdout)["candidates"] > 900
        return seconds

    asking = median(run("-m", "nasgtn", "status", str(tmp_path), "--json") for _ in range(7))
    helping = median(run("-m", "nasgtn", "--help") for _ in range(7))
    report_line(
        f"nasgtn status of 1,000 trials: {asking:.2f} s; nasgtn --help: {helping:.2f} s, "
        f"ratio {asking / helping:.1f}"
    )
    assert asking < MOST_SECONDS
