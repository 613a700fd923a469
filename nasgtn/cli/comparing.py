"""What `nasgtn compare` does: generator, estimators, truth and architectures, then the numbers."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nasgtn.artefacts import GENERATOR_WEIGHTS, write_text
from nasgtn.cli.generators import kept_generator
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
from nasgtn.gtn import load_generator
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
    truth = truth_of(config, request.truth, space, splits)
    trained = None
    if request.generator is not None:
        trained = load_generator(request.generator, task=splits.task, device=device)
    elif "gtn" in request.estimators:
        kept = records and records.with_name(records.name + ".generator")
        trained = kept_generator(config, space, splits, kept, progress=progress)
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


def truth_of(config: "RunConfig", name: str, space: SearchSpace, splits: Splits) -> Evaluator:
    """Make the truth: `TRAINED`, or FILE:COLUMN of a table."""
    if name != TRAINED:
        return TableTruth.read(name)
    return TrainedTruth(space, splits, config.training, device=splits.train.images.device)


def settings_of(config: "RunConfig", truth: str, splits: Splits) -> dict[str, object]:
    """Collect what an estimator's evaluation depends on, but for a generator from elsewhere.

    Neither the estimators nor how many architectures are part of it.
    """
    tables = {name: asdict(getattr(config, name)) for name in ("gtn", "proxy")}
    return {**_truth_settings(config, truth, splits), **tables}


def _truth_settings(config: "RunConfig", truth: str, splits: Splits) -> dict[str, object]:
    return {
        **{name: asdict(getattr(config, name)) for name in ("data", "space", "training")},
        "task": describe_task(splits),
        "seed": config.seed,
        "truth": truth,
        "files": [_digest(config.space.name), _digest(truth.rpartition(":")[0])],
    }


def _records(config: "RunConfig", request: Request, splits: Splits) -> Path | None:
    """Check the truth's file, and find the one of the estimators' evaluations.

    Evaluations made with another generator or proxy have another file: they never meet, and share
    the truth.
    """
    if request.out is None:
        return None
    weights = request.generator and request.generator / GENERATOR_WEIGHTS
    settings = {
        **settings_of(config, request.truth, splits),
        "generator": _digest(weights) if weights else None,
    }
    check_settings(request.out, _truth_settings(config, request.truth, splits))
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    records = request.out.with_name(f"{request.out.stem}.{digest}{request.out.suffix}")
    check_settings(records, settings)
    return records


def _digest(path: str | Path) -> str | None:
    """Tell one content of a file from another; None where there is no such file."""
    path = Path(path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
