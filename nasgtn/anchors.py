"""Anchors: a few random architectures, trained on real data before anything is learned.

Their accuracies teach the generator what order to aim at, and calibrate the fused score. Test
images are never read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from nasgtn.artefacts import ANCHORS, weights_name
from nasgtn.data import Splits
from nasgtn.errors import InvalidConfigError
from nasgtn.evaluation import Evaluator, Named, Report, Scores, Truth, evaluate
from nasgtn.evaluation.ground_truth import TrainedTruth
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation, append_record, mend_lines, read_records
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.task import Task
from nasgtn.training import TrainingConfig, save_weights


@dataclass(frozen=True, kw_only=True)
class AnchorConfig:
    """How many architectures are trained on real data before the generator, and how long."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    n: int = 16
    """0: none; the generator then learns from cross-entropy alone."""
    max_steps: int = 0
    """Steps of a short training on real images, also where verification reads a table; the rest is
    as `training` says. 0: as verification, which then takes their weights."""
    image_size: int = 0
    """Longer side in pixels of the images of a short training; 0: as they are."""

    def __post_init__(self) -> None:
        for name in ("n", "max_steps", "image_size"):
            if getattr(self, name) < 0:
                raise InvalidConfigError(
                    f"anchors.{name} must be at least 0, got {getattr(self, name)}"
                )
        if self.image_size and not self.max_steps:
            raise InvalidConfigError(
                "anchors.image_size is of short trainings, which need anchors.max_steps above 0, "
                f"got {self.max_steps}"
            )

    @property
    def are_short(self) -> bool:
        """Whether their trainings are other ones than those of verification."""
        return self.max_steps > 0


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
            metrics=trained.metrics,
            curve=trained.curve,
        )


def merit_seed(config: AnchorConfig, seed: int, *, full: int) -> int:
    """Choose the seed of the anchors' trainings: `full`, or one of its own for each short kind.

    So no two kinds are mixed up where records of another generator are taken over.
    """
    if config.are_short:
        return derive_seed(seed, "short training", config.max_steps, config.image_size)
    return full


def read_anchors(folder: Path) -> list[Evaluation]:
    """Read the records of those anchors that could be trained; none where there is no file."""
    return [record for record in read_records(folder / ANCHORS) if record.score is not None]


def merit_of(truth: Truth, folder: Path | None = None) -> Evaluator:
    """Make what measures the merit of anchors as verification does; a table needs no `folder`."""
    if isinstance(truth, TrainedTruth):
        return ValidatedTruth(truth, folder)
    return Named(NAME, truth)


def short_merit(
    config: AnchorConfig, training: TrainingConfig, space: SearchSpace, splits: Splits
) -> Evaluator:
    """Make what measures merit by a short training on small images; no weights are kept."""
    short = replace(training, max_steps=config.max_steps)
    small = splits.shrunk(config.image_size)
    return ValidatedTruth(TrainedTruth(space, small, short, device=small.train.images.device))


def draw_anchors(
    space: SearchSpace, task: Task, n: int, *, seed: int, exclude: frozenset[str] = frozenset()
) -> list[Architecture]:
    """Draw `n` distinct architectures, none of which is in `exclude`; fewer in a small space."""
    return space.sample_distinct(n, derive_seed(seed, "anchors"), task, exclude=exclude)


def evaluate_anchors(
    truth: Evaluator,
    architectures: Sequence[Architecture],
    path: Path | None,
    *,
    seed: int,
    known: Sequence[Evaluation] = (),
    progress: Progress = silent,
) -> list[Evaluation]:
    """Measure the merit of every anchor, or of a shortlist, a line in a file each.

    Args:
        truth: See `merit_of` and `short_merit`.
        architectures: The anchors.
        path: The file; what it holds is not done again. None: nothing is kept.
        seed: Of every training.
        known: Evaluations by the same truth that are kept elsewhere; those of this seed are taken
            over.
        progress: Told after each of them.

    Returns:
        The records of those that could be trained, in the order of the architectures.
    """
    done: dict[str, Evaluation] = {}
    if path is not None:
        mend_lines(path)
        done = {one.architecture_id: one for one in read_records(path)}
    elsewhere = {one.architecture_id: one for one in known if one.seed == seed}
    todo = [architecture for architecture in architectures if architecture.id not in done]
    n, n_before = len(architectures), len(architectures) - len(todo)
    if todo:
        progress("anchors", n_before, n)
    for number, architecture in enumerate(todo, start=n_before + 1):
        record = elsewhere.get(architecture.id)
        done[architecture.id] = record or evaluate(truth, architecture, seed=seed)
        if path is not None:
            append_record(path, done[architecture.id])
        progress("anchors", number, n)
    records = [done[architecture.id] for architecture in architectures]
    return [record for record in records if record.score is not None]
