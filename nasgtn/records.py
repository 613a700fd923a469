"""Evaluation, the record that stages exchange, and its JSON Lines file."""

import errno
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nasgtn.artefacts import write_text
from nasgtn.errors import ArtefactError

Choice = bool | int | float | str | None

GROUND_TRUTH = "ground_truth"
"""Name of the evaluator that trains in full, or looks that up."""
FUSED, CALIBRATED, ENSEMBLE = "fused", "calibrated", "ensemble"
"""Names of the fused score without labels, and of the one that anchors calibrated."""
WITHOUT = " without gtn"
"""Added to these names where the proxy is left out."""
FUSIONS = (FUSED, FUSED + WITHOUT, CALIBRATED, CALIBRATED + WITHOUT)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one evaluator found out about one architecture."""

    evaluator: str
    """Name of the evaluator, such as `gtn`, `params` or `ground_truth`."""
    architecture_id: str
    choices: Mapping[str, Choice]
    """The architecture itself, so that it can be rebuilt from the record alone."""
    seed: int
    score: float | None
    """Finite, higher is better; None where the evaluation failed."""
    seconds: float
    """Wall-clock time of the evaluation, building the network included; of what was looked up in
    a table, the training that it is charged."""
    failure: str | None = None
    """Why there is no score."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Further numbers by name, such as `accuracy` in [0, 1] and `loss` in nats."""
    curve: tuple[tuple[int, float], ...] = ()
    """Score after a number of steps or epochs, in order."""

    def __post_init__(self) -> None:
        assert (self.score is None) == (self.failure is not None), "a score, or a failure"
        assert self.score is None or math.isfinite(self.score), "a score must be finite"


def or_lowest(score: float | None) -> float:
    """Rank what has no score below everything."""
    return -math.inf if score is None else score


def append_record(path: Path, record: Evaluation) -> None:
    """Add one line to a JSON Lines file in a single write.

    A killed process keeps it, and lines of several processes never mix.
    """
    line = (json.dumps(asdict(record), allow_nan=False) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def mend_lines(path: Path) -> None:
    """Complete a last line without its end, or cut it off where it is torn.

    A killed process may leave one behind. For the moment before a run goes on, when nobody
    else writes.
    """
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        start = content.rfind(b"\n") + 1
        if start == len(content):
            return
        try:
            json.loads(content[start:])
            file.write(b"\n")
        except ValueError:
            file.truncate(start)


def write_records(path: Path, records: Iterable[Evaluation]) -> None:
    """Write a JSON Lines file whole, or leave the old one."""
    write_text(
        path,
        "".join(json.dumps(asdict(record), allow_nan=False) + "\n" for record in records),
    )


def read_records(path: Path) -> list[Evaluation]:
    """Read a JSON Lines file; a missing file is empty, a torn last line is left out.

    A line with NaN or infinity, which nasgtn never writes, counts as an evaluation that failed.

    Raises:
        ArtefactError: Another line is no record.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            values = _finite(line)
            curve = tuple((int(step), float(score)) for step, score in values.pop("curve"))
            records.append(Evaluation(**values, curve=curve))
        except (ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
            if number == len(lines):  # no newline after it: the run was killed while writing
                break
            raise ArtefactError(f"{path}, line {number}: not an evaluation ({error})") from error
    return records


def _finite(line: str) -> dict[str, Any]:  # the fields of an Evaluation
    """Read one line; what is not finite becomes the failure of the evaluation."""
    found: list[str] = []
    values: dict[str, Any] = json.loads(line, parse_constant=found.append)
    if not found:
        return values
    return {
        **values,
        "score": None,
        "failure": values["failure"] or f"the record has {found[0]} where a number must be",
        "metrics": {k: number for k, number in values["metrics"].items() if number is not None},
        "curve": [],
        "seconds": values["seconds"] or 0.0,
    }
