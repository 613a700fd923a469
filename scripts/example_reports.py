"""Rebuild the example reports in results/reports/ from the datasets in a folder.

python scripts/example_reports.py ../shared/data
"""

import shutil
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
DATASETS = "fashion_mnist", "gtsrb32"


def main(data: Path) -> None:
    """Search on each dataset; a search that was stopped is resumed."""
    (RESULTS / "reports").mkdir(exist_ok=True)
    for name in DATASETS:
        run = RESULTS / name
        command = (
            ["resume", str(run)]
            if run.exists()
            else ["search", "--dataset", str(data / f"{name}.npz"), "--run", str(run)]
        )
        subprocess.run([sys.executable, "-m", "nasgtn", *command], check=True)
        shutil.copy(run / "report.html", RESULTS / "reports" / f"{name}.html")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
