"""The tables of README.md and docs/figures.md are what the committed measurements say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_pages_have_the_tables_of_the_committed_measurements() -> None:
    script = ROOT / "scripts" / "ranking_tables.py"
    found = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
