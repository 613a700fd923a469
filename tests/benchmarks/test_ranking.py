"""How well the proxy orders random convnets on digits, and what real data do in as many steps.

The script keeps what it measured in `results/benchmarks/`; delete a folder there to measure anew.
The architectures were drawn after the defaults had been chosen, on others.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_ranking.py"


@pytest.mark.parametrize("more", [(), ("--architectures", "48")], ids=["96", "48"])
def test_order_of_convnets_on_digits(
    more: tuple[str, ...], report_line: Callable[[str], None]
) -> None:
    command = [sys.executable, str(SCRIPT), "digits_convnet", *more]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    report_line("estimator, Spearman, best half, best tenth, seconds a candidate, interval")
    for line in found.stdout.splitlines():
        report_line(line)
