"""The ground truth: full training on real data, or a look-up in a benchmark table."""

import csv
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from nasgtn.data.splits import Splits
from nasgtn.errors import InvalidDataError, UnknownNameError
from nasgtn.evaluation.evaluator import Report, Scores
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation
from nasgtn.spaces import Architecture, Choices, SearchSpace
from nasgtn.spaces.cost import count_parameters, measure_latency
from nasgtn.training import Trained, TrainingConfig, confusion, load_weights, measure, train

NAME = "ground_truth"


class TrainedTruth:
    """Trains a network on real data; its score is the accuracy on the test part."""

    name = NAME

    def __init__(
        self,
        space: SearchSpace,
        splits: Splits,
        config: TrainingConfig,
        *,
        device: torch.device,
    ) -> None:
        self._space = space
        self._splits = splits.to(device)
        self._config = config

    def train(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Trained:
        """Train the network of `architecture`; `seed` decides weights and batches."""
        network = self._space.network(
            architecture.choices, self._splits.task, seed=derive_seed(seed, "weights")
        )
        return train(network, self._splits, self._config, seed=seed, report=report)

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        """Train, then measure the test part; `report` is told epoch and validation accuracy."""
        return self.judge(self.train(architecture, seed=seed, report=report))

    def restore(self, record: Evaluation, weights: Path) -> Trained:
        """Rebuild what a training left: its weights, and what its record tells.

        Raises:
            ArtefactError: The file of the weights is damaged.
        """
        return Trained(
            network=self._load(record.choices, weights),
            validation_accuracy=record.metrics["validation_accuracy"],
            validation_loss=record.metrics["validation_loss"],
            n_epochs=int(record.metrics["n_epochs"]),
            n_steps=int(record.metrics["n_steps"]),
            curve=record.curve,
        )

    def confusion(self, choices: Choices, weights: Path) -> list[tuple[int, int, int]]:
        """Count what a trained network takes the test images of each class for.

        Raises:
            ArtefactError: The file of the weights is damaged.
        """
        return confusion(self._load(choices, weights), self._splits.test)

    def latency(self, choices: Choices, weights: Path) -> float:
        """Measure the seconds that a trained network takes for one image, where it was trained.

        Raises:
            ArtefactError: The file of the weights is damaged.
        """
        return measure_latency(self._load(choices, weights), self._splits.task)

    def _load(self, choices: Choices, weights: Path) -> nn.Module:
        network = self._space.network(choices, self._splits.task, seed=0)
        load_weights(network, weights)
        return network.to(self._splits.test.images.device).eval()

    def judge(self, trained: Trained) -> Scores:
        """Measure a trained network on the test part."""
        measured = measure(trained.network, self._splits.test)
        return Scores(
            score=measured.accuracy,
            metrics={
                "test_accuracy": measured.accuracy,
                "test_loss": measured.loss,
                "validation_accuracy": trained.validation_accuracy,
                "validation_loss": trained.validation_loss,
                "n_epochs": trained.n_epochs,
                "n_parameters": count_parameters(trained.network),
            },
            curve=trained.curve,
        )


class TableTruth:
    """Looks the true value up in a table, by the architecture's description or id.

    The score is the value as the table has it (percent, say): higher must be better.
    """

    name = NAME

    def __init__(
        self, column: str, keys: Sequence[Mapping[str, int]], values: Sequence[float | None]
    ) -> None:
        self._column = column
        self._keys = keys
        self._values = values

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
        value = self._values[self._row(architecture)]
        if value is None:
            raise LookupError(f"the table has no {self._column} of {architecture.description!r}")
        return Scores(score=value, metrics={self._column: value})

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
