"""Anchors: a few random architectures, trained on real data before anything is learned.

Their accuracies teach the generator what order to aim at, and calibrate the fused score. Test
images are never read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nasgtn.artefacts import ANCHORS, weights_name
from nasgtn.errors import InvalidConfigError
from nasgtn.evaluation import Evaluator, Named, Report, Scores, Truth, evaluate
from nasgtn.evaluation.ground_truth import TrainedTruth
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation, append_record, mend_lines, read_records
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.task import Task
from nasgtn.training import save_weights


@dataclass(frozen=True, kw_only=True)
class AnchorConfig:
    """How many architectures are trained on real data before the generator."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    n: int = 16
    """0: none; the generator then learns from cross-entropy alone."""

    def __post_init__(self) -> None:
        if self.n < 0:
            raise InvalidConfigError(f"anchors.n must be at least 0, got {self.n}")


NAME = "anchor"
"""Of the evaluator, in the records."""


class ValidatedTruth:
    """Trains a network on real data; its score is the accuracy on the validation part.

    Args:
        truth: Trains.
        folder: Where the weights of each network are left, for verification; None: nowhere.
    """

    name = NAME

    def __init__(self, truth: TrainedTruth, folder: Path | None = None) -> None:
        self._truth = truth
        self._folder = folder

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        trained = self._truth.train(architecture, seed=seed, report=report)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_weights(trained.network, self._folder / weights_name(architecture.id, seed))
        return Scores(
            score=trained.validation_accuracy,
            metrics={**trained.metrics, "n_steps": trained.n_steps},
            curve=trained.curve,
        )


def read_anchors(folder: Path) -> list[Evaluation]:
    """Read the records of those anchors that could be trained; none where there is no file."""
    return [record for record in read_records(folder / ANCHORS) if record.score is not None]


def merit_of(truth: Truth, folder: Path | None = None) -> Evaluator:
    """Make what measures the merit of anchors; a table needs no `folder` for weights."""
    if isinstance(truth, TrainedTruth):
        return ValidatedTruth(truth, folder)
    return Named(NAME, truth)


def draw_anchors(
    space: SearchSpace, task: Task, n: int, *, seed: int, exclude: frozenset[str] = frozenset()
) -> list[Architecture]:
    """Draw `n` distinct architectures, none of which is in `exclude`; fewer in a small space."""
    return space.sample_distinct(n, derive_seed(seed, "anchors"), task, exclude=exclude)


def evaluate_anchors(
    truth: Evaluator,
    architectures: Sequence[Architecture],
    folder: Path | None,
    *,
    seed: int,
    known: Sequence[Evaluation] = (),
    progress: Progress = silent,
) -> list[Evaluation]:
    """Measure the merit of every anchor, a line in `anchors.jsonl` each.

    Args:
        truth: See `merit_of`.
        architectures: The anchors.
        folder: Of the run; what its file holds is not done again. None: nothing is kept.
        seed: Of every training.
        known: Evaluations by the same truth that are kept elsewhere; those of this seed are taken
            over.
        progress: Told after each of them.

    Returns:
        The records of those that could be trained, in the order of the architectures.
    """
    done: dict[str, Evaluation] = {}
    if folder is not None:
        mend_lines(folder / ANCHORS)
        done = {one.architecture_id: one for one in read_records(folder / ANCHORS)}
    elsewhere = {one.architecture_id: one for one in known if one.seed == seed}
    todo = [architecture for architecture in architectures if architecture.id not in done]
    n, n_before = len(architectures), len(architectures) - len(todo)
    if todo:
        progress("anchors", n_before, n)
    for number, architecture in enumerate(todo, start=n_before + 1):
        record = elsewhere.get(architecture.id)
        done[architecture.id] = record or evaluate(truth, architecture, seed=seed)
        if folder is not None:
            append_record(folder / ANCHORS, done[architecture.id])
        progress("anchors", number, n)
    records = [done[architecture.id] for architecture in architectures]
    return [record for record in records if record.score is not None]
