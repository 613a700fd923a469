"""Draw what is missing to the best cell over what was spent, for all searches that are kept.

    python scripts/regret_picture.py

Reads results/benchmarks/search_nasbench201/regret.csv, writes docs/images/regret.png (Chromium
takes the picture).
"""

from pathlib import Path

from screenshots import picture  # type: ignore[import-not-found]  # beside this file

from nasgtn.report.regret import regret_figure

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "results" / "benchmarks" / "search_nasbench201" / "regret.csv"


def main() -> None:
    """Make the figure and take its picture."""
    figure = regret_figure(TABLE.read_text(encoding="utf-8"))
    picture(figure.update_layout(template="none"), "regret.png", width=1000, height=480)


if __name__ == "__main__":
    main()
