"""The transfer matrix: how generators teach, and order, families that they were not trained on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from nasgtn.comparison import ComparisonConfig, compare
from nasgtn.estimates import Estimate
from nasgtn.estimators import Estimator
from nasgtn.evaluation import Evaluator
from nasgtn.progress import Progress, silent, within
from nasgtn.spaces import Architecture

WHOLE_SPACE = "whole space"
"""The row of the generator that was trained on learners of every family."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """How each of several generators does on each of several families."""

    seed: int
    truth: str
    trained_on: tuple[str, ...]
    """Names of the rows: what a generator was trained on; `real:N` is real data in its place."""
    tested_on: tuple[str, ...]
    """Names of the columns: families."""
    estimates: tuple[tuple[Estimate, ...], ...]
    """By row and column."""

    def flat(self) -> dict[str, object]:
        """Write it as JSON has it, with flat estimates."""
        return {**vars(self), "estimates": [[one.flat() for one in row] for row in self.estimates]}


def measure_transfer(
    rows: Sequence[Estimator],
    truth: Evaluator,
    families: Mapping[str, Sequence[Architecture]],
    config: ComparisonConfig,
    *,
    progress: Progress = silent,
) -> Transfer:
    """Compare the rows with the truth on each family alone.

    An architecture starts from the same initial weights in every row.

    Args:
        rows: Their evaluators have different names; see `Named`.
        truth: As for `compare`.
        families: Columns: distinct architectures of each.
        config: As for `compare`; one file keeps the evaluations of all families.
        progress: Told after each evaluation.

    Raises:
        InvalidDataError: The truth cannot score any of the architectures of a family.
    """
    columns = [
        compare(
            rows,
            truth,
            architectures,
            replace(config, paired=True),
            progress=within(f"tested on {family}", progress),
        )
        for family, architectures in families.items()
    ]
    names = tuple(row.name for row in rows)
    ends = ([one for one in column.estimators if one.name in names] for column in columns)
    return Transfer(
        seed=config.seed,
        truth=truth.name,
        trained_on=names,
        tested_on=tuple(families),
        estimates=tuple(zip(*ends, strict=True)),  # not the rungs on the way
    )


def transfer_tables(transfer: Transfer) -> dict[str, list[list[str]]]:
    """Lay both matrices out as text, by title; the first row of each holds the headers."""
    return {
        "Mean validation accuracy after the last step": _table(transfer, _accuracy),
        "Spearman with the truth within the family, 95 % interval": _table(transfer, _spearman),
    }


def _table(transfer: Transfer, cell: Callable[[Estimate], str]) -> list[list[str]]:
    rows = zip(transfer.trained_on, transfer.estimates, strict=True)
    return [
        ["trained on", *transfer.tested_on],
        *([name, *map(cell, estimates)] for name, estimates in rows),
    ]


def _accuracy(estimate: Estimate) -> str:
    value = "-" if estimate.accuracy is None else f"{estimate.accuracy:.3f}"
    return f"{value} ({estimate.n_failed} failed)" if estimate.n_failed else value


def _spearman(estimate: Estimate) -> str:
    found = estimate.agreement
    words = ["-" if found.spearman is None else f"{found.spearman:.2f}"]
    if found.spearman_interval is not None:
        words.append("[{:.2f}, {:.2f}]".format(*found.spearman_interval))
    return " ".join([*words, f"n={found.n}"])
