"""What `nasgtn compare` does: generator, estimators, truth and architectures, then the numbers."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nasgtn.artefacts import GENERATOR_WEIGHTS
from nasgtn.cli.generators import kept_generator
from nasgtn.cli.tasks import space_of, splits_of
from nasgtn.comparison import (
    Comparison,
    ComparisonConfig,
    check_settings,
    compare,
    make_estimator,
)
from nasgtn.configuration import pick_device
from nasgtn.data import Splits
from nasgtn.evaluation import Evaluator
from nasgtn.evaluation.ground_truth import TableTruth, TrainedTruth
from nasgtn.gtn import TrainedGenerator, load_generator
from nasgtn.progress import Progress
from nasgtn.randomness import derive_seed
from nasgtn.spaces import SearchSpace

if TYPE_CHECKING:
    from nasgtn.configuration import RunConfig


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the options of `nasgtn compare` ask for, beside the configuration."""

    estimators: Sequence[str]
    n_architectures: int
    generator: Path | None
    """A trained one; None: train one first."""
    truth: str
    """`train`, or FILE:COLUMN of a table."""
    truth_seeds: int
    out: Path | None
    """JSON Lines file of the evaluations; a generator trained here is kept beside it."""


def run_comparison(config: "RunConfig", request: Request, *, progress: Progress) -> Comparison:
    """Compare estimators with the truth on random architectures of the configured space."""
    if request.out is not None:
        check_settings(request.out, _settings(config, request))
    space, splits = space_of(config), splits_of(config).to(pick_device(config.device))
    space.check(splits.task, seed=config.seed)
    truth = truth_of(config, request.truth, space, splits)
    trained = None
    if "gtn" in request.estimators:
        trained = _generator(config, request, space, splits, progress=progress)
    gtn = trained.config if trained else config.gtn
    architectures = space.sample_distinct(
        request.n_architectures, derive_seed(config.seed, "comparison"), splits.task
    )
    return compare(
        [
            make_estimator(
                name,
                space,
                splits,
                config.proxy,
                gtn=gtn,
                synthetic=trained.synthesise() if trained else None,
            )
            for name in request.estimators
        ],
        truth,
        architectures,
        ComparisonConfig(
            seed=config.seed,
            truth_seeds=request.truth_seeds,
            records=request.out,
        ),
        preparation={"gtn": trained.seconds} if trained else {},
        progress=progress,
    )


def _generator(
    config: "RunConfig",
    request: Request,
    space: SearchSpace,
    splits: Splits,
    *,
    progress: Progress,
) -> TrainedGenerator:
    if request.generator is not None:
        device = splits.train.images.device
        return load_generator(request.generator, task=splits.task, device=device)
    kept = None
    if request.out is not None:
        request.out.touch()  # the generator is kept from here on, so the settings must stay
        kept = request.out.with_name(request.out.name + ".generator")
    return kept_generator(config, space, splits, kept, progress=progress)


def truth_of(config: "RunConfig", name: str, space: SearchSpace, splits: Splits) -> Evaluator:
    """Make the truth: `train`, or FILE:COLUMN of a table."""
    if name != "train":
        return TableTruth.read(name)
    device = splits.train.images.device
    return TrainedTruth(space, splits, config.training, device=device)


def settings_of(config: "RunConfig", truth: str) -> dict[str, object]:
    """Collect what an evaluation depends on; neither the estimators nor how many architectures."""
    tables = ("data", "space", "gtn", "proxy", "training")
    return {
        **{name: asdict(getattr(config, name)) for name in tables},
        "seed": config.seed,
        "truth": truth,
    }


def _settings(config: "RunConfig", request: Request) -> dict[str, object]:
    weights = request.generator and request.generator / GENERATOR_WEIGHTS
    return {
        **settings_of(config, request.truth),
        "generator": hashlib.sha256(weights.read_bytes()).hexdigest() if weights else None,
    }
