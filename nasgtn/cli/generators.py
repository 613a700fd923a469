"""What the commands around a trained generator do: train one, rank with one, audit one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasgtn.anchors import draw_anchors, evaluate_anchors, merit_seed
from nasgtn.artefacts import ANCHORS, CONFIG, GENERATOR_WEIGHTS
from nasgtn.audit import audit
from nasgtn.cli.tasks import describe_architecture, read_architectures, space_of, splits_of
from nasgtn.configuration import pick_device, read_config, save_config, versions
from nasgtn.data import Splits
from nasgtn.errors import ArtefactError
from nasgtn.evaluation import evaluate
from nasgtn.evaluation.proxy import GtnProxy
from nasgtn.facts import VERSIONS
from nasgtn.findings import Audit, write_audit
from nasgtn.gtn import TrainedGenerator, load_generator
from nasgtn.gtn import train_generator as train
from nasgtn.preparation import check_small, load_merit, load_truth
from nasgtn.progress import Progress
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation, or_lowest
from nasgtn.spaces import Architecture, SearchSpace, hold_out

if TYPE_CHECKING:
    from nasgtn.configuration import RunConfig


def train_into(config: "RunConfig", folder: Path, *, progress: Progress) -> TrainedGenerator:
    """Train a generator into a folder; a folder where that was stopped is carried on.

    Raises:
        ArtefactError: The folder has a trained generator, or was begun with other settings.
    """
    if (folder / GENERATOR_WEIGHTS).exists():
        raise ArtefactError(f"--out must be a folder without a generator, but {folder} has one")
    splits, space = splits_of(config).to(pick_device(config.device)), space_of(config)
    space.check(splits.task, seed=config.seed)
    hold_out(space, config.gtn.meta_training.hold_out, splits.task)  # refused before any work
    load_truth(config, space, splits)  # this too
    if (folder / CONFIG).exists() and read_config(folder / CONFIG) != config:
        raise ArtefactError(
            f"{folder} must be carried on with the settings that it was begun with, see its "
            f"{CONFIG}; choose another folder for others"
        )
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder, {VERSIONS: versions()})
    return train_on(config, space, splits, folder, progress=progress)


def train_on(
    config: "RunConfig",
    space: SearchSpace,
    splits: Splits,
    folder: Path | None,
    *,
    exclude: frozenset[str] = frozenset(),
    known: Sequence[Evaluation] = (),
    progress: Progress,
) -> TrainedGenerator:
    """Train anchors (or look them up) and generator as a run with this configuration would.

    The anchors' trainings have a seed of their own: there is no verification to share it with.

    Args:
        config: Of the run.
        space: Where learners and anchors come from.
        splits: The real data, on the device to train on.
        folder: Existing; gets the files of anchors and generator. None: nothing is kept.
        exclude: Ids of architectures that are no anchors, since they will judge the generator.
        known: Anchors' evaluations that are kept elsewhere, made with the same data and training.
        progress: Told after each training and meta-step.
    """
    config.gtn.curriculum.different_batches(splits.task.n_classes)  # refused before any training
    check_small(config, space, splits.task)  # this too
    looked_up = [config.truth.table] if config.truth.table else []  # trained ones are others
    full = derive_seed(config.seed, "anchors", *looked_up)
    anchors = evaluate_anchors(
        load_merit(config, space, splits, load_truth(config, space, splits)),
        draw_anchors(space, splits.task, config.anchors.n, seed=config.seed, exclude=exclude),
        folder and folder / ANCHORS,
        seed=merit_seed(config.anchors, config.seed, full=full),
        known=known,
        progress=progress,
    )
    return train(
        space,
        splits,
        config.gtn,
        seed=config.seed,
        anchors=anchors,
        folder=folder,
        progress=progress,
    )


def kept_generator(
    config: "RunConfig",
    space: SearchSpace,
    splits: Splits,
    folder: Path | None,
    *,
    exclude: frozenset[str] = frozenset(),
    known: Sequence[Evaluation] = (),
    progress: Progress,
) -> TrainedGenerator:
    """Load the generator of a folder, or train it there; without a folder it is not kept."""
    if folder is not None and (folder / GENERATOR_WEIGHTS).exists():
        return load_generator(folder, task=splits.task, device=splits.train.images.device)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return train_on(config, space, splits, folder, exclude=exclude, known=known, progress=progress)


def audit_generator(config: "RunConfig", folder: Path, *, progress: Progress) -> Audit:
    """Audit the synthetic data of a generator, and leave what was found in its folder."""
    device = pick_device(config.device)
    splits, space = splits_of(config).to(device), space_of(config)
    space.check(splits.task, seed=config.seed)
    trained = load_generator(folder, task=splits.task, device=device)
    found = audit(trained, space, splits, config.training, seed=config.seed, progress=progress)
    write_audit(folder, found)
    return found


def rank_architectures(
    config: "RunConfig",
    generator: Path,
    architectures: int | Path,
    *,
    progress: Progress,
) -> list[dict[str, Any]]:  # Any: it is JSON
    """Score architectures with a trained generator, best first; failures come last.

    Args:
        config: Dataset, space, and how the proxy trains.
        generator: Folder of a run or of `train-generator`.
        architectures: How many random ones, or a file of them.
        progress: Told after each architecture.
    """
    device = pick_device(config.device)
    splits, space = splits_of(config).to(device), space_of(config)
    space.check(splits.task, seed=config.seed)
    trained = load_generator(generator, task=splits.task, device=device)
    proxy = GtnProxy.of(trained, space, splits, config.proxy)
    asked: Sequence[Architecture] = (
        read_architectures(architectures, space, splits.task)
        if isinstance(architectures, Path)
        else space.sample_distinct(architectures, derive_seed(config.seed, "rank"), splits.task)
    )
    found: list[tuple[Architecture, Evaluation]] = []
    for architecture in asked:
        found.append((architecture, evaluate(proxy, architecture, seed=config.seed)))
        progress("rank", len(found), len(asked))
    found.sort(key=lambda pair: or_lowest(pair[1].score))
    return [
        {
            "rank": place,
            **describe_architecture(space, architecture, splits.task),
            "score": evaluation.score,
            "metrics": evaluation.metrics,
            "seconds": evaluation.seconds,
            "failure": evaluation.failure,
        }
        for place, (architecture, evaluation) in enumerate(reversed(found), start=1)
    ]
