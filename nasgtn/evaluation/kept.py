"""Evaluations that are kept in a file, and not done again."""

import json
from collections.abc import Mapping
from pathlib import Path

from nasgtn.artefacts import write_text
from nasgtn.errors import ArtefactError
from nasgtn.evaluation.evaluator import Evaluator, evaluate
from nasgtn.records import Evaluation, append_record, mend_lines, read_records
from nasgtn.spaces import Architecture


class KeptEvaluations:
    """Evaluations by evaluator, architecture and seed.

    Args:
        path: A JSON Lines file, which need not exist; None: they are kept in memory alone.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[tuple[str, str, int], Evaluation] = {}
        if path is None:
            return
        mend_lines(path)  # a kill may have torn the last one, and the next is appended to it
        for record in read_records(path):
            self._known[record.evaluator, record.architecture_id, record.seed] = record

    def evaluate(self, evaluator: Evaluator, architecture: Architecture, seed: int) -> Evaluation:
        """Take the evaluation that is kept; else evaluate, and keep what comes."""
        key = (evaluator.name, architecture.id, seed)
        if key not in self._known:
            self._known[key] = evaluate(evaluator, architecture, seed=seed)
            if self._path is not None:
                append_record(self._path, self._known[key])
        return self._known[key]


def check_settings(records: Path, settings: Mapping[str, object]) -> None:
    """Keep what evaluations are made with beside their file, and refuse to mix two kinds.

    Args:
        records: File of the evaluations; it need not exist yet.
        settings: JSON-able: everything that an evaluation depends on.

    Raises:
        ArtefactError: The file was made with other settings.
    """
    path = records.with_name(records.name + ".settings.json")
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    if not records.exists():
        records.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        raise ArtefactError(
            f"{records} must hold evaluations made with the same settings, but it was made "
            f"with others (see {path}); choose another file"
        )
