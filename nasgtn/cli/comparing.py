"""What `nasgtn compare` does: generator, estimators, truth and architectures, then the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nasgtn.anchors import read_anchors
from nasgtn.artefacts import ANCHORS, GENERATOR_WEIGHTS, write_text
from nasgtn.cli.generators import kept_generator
from nasgtn.cli.settings import TRAINED, digest, settings_of, short_digest, truth_settings
from nasgtn.cli.tasks import space_of, splits_of
from nasgtn.comparison import ComparisonConfig, compare, measure_costs
from nasgtn.configuration import config_tables, environment, pick_device, versions
from nasgtn.data import Splits
from nasgtn.errors import ArtefactError, InvalidConfigError
from nasgtn.estimates import Comparison
from nasgtn.estimators import GENERATED, Estimator, Fusion, make_estimator
from nasgtn.evaluation import (
    ZERO_COST,
    Evaluator,
    Named,
    TableTruth,
    TrainedTruth,
    best_tenth_of,
    check_settings,
)
from nasgtn.evaluation.proxy import GtnProxy
from nasgtn.fusion import MIN_LABELS, PARTS
from nasgtn.gtn import TrainedGenerator, load_generator
from nasgtn.preparation import load_truth
from nasgtn.progress import Progress
from nasgtn.randomness import derive_seed
from nasgtn.records import (
    CALIBRATED,
    ENSEMBLE,
    FUSED,
    WITHOUT,
    Evaluation,
    read_records,
)
from nasgtn.report.comparison import ComparisonData, render_comparison
from nasgtn.spaces import Architecture, SearchSpace

if TYPE_CHECKING:
    from nasgtn.configuration import RunConfig

GENERATOR = ".generator"
"""Ends the name of the folder of a comparison's first generator; the others have a number too."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the options of `nasgtn compare` ask for, beside the configuration."""

    estimators: Sequence[str]
    n_architectures: int
    generator: Path | None
    """A trained one; None: train them first."""
    n_generators: int
    """How many to train, each with a seed and anchors of its own."""
    truth: str | None
    """What judges: `TRAINED`, FILE:COLUMN of a table, or None: what the configuration says."""
    truth_seeds: int
    n_best: int
    """More architectures of the best tenth, for its order alone."""
    out: Path | None
    """JSON Lines file of the truth. What depends on more settings is kept beside it, under names
    that have a digest of these settings: evaluations, and the generators, which do not depend on
    how the proxy scores."""


def run_comparison(config: "RunConfig", request: Request, *, progress: Progress) -> Comparison:
    """Compare estimators with the truth on random architectures of the configured space."""
    device = pick_device(config.device)
    space, splits = space_of(config), splits_of(config).to(device)
    kept = _kept(config, request, splits)
    space.check(splits.task, seed=config.seed)
    truth = truth_of(config, request.truth, space, splits)
    _check_truth(request, truth)
    if CALIBRATED in request.estimators and not request.generator:
        n_anchors = config.anchors.n
        if n_anchors < MIN_LABELS:
            raise InvalidConfigError(
                f"{CALIBRATED} needs anchors.n of at least {MIN_LABELS}, got {n_anchors}"
            )
    given = request.generator and load_generator(
        request.generator, task=splits.task, device=device
    )
    teachers = (
        [_Teacher(suffix="", trained=given, anchors=read_anchors(request.generator))]
        if given and request.generator
        else []
    )
    architectures = space.sample_distinct(
        request.n_architectures,
        derive_seed(config.seed, "comparison"),
        splits.task,
        exclude=frozenset().union(*(teacher.seen for teacher in teachers)),
    )
    for name in set(request.estimators).difference(GENERATED):  # refused before any training
        make_estimator(name, space, splits, config.proxy, gtn=config.gtn)
    if not given and not set(GENERATED).isdisjoint(request.estimators):
        exclude = frozenset(one.id for one in architectures)
        teachers = _teachers(config, request, (space, splits), kept, exclude, progress=progress)
    if CALIBRATED in request.estimators:
        _check_labels(teachers)
    best: Sequence[Architecture] = ()
    if request.n_best:
        best = best_tenth_of(space, truth, architectures).sample_distinct(
            request.n_best,
            derive_seed(config.seed, "comparison", "best tenth"),
            splits.task,
            exclude=frozenset(one.id for one in architectures).union(*(t.seen for t in teachers)),
        )
    rows = _Rows(
        config=replace(config, gtn=given.config) if given else config,
        space=space,
        splits=splits,
        teachers=teachers,
    )
    return compare(
        [row for name in request.estimators for row in rows.of(name)],
        truth,
        architectures,
        ComparisonConfig(
            seed=config.seed,
            truth_seeds=request.truth_seeds,
            records=kept.records if kept else None,
            truth_records=request.out,
            best=best,
        ),
        costs=measure_costs(space, splits.task, architectures),
        progress=progress,
    )


@dataclass(frozen=True, kw_only=True)
class _Teacher:
    """One of the generators that are compared."""

    suffix: str
    """Of the names of its rows."""
    trained: TrainedGenerator
    anchors: Sequence[Evaluation]

    @property
    def seconds(self) -> float:
        return self.trained.seconds + self.trained.anchor_seconds

    @property
    def seen(self) -> frozenset[str]:
        """Ids of the architectures whose accuracies it knows, or its calibration does."""
        return frozenset(self.trained.anchors).union(one.architecture_id for one in self.anchors)


def _check_truth(request: Request, truth: Evaluator) -> None:
    """Refuse what a trained truth, or a table, cannot give."""
    is_trained = isinstance(truth, TrainedTruth)
    if request.truth_seeds > 1 and not is_trained:
        raise InvalidConfigError(
            "--truth-seeds must be 1 with a table, which has one value an architecture, got "
            f"{request.truth_seeds}"
        )
    if request.n_best and is_trained:
        raise InvalidConfigError(
            "--best-tenth needs a table, to look up which architectures are that good; got "
            f"{request.n_best} with trained accuracies"
        )


def _check_labels(teachers: Sequence[_Teacher]) -> None:
    """Refuse to calibrate by fewer anchors than that takes: some failed, or the space is small."""
    n_least = min((len(one.anchors) for one in teachers), default=MIN_LABELS)
    if n_least < MIN_LABELS:
        raise InvalidConfigError(
            f"{CALIBRATED} needs at least {MIN_LABELS} anchors with an accuracy, got {n_least}; "
            "leave it out of --estimators, or compare fewer architectures"
        )


def _teachers(
    config: "RunConfig",
    request: Request,
    task: tuple[SearchSpace, Splits],
    kept: "_Kept | None",
    exclude: frozenset[str],
    *,
    progress: Progress,
) -> list[_Teacher]:
    """Train the generators, each with a seed and anchors of its own; or take those that are kept.

    None of their anchors is in `exclude`.
    """
    space, splits = task
    found = []
    for number in range(request.n_generators):
        folder = kept and kept.generator(number)
        with TemporaryDirectory() as elsewhere:
            trained = kept_generator(
                replace(config, seed=config.seed + number),
                space,
                splits,
                folder or Path(elsewhere),
                exclude=exclude,
                known=kept.anchors() if kept else (),
                progress=progress,
            )
            anchors = read_anchors(folder or Path(elsewhere))
        if not exclude.isdisjoint(trained.anchors):
            raise ArtefactError(
                f"the generator in {folder} must not have learned from architectures that are "
                "compared, but it has anchors among them; choose another file"
            )
        suffix = f", generator {number}" if request.n_generators > 1 else ""
        found.append(_Teacher(suffix=suffix, trained=trained, anchors=anchors))
    return found


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Makes the rows of a comparison from the names of estimators."""

    config: "RunConfig"
    space: SearchSpace
    splits: Splits
    teachers: Sequence[_Teacher]

    def of(self, name: str) -> list[Estimator | Fusion]:
        """Make the rows of one name: of what a generator is in, one a generator."""
        config = self.config
        if name == "gtn":
            return [
                Estimator.of(self._proxy(one), preparation_seconds=one.seconds)
                for one in self.teachers
            ]
        if name == ENSEMBLE:
            return [
                Fusion(
                    name=ENSEMBLE,
                    parts={
                        f"gtn, {index}": self._proxy(one)
                        for index, one in enumerate(self.teachers)
                    },
                    preparation_seconds=sum(one.seconds for one in self.teachers),
                )
            ]
        if name == FUSED:
            return [*map(self._fused, self.teachers), self._fused(None)]
        if name == CALIBRATED:
            return [
                self._calibrated(one, with_gtn=with_gtn)
                for with_gtn in (True, False)
                for one in self.teachers
            ]
        return [make_estimator(name, self.space, self.splits, config.proxy, gtn=config.gtn)]

    def _fused(self, teacher: _Teacher | None) -> Fusion:
        free = self._free([name for name, weight in PARTS.items() if weight])
        if teacher is None:
            return Fusion(name=FUSED + WITHOUT, parts=free)
        return Fusion(
            name=f"{FUSED}{teacher.suffix}",
            parts={"gtn": self._proxy(teacher), **free},
            preparation_seconds=teacher.seconds,
        )

    def _calibrated(self, teacher: _Teacher, *, with_gtn: bool) -> Fusion:
        parts = self._free(list(PARTS))
        return Fusion(
            name=f"{CALIBRATED}{'' if with_gtn else WITHOUT}{teacher.suffix}",
            parts={"gtn": self._proxy(teacher), **parts} if with_gtn else parts,
            anchors=teacher.anchors,
            preparation_seconds=teacher.seconds if with_gtn else teacher.trained.anchor_seconds,
        )

    def _free(self, names: Sequence[str]) -> dict[str, Evaluator]:
        return {
            name: ZERO_COST[name](self.space, self.splits.task, self.splits.train)
            for name in names
            if name in ZERO_COST
        }

    def _proxy(self, teacher: _Teacher) -> Named:
        proxy = GtnProxy.of(teacher.trained, self.space, self.splits, self.config.proxy)
        return Named(f"gtn{teacher.suffix}", proxy)


def write_page(
    path: Path, comparison: Comparison, config: "RunConfig", request: Request, *, command: str
) -> None:
    """Write the page of a comparison; `command` reruns it."""
    data = ComparisonData(
        comparison=comparison,
        dataset=config.data.name,
        space=config.space.name,
        table=None if request.truth == TRAINED else request.truth,
        charged=config.truth.table if request.truth is None else None,
        command=command,
        config=config_tables(config),
        environment=surroundings(config),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render_comparison(data))


def surroundings(config: "RunConfig") -> dict[str, str]:
    """Name versions and machine, as a page shows them."""
    return {
        **{name: str(value) for name, value in versions().items()},
        **environment(pick_device(config.device)),
    }


def truth_of(
    config: "RunConfig", name: str | None, space: SearchSpace, splits: Splits
) -> Evaluator:
    """Make what judges: `TRAINED`, FILE:COLUMN of a table, or None: what the configuration says.

    Values of a table that is named here keep its unit.
    """
    if name is None:
        return load_truth(config, space, splits)
    if name != TRAINED:
        return TableTruth.read(name)
    return TrainedTruth(space, splits, config.training, device=splits.train.images.device)


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """Where a comparison keeps what it found.

    What was made with another generator or proxy has another file: they never meet, and share the
    truth.
    """

    truth: Path
    records: Path
    """Of the estimators."""
    generators: str
    """What the names of the folders of its generators begin with."""

    def generator(self, number: int) -> Path:
        return self.truth.with_name(f"{self.generators}{f'-{number}' if number else ''}")

    def anchors(self) -> list[Evaluation]:
        """Read the anchors of all generators there: the same truth measured them."""
        files = self.truth.parent.glob(f"{self.truth.stem}.*{GENERATOR}*/{ANCHORS}")
        return [record for file in sorted(files) for record in read_records(file)]


def _kept(config: "RunConfig", request: Request, splits: Splits) -> _Kept | None:
    """Find the files of a comparison, and check that they were made with these settings."""
    truth = request.out
    if truth is None:
        return None
    weights = request.generator and request.generator / GENERATOR_WEIGHTS
    settings = {
        **settings_of(config, request.truth, splits),
        "generator": digest(weights) if weights else None,
    }
    without_proxy = {name: value for name, value in settings.items() if name != "proxy"}
    check_settings(truth, truth_settings(config, request.truth, splits))
    records = truth.with_name(f"{truth.stem}.{short_digest(settings)}{truth.suffix}")
    check_settings(records, settings)
    generators = f"{truth.stem}.{short_digest(without_proxy)}{GENERATOR}"
    return _Kept(truth=truth, records=records, generators=generators)
