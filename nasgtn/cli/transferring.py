"""What `nasgtn transfer` does: a generator for each family, then the matrix."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nasgtn.artefacts import write_text
from nasgtn.cli.comparing import surroundings, truth_of
from nasgtn.cli.generators import kept_generator
from nasgtn.cli.settings import settings_of
from nasgtn.cli.tasks import space_of, splits_of
from nasgtn.comparison import ComparisonConfig
from nasgtn.configuration import config_tables, pick_device
from nasgtn.data import Splits
from nasgtn.errors import InvalidConfigError
from nasgtn.estimators import Estimator, make_estimator
from nasgtn.evaluation import Named, check_settings
from nasgtn.evaluation.proxy import GtnProxy, ProxyConfig, RealBudget
from nasgtn.gtn import TrainedGenerator
from nasgtn.progress import Progress, within
from nasgtn.randomness import derive_seed
from nasgtn.report.transfer import TransferData, render_transfer
from nasgtn.spaces import SearchSpace, families_by, only
from nasgtn.transfer import WHOLE_SPACE, Transfer, measure_transfer, transfer_tables

if TYPE_CHECKING:
    from nasgtn.configuration import RunConfig


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the options of `nasgtn transfer` ask for, beside the configuration."""

    by: str
    """The choice whose values make the families."""
    n_architectures: int
    """Of each family, at most."""
    truth: str | None
    """`train`, FILE:COLUMN of a table, or None: what the configuration says."""
    out: Path | None
    """JSON Lines file of the evaluations; the generators are kept beside it."""


def run_transfer(config: "RunConfig", request: Request, *, progress: Progress) -> Transfer:
    """Train a generator on each family and one on the whole space; test each on each family.

    Raises:
        UnknownNameError, InvalidConfigError: The choice makes no families, or some are held out.
        ArtefactError: The file was made with other settings.
    """
    if config.gtn.meta_training.hold_out:
        raise InvalidConfigError(
            "gtn.meta_training.hold_out must be empty, as the families of --by decide what each "
            f"generator is trained on, got {list(config.gtn.meta_training.hold_out)}"
        )
    space, splits = space_of(config), splits_of(config).to(pick_device(config.device))
    if request.out is not None:
        settings = settings_of(config, request.truth, splits)
        check_settings(request.out, {**settings, "by": request.by})
    space.check(splits.task, seed=config.seed)
    parts = {
        str(family): only(space, family) for family in families_by(space, request.by, splits.task)
    }
    config = replace(  # families are compared by data alone, with one optimiser
        config,
        anchors=replace(config.anchors, n=0),
        gtn=replace(config.gtn, choose_optimiser=False),
    )
    truth = truth_of(config, request.truth, space, splits)
    if request.out is not None:
        request.out.touch()  # generators are kept from here on, so the settings must stay
    generators = {
        name: kept_generator(
            config,
            part,
            splits,
            _folder(request.out, index, name),
            progress=within(f"trained on {name}", progress),
        )
        for index, (name, part) in enumerate({**parts, WHOLE_SPACE: space}.items())
    }
    rows = [
        _row(name, trained, space, splits, config.proxy) for name, trained in generators.items()
    ]
    budget = RealBudget.like(config.gtn.curriculum, splits.task.n_classes, config.proxy.n_steps)
    real = make_estimator(budget.name, space, splits, config.proxy, gtn=config.gtn)
    seed = derive_seed(config.seed, "transfer")
    return measure_transfer(
        [*rows, real],
        truth,
        {
            name: part.sample_distinct(request.n_architectures, seed, splits.task)
            for name, part in parts.items()
        },
        ComparisonConfig(seed=config.seed, records=request.out),
        progress=progress,
    )


def _row(
    name: str,
    trained: TrainedGenerator,
    space: SearchSpace,
    splits: Splits,
    config: ProxyConfig,
) -> Estimator:
    proxy = Named(name, GtnProxy.of(trained, space, splits, config))
    return Estimator.of(proxy, preparation_seconds=trained.seconds)


def _folder(out: Path | None, index: int, name: str) -> Path | None:
    """Place a generator beside the file of the evaluations; the index tells like names apart."""
    if out is None:
        return None
    return out.with_name(f"{out.name}.generators") / re.sub(r"[^\w.=-]+", "-", f"{index}-{name}")


def write_page(
    path: Path, transfer: Transfer, config: "RunConfig", request: Request, *, command: str
) -> None:
    """Write the page of a transfer matrix; `command` reruns it."""
    data = TransferData(
        tables=transfer_tables(transfer),
        dataset=config.data.name,
        space=config.space.name,
        by=request.by,
        command=command,
        config=config_tables(config),
        environment=surroundings(config),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render_transfer(data))
