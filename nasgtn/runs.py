"""Reads the folder of a run: how far it is, and everything that its report needs."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasgtn.artefacts import (
    ANCHORS,
    BASELINES,
    BEST,
    BEST_CHOICES,
    BEST_CONFUSION,
    BEST_LATENCY,
    CONFIG,
    CONTROL,
    GENERATOR_CONFIG,
    GENERATOR_WEIGHTS,
    JOURNAL,
    META_TRAINING,
    MULTIPLY_ADDS,
    PROXY,
    REPORT,
    SHORTLIST,
    STUDY,
    VERIFICATION,
)
from nasgtn.configuration import RunConfig, config_tables, read_config
from nasgtn.data import pixels
from nasgtn.errors import ArtefactError, NasgtnError
from nasgtn.evaluation import mean_multiply_adds
from nasgtn.facts import ENVIRONMENT, TASK, VERSIONS, read_facts
from nasgtn.findings import read_audit
from nasgtn.fusion import PARTS
from nasgtn.gtn import SyntheticData, TrainedGenerator, in_words, load_generator
from nasgtn.ranking import Agreement
from nasgtn.records import Evaluation, read_records
from nasgtn.report import RunData, summarise
from nasgtn.report.costs import Costs
from nasgtn.search import StudyPlace, history, importances, study_place
from nasgtn.spaces import Choice, Choices, SearchSpace
from nasgtn.spaces.catalogue import find_space
from nasgtn.spaces.layers import layers
from nasgtn.status import beside, read_rows, taken_over
from nasgtn.task import Task


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a finished run found."""

    folder: Path
    report: Path
    winner: str | None
    """Description of the winner; None where every full training failed."""
    architecture_id: str | None
    choices: Mapping[str, Choice]
    test_accuracy: float | None
    validation_accuracy: float | None
    n_parameters: int | None
    n_multiply_adds: int | None
    control_accuracy: float | None
    """Mean test accuracy of the control."""
    n_candidates: int
    """Distinct architectures that the proxy scored."""
    n_verified: int
    table: str | None
    """Where the accuracies of anchors and verified architectures come from; None: from training.
    A winner of a table has no weights."""
    agreement: Agreement | None
    """Between the proxy and the ground truth, over what was verified."""
    seconds: float
    """Of all stages together."""
    costs: Costs


def run_data(folder: Path) -> RunData:
    """Read everything that the report of a run shows; stages that are still to come are empty.

    Raises:
        ArtefactError: A file of the run is missing or damaged.
    """
    facts, config = read_facts(folder), read_config(folder / CONFIG)
    task = task_of(facts[TASK])
    space = _space(config)
    place = study_place(config.search, folder, file=STUDY, journal=JOURNAL)
    proxy = _distinct(read_records(folder / PROXY))
    anchors, control = read_records(folder / ANCHORS), read_records(folder / CONTROL)
    shortlist, verification = (read_records(folder / name) for name in (SHORTLIST, VERIFICATION))
    baselines = read_records(folder / BASELINES)
    generator = _generator(folder, task)
    synthetic = generator.synthesise() if generator else None
    others = beside(baselines, [*proxy, *control])
    anchor_seconds = _seconds(anchors) or (generator.anchor_seconds if generator else 0.0)
    trials, important, gap = _studied(place, proxy) if (folder / PROXY).exists() else ([], {}, "")
    return RunData(
        name=folder.resolve().name,
        command=f"nasgtn search --config {_shown(folder / CONFIG)}",
        config=_without_password(config_tables(config), place),
        environment={**_texts(facts[VERSIONS]), **_texts(facts[ENVIRONMENT])},
        task=facts[TASK],
        space={"name": space.name, "summary": space.summary},
        proxy=proxy,
        descriptions={
            one.architecture_id: _description(space, one.choices) for one in (*proxy, *control)
        },
        history=trials,
        verification=verification,
        baselines=baselines,
        multiply_adds=mean_multiply_adds(
            read_records(folder / MULTIPLY_ADDS),
            {one.architecture_id for one in verification if one.score is not None},
        ),
        importances=important,
        gaps=[gap] if gap else [],
        meta_training=read_rows(folder / META_TRAINING),
        synthetic=_pictures(synthetic, generator.n_batches, task)
        if generator and synthetic
        else None,
        layers=_winner_layers(folder, space, task),
        anchors=anchors,
        learned_from=generator.anchors if generator else (),
        shortlist=shortlist,
        control=control,
        costs={
            "anchors": anchor_seconds,
            "meta_training": generator.seconds if generator else 0.0,
            "search": _seconds(proxy),
            "control": _seconds(control),
            "shortlist": _seconds(shortlist),
            "verification": _seconds(verification) - _seconds(taken_over(anchors, verification)),
            "fusion": _seconds([one for one in others if one.evaluator in PARTS]),
            "baselines": _seconds([one for one in others if one.evaluator not in PARTS]),
        },
        learning_rates=synthetic.learning_rates.tolist() if synthetic else (),
        momenta=synthetic.momenta.tolist() if synthetic else (),
        protocol=in_words(generator.config, config.proxy.metric) if generator else "",
        audit=read_audit(folder),
        latency_ms=_read_latency(folder),
        confusion=_read_confusion(folder),
    )


def run_result(folder: Path) -> RunResult:
    """Sum up what a run found."""
    data = run_data(folder)
    summary = summarise(data)
    winner = summary.winner
    return RunResult(
        folder=folder,
        report=folder / REPORT,
        winner=winner.description if winner else None,
        architecture_id=winner.architecture_id if winner else None,
        choices=winner.choices if winner else {},
        test_accuracy=winner.test_accuracy if winner else None,
        validation_accuracy=winner.validation_accuracy if winner else None,
        n_parameters=winner.n_parameters if winner else None,
        n_multiply_adds=winner.n_multiply_adds if winner else None,
        control_accuracy=summary.control_mean,
        n_candidates=summary.costs.n_candidates,
        n_verified=sum(one.test_accuracy is not None for one in summary.verified),
        table=data.table,
        agreement=summary.proxy.agreement if summary.proxy else None,
        seconds=sum(summary.costs.stages.values()),
        costs=summary.costs,
    )


def _studied(
    place: StudyPlace, proxy: Sequence[Evaluation]
) -> tuple[list[dict[str, Any]], dict[str, float], str]:
    """Read the trials of a search, and what mattered; or say why the study cannot be read."""
    try:
        trials = history(place)
        known = {one.architecture_id for one in proxy}
        if trials and known and not any(trial["architecture_id"] in known for trial in trials):
            return [], {}, f"{place.shown} holds a study of another search"
        return trials, importances(place), ""
    except ArtefactError as error:
        return [], {}, str(error)


def _pictures(
    synthetic: SyntheticData, n_batches: int, task: Task
) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]:
    """Turn the batches that differ into pixels, channels last; a soft label is its class."""
    images, labels = (made[:n_batches] for made in (synthetic.images, synthetic.labels))
    return pixels(images, task).numpy(), labels.detach().cpu().argmax(dim=2).numpy()


def _read_confusion(folder: Path) -> list[tuple[int, int, int]]:
    path = folder / BEST / BEST_CONFUSION
    if not path.exists():
        return []
    return [(a, b, n) for a, b, n in json.loads(path.read_text(encoding="utf-8"))]


def _read_latency(folder: Path) -> float | None:
    path = folder / BEST / BEST_LATENCY
    if not path.exists():
        return None
    return float(json.loads(path.read_text(encoding="utf-8"))["milliseconds"])


def _winner_layers(folder: Path, space: SearchSpace, task: Task) -> list[dict[str, Any]]:
    path = folder / BEST / BEST_CHOICES
    if not path.exists():
        return []
    choices = json.loads(path.read_text(encoding="utf-8"))["choices"]
    return layers(space.network(choices, task, seed=0), task)


def _generator(folder: Path, task: Task) -> TrainedGenerator | None:
    is_there = (folder / GENERATOR_WEIGHTS).exists() and (folder / GENERATOR_CONFIG).exists()
    return load_generator(folder, task=task) if is_there else None


def _space(config: RunConfig) -> SearchSpace:
    return find_space(config.space.name, config.space.options)


def task_of(facts: Mapping[str, Any]) -> Task:
    """Rebuild the task from what a run's `config.toml` tells about it."""
    n_channels, height, width = facts["input_shape"]
    return Task(
        name=facts["name"],
        n_channels=n_channels,
        height=height,
        width=width,
        class_names=tuple(facts["class_names"]),
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        flips=facts["flips"],
    )


def _description(space: SearchSpace, choices: Choices) -> str:
    try:
        return space.architecture(choices).description
    except NasgtnError:  # what could not be built is recorded with the choices it got to
        return " ".join(f"{name}={value}" for name, value in choices.items())


def _distinct(records: Sequence[Evaluation]) -> list[Evaluation]:
    found: dict[str, Evaluation] = {}
    for record in records:
        found.setdefault(record.architecture_id, record)
    return list(found.values())


def _seconds(records: Sequence[Evaluation]) -> float:
    return sum(record.seconds for record in records)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _without_password(tables: dict[str, Any], place: StudyPlace) -> dict[str, Any]:
    table = tables["search"]
    return (
        {**tables, "search": {**table, "storage": place.shown}} if "storage" in table else tables
    )


def _shown(path: Path) -> str:
    """Write a path from where the user is, if it lies below."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)
