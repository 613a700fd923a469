"""Write the tables of aims and figures into README.md and docs/figures.md.

    python scripts/ranking_tables.py            # rewrites them
    python scripts/ranking_tables.py --check    # fails where they are not what they should be

Reads results/benchmarks/*/table.csv. A table stands between two marks, as `<!-- table: aims -->`
and `<!-- end -->`; nothing else of a page is touched. Of several generators the median is shown,
column by column; intervals are those of the middle one over all.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/figures.md")
MARK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
ORDERS = ("spearman", "best_half", "best_tenth")
KINDS = {"gtn": "GTN alone", "fused": "fused, no labels", "calibrated": "calibrated, 24 anchors"}
AIMS = {
    "digits_convnet": (
        "digits, 96 `convnet`s, 16 steps",
        ((0.85, 0.55, 0.40), (0.88, 0.60, 0.40), (0.92, 0.70, 0.45)),
    ),
    "fashion_convnet": (
        "Fashion-MNIST, 64 `convnet`s, 32 steps",
        ((0.85, 0.55, 0.40), (0.88, 0.60, 0.40), (0.92, 0.70, 0.45)),
    ),
    "nasbench201": (
        "CIFAR-10, 200 cells of NAS-Bench-201, 16 steps",
        ((0.82, 0.55, 0.40), (0.92, 0.77, 0.40), (0.93, 0.79, 0.50)),
    ),
    "nasbench_macro": (
        "CIFAR-10, 100 networks of NAS-Bench-Macro, 8 steps",
        ((0.85, 0.65, 0.50), (0.88, 0.70, 0.55), (0.93, 0.75, 0.60)),
    ),
}
"""Title of each benchmark, and what was aimed for, set before anything was measured."""
SHORT = {
    "digits_convnet": "digits",
    "fashion_convnet": "Fashion-MNIST",
    "nasbench201": "cells of NAS-Bench-201",
    "nasbench_macro": "NAS-Bench-Macro",
}
FREE = ("params", "flops", "synflow", "naswot", "jacob_cov", "grad_norm")
NAMES = {
    "gtn": "**GTN**",
    "ensemble": "the three generators together",
    "fused": "**fused**, no labels",
    "calibrated": "**calibrated**, 24 anchors",
    "fused without gtn": "fused without the GTN",
    "calibrated without gtn": "calibrated without the GTN",
}


def main() -> None:
    """Write the tables, or check them."""
    differing = []
    for name in PAGES:
        page = ROOT / name
        before = page.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            differing.append(name)
            if "--check" not in sys.argv:
                page.write_text(after, encoding="utf-8")
    if differing and "--check" in sys.argv:
        sys.exit(f"{', '.join(differing)}: not what the tables say; run {Path(__file__).name}")


def filled(text: str) -> str:
    """Put every table of a page in its place."""

    def table(mark: re.Match[str]) -> str:
        name = mark[2]
        whole = {"aims": scoreboard, "bf16": rounding}.get(name)
        lines = whole() if whole else benchmark(read(name))
        return mark[1] + "\n".join(lines) + "\n" + mark[3]

    return MARK.sub(table, text)


def read(name: str) -> pd.DataFrame:
    """Read the rows of a benchmark; `name` is the estimator without the generator's number."""
    table = pd.read_csv(ROOT / "results" / "benchmarks" / name / "table.csv")
    return table.assign(name=table["estimator"].str.replace(r", generator \d+$", "", regex=True))


def scoreboard() -> Iterator[str]:
    """Write two lines a benchmark, what was aimed for and what was measured."""
    columns = ("benchmark", "", *KINDS.values(), "best untrained score", "best real steps")
    yield from header(columns)
    for name, (title, aims) in AIMS.items():
        table = read(name)
        yield line(title, "aim", *(" / ".join(map(number, aim)) for aim in aims), "", "")
        kinds = [
            " / ".join(
                number(value) if value >= aim else f"**{number(value, aim)}**"
                for value, aim in zip(
                    medians(table[table["name"] == kind]), aims_of_kind, strict=True
                )
            )
            for kind, aims_of_kind in zip(KINDS, aims, strict=True)
        ]
        others = [
            " / ".join(number(table.loc[chosen(table["name"]), order].max()) for order in ORDERS)
            for chosen in OTHERS
        ]
        yield line("", "measured", *kinds, *others)


OTHERS: tuple[Callable[["pd.Series[str]"], "pd.Series[bool]"], ...] = (
    lambda names: names.isin(FREE),
    lambda names: names.str.startswith("real:"),
)
"""Which rows are opponents: shown is the best in each column, more than any one of them has."""


def benchmark(table: pd.DataFrame) -> Iterator[str]:
    """Write a line an estimator, in the order of the file."""
    yield from header(
        (
            "estimator",
            "all",
            "95 %",
            "best half",
            "best tenth",
            "seconds a candidate",
            "multiply-adds a candidate",
            "before",
        )
    )
    for name, rows in table.groupby("name", sort=False):
        middle = rows.sort_values("spearman").iloc[len(rows) // 2]
        low, high = json.loads(middle["spearman_interval"])
        each = [
            "" if len(rows) == 1 else f" ({', '.join(map(number, rows[order]))})"
            for order in ORDERS
        ]
        shown = [number(value) + more for value, more in zip(medians(rows), each, strict=True)]
        setting = rows["setting"].iloc[0]
        yield line(
            NAMES.get(str(name), f"`{name}`") + ("" if pd.isna(setting) else f" ({setting})"),
            shown[0],
            f"{number(low)} to {number(high)}",
            *shown[1:],
            seconds(median(rows["seconds_per_candidate"])),
            giga(median(rows["multiply_adds_per_candidate"])),
            seconds(median(rows["preparation_seconds"])),
        )


def rounding() -> Iterator[str]:
    """Write what bfloat16 changes: a line for the generators of a benchmark, or its trainings."""
    table = pd.read_csv(ROOT / "results" / "benchmarks" / "bf16" / "table.csv")
    is_proxy = table["what"].str.startswith("gtn")
    kinds = {"proxy": table[is_proxy], "full training": table[~is_proxy]}
    yield from header(
        (
            "scores",
            "networks",
            "bfloat16 with float32",
            "other initial weights with float32",
            "with the truth: float32, bfloat16",
            "mean accuracy",
            "seconds: float32, bfloat16",
            "device",
        )
    )
    for kind, rows in kinds.items():
        for (name, device), each in rows.groupby(["benchmark", "device"]):
            yield line(
                f"{kind}, {SHORT[str(name)]}",
                str(each["n"].iloc[0]),
                f"{median(each['rounded_to_exact']):.3f}",
                f"{median(each['other_to_exact']):.3f}",
                both(each, "to_truth", number),
                both(each, "accuracy", lambda value: f"{100 * value:.1f} %"),
                both(each, "seconds", seconds),
                str(device),
            )


def both(rows: pd.DataFrame, what: str, write: Callable[[float], str]) -> str:
    """Write the medians by float32 and by bfloat16; nothing where it was not measured."""
    columns = f"exact_{what}", f"rounded_{what}"
    if rows[columns[0]].isna().any():
        return ""
    return ", ".join(write(median(rows[column])) for column in columns)


def medians(rows: pd.DataFrame) -> list[float]:
    """Take the median over an estimator's generators, column by column."""
    return [median(rows[order]) for order in ORDERS]


def number(value: float, aim: float | None = None) -> str:
    """Write two digits; a third where two would hide that the aim is missed."""
    digits = 3 if aim is not None and f"{value:.2f}" == f"{aim:.2f}" else 2
    return f"{value:.{digits}f}".replace("-0.00", "0.00")


def seconds(value: float) -> str:
    """Write seconds, with one digit that counts below ten."""
    if value == 0:
        return "0"
    if value < 0.01:
        return "under 0.01"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}" if value < 1 else f"{value:.1f}"


def giga(value: float) -> str:
    """Write multiply-adds in thousands of millions, with two digits that count."""
    return "0" if value == 0 else f"{float(f'{value / 1e9:.2g}'):g} G"


def header(columns: tuple[str, ...]) -> Iterator[str]:
    """Write the head of a table."""
    yield line(*columns)
    yield "|---" * len(columns) + "|"


def line(*cells: str) -> str:
    """Write a line of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
