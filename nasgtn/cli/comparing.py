"""What `nasgtn compare` does: generator, estimators, truth and architectures, then the numbers."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nasgtn.artefacts import GENERATOR_WEIGHTS, write_text
from nasgtn.cli.generators import train_on
from nasgtn.cli.tasks import space_of, splits_of
from nasgtn.comparison import (
    ComparisonConfig,
    check_settings,
    compare,
    make_estimator,
    measure_costs,
)
from nasgtn.configuration import config_tables, environment, pick_device, versions
from nasgtn.data import Splits
from nasgtn.estimates import Comparison
from nasgtn.evaluation import Evaluator
from nasgtn.evaluation.ground_truth import TableTruth, TrainedTruth
from nasgtn.gtn import TrainedGenerator, load_generator
from nasgtn.preparation import describe_task
from nasgtn.progress import Progress
from nasgtn.randomness import derive_seed
from nasgtn.report.comparison import ComparisonData, render_comparison
from nasgtn.spaces import SearchSpace

if TYPE_CHECKING:
    from nasgtn.configuration import RunConfig

TRAINED = "train"
"""The truth that is no table."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the options of `nasgtn compare` ask for, beside the configuration."""

    estimators: Sequence[str]
    n_architectures: int
    generator: Path | None
    """A trained one; None: train one first."""
    truth: str
    """`TRAINED`, or FILE:COLUMN of a table."""
    truth_seeds: int
    out: Path | None
    """JSON Lines file of the truth. What depends on more settings is kept beside it, in files
    that have a digest of these settings in their names."""


def run_comparison(config: "RunConfig", request: Request, *, progress: Progress) -> Comparison:
    """Compare estimators with the truth on random architectures of the configured space."""
    device = pick_device(config.device)
    space, splits = space_of(config), splits_of(config).to(device)
    records = _records(config, request, splits)
    space.check(splits.task, seed=config.seed)
    truth: Evaluator = (
        TrainedTruth(space, splits, config.training, device=device)
        if request.truth == TRAINED
        else TableTruth.read(request.truth)
    )
    trained = None
    if request.generator is not None:
        trained = load_generator(request.generator, task=splits.task, device=device)
    elif "gtn" in request.estimators:
        trained = _train(config, space, splits, records, progress=progress)
    gtn = trained.config if trained else config.gtn
    architectures = space.sample_distinct(
        request.n_architectures, derive_seed(config.seed, "comparison"), splits.task
    )
    return compare(
        [
            make_estimator(name, space, splits, config.proxy, gtn=gtn, trained=trained)
            for name in request.estimators
        ],
        truth,
        architectures,
        ComparisonConfig(
            seed=config.seed,
            truth_seeds=request.truth_seeds,
            records=records,
            truth_records=request.out,
        ),
        costs=measure_costs(space, splits.task, architectures),
        progress=progress,
    )


def write_page(
    path: Path, comparison: Comparison, config: "RunConfig", request: Request, *, command: str
) -> None:
    """Write the page of a comparison; `command` reruns it."""
    data = ComparisonData(
        comparison=comparison,
        dataset=config.data.name,
        space=config.space.name,
        table=None if request.truth == TRAINED else request.truth,
        command=command,
        config=config_tables(config),
        environment={
            **{name: str(value) for name, value in versions().items()},
            **environment(pick_device(config.device)),
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render_comparison(data))


def _train(
    config: "RunConfig",
    space: SearchSpace,
    splits: Splits,
    records: Path | None,
    *,
    progress: Progress,
) -> TrainedGenerator:
    """Train a generator, or take the one that is kept beside the records."""
    if records is None:
        with TemporaryDirectory() as folder:
            return train_on(config, space, splits, Path(folder), progress=progress)
    kept = records.with_name(records.name + ".generator")
    if (kept / GENERATOR_WEIGHTS).exists():
        return load_generator(kept, task=splits.task, device=splits.train.images.device)
    kept.mkdir(parents=True, exist_ok=True)
    return train_on(config, space, splits, kept, progress=progress)


def _records(config: "RunConfig", request: Request, splits: Splits) -> Path | None:
    """Check the truth's file, and find the one of the estimators' evaluations.

    What they depend on is neither the estimators nor how many architectures. Evaluations made with
    another generator or proxy have another file: they never meet, and share the truth.
    """
    if request.out is None:
        return None
    truth = {
        **{name: asdict(getattr(config, name)) for name in ("data", "space", "training")},
        "task": describe_task(splits),
        "seed": config.seed,
        "truth": request.truth,
        "files": [_digest(config.space.name), _digest(request.truth.rpartition(":")[0])],
    }
    weights = request.generator and request.generator / GENERATOR_WEIGHTS
    settings = {
        **truth,
        **{name: asdict(getattr(config, name)) for name in ("gtn", "proxy")},
        "generator": _digest(weights) if weights else None,
    }
    check_settings(request.out, truth)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    records = request.out.with_name(f"{request.out.stem}.{digest}{request.out.suffix}")
    check_settings(records, settings)
    return records


def _digest(path: str | Path) -> str | None:
    """Tell one content of a file from another; None where there is no such file."""
    path = Path(path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
