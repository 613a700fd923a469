"""What `nasgtn export` and `nasgtn dashboard` do: hand a run on."""

import copy
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from nasgtn.artefacts import (
    BEST,
    BEST_CHOICES,
    BEST_WEIGHTS,
    CONFIG,
    JOURNAL,
    PROXY,
    STUDY,
    VERIFICATION,
)
from nasgtn.configuration import (
    RunConfig,
    pick_device,
    read_config,
    versions,
)
from nasgtn.dashboard import Publisher, begin, serve
from nasgtn.data import Part, Splits
from nasgtn.errors import ArtefactError, InvalidConfigError, UnknownNameError
from nasgtn.evaluation.ground_truth import TrainedTruth
from nasgtn.export import (
    DTYPES,
    FORMATS,
    ONNX_PACKAGES,
    TrainedNetwork,
    export_network,
    export_synthetic,
    whole_folder,
)
from nasgtn.facts import TASK, VERSIONS, read_facts
from nasgtn.gtn import load_generator
from nasgtn.preparation import load_data
from nasgtn.progress import Progress
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation, read_records
from nasgtn.runs import run_data, task_of
from nasgtn.search import study_place
from nasgtn.spaces.catalogue import find_space
from nasgtn.training import measure, train_to_the_end
from nasgtn.verification import COSTS, VALIDATION_ACCURACY, best_verified, proxy_scores

SYNTHETIC = "synthetic"
N_CHECKED = 256
"""Test images that graphs are checked on, at most."""
ON_TRAIN, ON_BOTH = "the training part", "the training and validation parts, for all epochs"


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What the options of `nasgtn export` ask for."""

    top: int = 1
    formats: tuple[str, ...] = FORMATS
    dtype: str = "float32"
    retrain: bool = False

    def __post_init__(self) -> None:
        for name in self.formats:
            if name not in FORMATS:
                raise UnknownNameError.of("format", name, FORMATS)

    @property
    def needs_data(self) -> bool:
        """Whether something is trained, measured, or checked on real images."""
        is_plain = self.formats == ("safetensors",) and self.dtype == "float32"
        return self.retrain or self.top > 1 or not is_plain


def formats_here(dtype: str) -> tuple[str, ...]:
    """Name the formats that what is installed can write in this dtype."""
    has_onnx = all(importlib.util.find_spec(package) for package in ONNX_PACKAGES)
    takes_onnx = has_onnx and dtype != "bfloat16"
    return tuple(name for name in FORMATS if name != "onnx" or takes_onnx)


def export_run(
    run: Path, destination: Path, request: ExportRequest, *, progress: Progress
) -> list[TrainedNetwork]:
    """Write the best networks of a run, and its synthetic training set, into a new folder.

    Each network has a folder of its own, `network-1` the best one.

    Returns:
        The networks as they were written.

    Raises:
        ArtefactError: The run has no winner yet, its dataset changed, or the destination exists.
        InvalidConfigError: More networks are asked for than were verified.
    """
    winner = load_winner(run, is_trained_anew=request.retrain)
    records = _best(run, winner, request.top)
    splits = load_data(run) if request.needs_data else None
    written = []
    with whole_folder(destination) as folder:
        for number, record in enumerate(records, start=1):
            trained = winner
            if splits is not None and (number > 1 or request.retrain):
                trained = _train(
                    winner, record, splits, read_config(run / CONFIG), request.retrain
                )
            if splits is not None and request.dtype != "float32":
                trained = _measured_rounded(trained, splits.test, DTYPES[request.dtype])
            export_network(
                trained,
                folder / f"network-{number}",
                formats=request.formats,
                dtype=DTYPES[request.dtype],
                images=None if splits is None else splits.test.first(N_CHECKED).images,
            )
            written.append(trained)
            progress("export", number, len(records), trained.architecture.description)
        generator = load_generator(run, task=winner.task)
        export_synthetic(
            generator.synthesise(),
            generator.task,
            folder / SYNTHETIC,
            n_batches=generator.n_batches,
        )
    return written


def open_dashboard(run: Path, port: int | None, *, ready: Callable[[str], object]) -> None:
    """Serve a run's studies until Ctrl-C, and add to them what the run finds meanwhile.

    Args:
        run: Its folder; what is added for the dashboard is in `RUN/dashboard`.
        port: None: any free one, the usual one first.
        ready: Told the address.
    """
    read_facts(run)
    config = read_config(run / CONFIG)
    place = study_place(config.search, run, file=STUDY, journal=JOURNAL)
    publisher = Publisher(place, run, run / "dashboard")
    torch.set_num_threads(1)  # the cores are for the run
    if not (run / PROXY).exists():
        begin(place, config.search)

    def refresh() -> None:
        publisher.refresh(lambda: run_data(run))

    refresh()
    serve(place, run / "dashboard", port=port, refresh=refresh, ready=ready)


def load_winner(run: Path, *, is_trained_anew: bool = False) -> TrainedNetwork:
    """Rebuild the winner of a run with its trained weights; without, if others will come."""
    run_facts, config = read_facts(run), read_config(run / CONFIG)
    task = task_of(run_facts[TASK])
    choices, weights = run / BEST / BEST_CHOICES, run / BEST / BEST_WEIGHTS
    is_bare = config.truth.table is not None
    if is_bare and choices.exists() and not is_trained_anew:
        raise ArtefactError(
            f"the winner of {run} has no weights, as its accuracy comes from a table; --retrain "
            "trains it"
        )
    if not choices.exists() or not (is_bare or weights.exists()):
        raise ArtefactError(
            f"{run} must have a verified winner, but {BEST}/ has none; try nasgtn resume {run}"
        )
    space = find_space(config.space.name, config.space.options)
    try:
        facts = json.loads(choices.read_text(encoding="utf-8"))
        network = space.network(facts["choices"], task, seed=0)
        if not is_bare:
            network.load_state_dict(load_file(weights))
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ArtefactError(
            f"{run / BEST} must hold the winner of the run, but: {error}"
        ) from error
    counts = {name: run_facts[TASK][name] for name in ("n_train", "n_validation", "n_test")}
    made_by = {name: run_facts[VERSIONS][name] for name in ("nasgtn", "torch")}
    origin = {"trained_on": ON_TRAIN, "run": run.resolve().name, "dataset": config.data.name}
    return TrainedNetwork(
        network=network,
        architecture=space.architecture(facts.pop("choices")),
        task=task,
        space=config.space.name,
        space_options=config.space.options,
        facts={**facts, **counts, **made_by, **origin},
    )


def _best(run: Path, winner: TrainedNetwork, top: int) -> list[Evaluation]:
    """Find the records of the winner and of those that come after it."""
    verified = best_verified(read_records(run / VERIFICATION), proxy_scores(run))
    if top > len(verified):
        raise InvalidConfigError(
            f"--top must be at most {len(verified)}, the networks that were verified, got {top}"
        )
    verified.sort(key=lambda record: record.architecture_id != winner.architecture.id)
    return verified[:top]


def _train(
    like: TrainedNetwork, record: Evaluation, splits: Splits, config: RunConfig, retrain: bool
) -> TrainedNetwork:
    """Train a verified architecture again, with the seed that the verification took."""
    device = pick_device(config.device)
    splits = splits.to(device)
    space = find_space(config.space.name, config.space.options)
    architecture = space.architecture(record.choices)
    found: dict[str, float | str]
    if retrain:
        seed = derive_seed(record.seed, "weights")
        network = space.network(record.choices, splits.task, seed=seed)
        both = splits.train.joined(splits.validation)
        n_steps = train_to_the_end(network, both, splits.task, config.training, seed=record.seed)
        found = {"n_steps": n_steps, "trained_on": ON_BOTH}
    else:
        truth = TrainedTruth(space, splits, config.training, device=device)
        trained = truth.train(architecture, seed=record.seed)
        network = trained.network
        found = {VALIDATION_ACCURACY: trained.validation_accuracy, "n_epochs": trained.n_epochs}
    kept = {
        name: value
        for name, value in like.facts.items()
        if name in ("n_train", "n_validation", "n_test", "run", "dataset")
    }
    return replace(
        like,
        network=network,
        architecture=architecture,
        facts={
            **kept,
            **{name: versions()[name] for name in ("nasgtn", "torch")},
            **{name: record.metrics[name] for name in COSTS if name in record.metrics},
            "seed": record.seed,
            "trained_on": ON_TRAIN,
            "test_accuracy": measure(network, splits.test).accuracy,
            "verified_test_accuracy": None if config.truth.table else record.score,
            **found,
        },
    )


def _measured_rounded(trained: TrainedNetwork, test: Part, dtype: torch.dtype) -> TrainedNetwork:
    """Measure what rounding the weights does to the test accuracy."""
    rounded = copy.deepcopy(trained.network).cpu().to(dtype).float()
    accuracy = measure(rounded, test).accuracy
    return replace(trained, facts={**trained.facts, "rounded_test_accuracy": accuracy})
