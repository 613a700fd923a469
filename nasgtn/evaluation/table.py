"""True values looked up in a benchmark table."""

import csv
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from nasgtn.errors import InvalidDataError, UnknownNameError
from nasgtn.evaluation.evaluator import Report, Scores
from nasgtn.records import GROUND_TRUTH
from nasgtn.spaces import Architecture


class TableTruth:
    """Looks the true value up in a table, by the architecture's description or id.

    The score is the value as the table has it (percent, say): higher must be better.
    """

    name = GROUND_TRUTH

    def __init__(
        self, column: str, keys: Sequence[Mapping[str, int]], values: Sequence[float | None]
    ) -> None:
        self.column = column
        self._keys = keys
        self.values = values

    @classmethod
    def read(cls, spec: str) -> "TableTruth":
        """Read `FILE.csv:COLUMN` or `FILE.csv.gz:COLUMN`.

        Rows are found by any column that names each of them once: the first one, then those
        that hold text.

        Raises:
            InvalidDataError: The file cannot be read, or is no such table.
            UnknownNameError: It has no such column.
        """
        file, _, column = spec.rpartition(":")
        if not file:
            raise InvalidDataError(f"a table of true values must be FILE.csv:COLUMN, got {spec!r}")
        path = Path(file)
        header, *rows = _read_table(path)
        if column not in header:
            raise UnknownNameError.of(f"column of {path.name}", column, header)
        if not rows:
            raise InvalidDataError(f"{path} must have rows below its header, got none")
        columns = dict(zip(header, zip(*rows, strict=True), strict=True))
        values = [_number(path, column, text) for text in columns[column]]
        keys = [
            {text: row for row, text in enumerate(texts)}
            for name, texts in columns.items()
            if len(set(texts)) == len(rows)
            and (name == header[0] or not all(map(_is_number, texts)))
        ]
        if not keys:
            raise InvalidDataError(
                f"{path} must have a column that names each architecture once, "
                f"got repeated values in {header[0]!r}"
            )
        return cls(column, keys, values)

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        """Look the architecture up; `seed` changes nothing.

        Raises:
            LookupError: The table does not have the architecture, or no value for it.
        """
        value = self.values[self._row(architecture)]
        if value is None:
            raise LookupError(f"the table has no {self.column} of {architecture.description!r}")
        return Scores(score=value, metrics={self.column: value})

    def _row(self, architecture: Architecture) -> int:
        for rows in self._keys:
            for name in (architecture.description, architecture.id):
                if name in rows:
                    return rows[name]
        raise LookupError(
            f"the table must have a row of each architecture, got none of "
            f"{architecture.description!r} (id {architecture.id})"
        )


def _read_table(path: Path) -> list[list[str]]:
    """Read a CSV file as text, its header first; a value like 0012 keeps its zeros."""
    if not path.is_file():
        raise InvalidDataError(f"a table of true values must be an existing file, got {path}")
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        table = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"))) if row]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(f"{path} must be a table in UTF-8 CSV: {error}") from error
    for number, row in enumerate(table, start=1):
        if len(row) != len(table[0]):
            raise InvalidDataError(
                f"{path}: rows must have {len(table[0])} values, got {len(row)} in row {number}"
            )
    if not table:
        raise InvalidDataError(f"{path} must have a header and rows, got an empty file")
    return table


def _number(path: Path, column: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InvalidDataError(f"{path}: {column} must hold numbers, got {text!r}") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
