"""How far a run is, read from its folder by any process; without torch, so that it is quick."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from nasgtn.artefacts import (
    ANCHORS,
    BASELINES,
    CONFIG,
    CONTROL,
    FINISHED,
    GENERATOR_CONFIG,
    META_TRAINING,
    PROXY,
    REPORT,
    SHORTLIST,
    VERIFICATION,
)
from nasgtn.errors import ArtefactError
from nasgtn.facts import read_run_toml
from nasgtn.records import FUSIONS, Evaluation, read_records

STAGES = ("anchors", "gtn", "search", "verification")
N_LEADERS = 5


@dataclass(frozen=True, kw_only=True)
class Leader:
    """One of the best architectures so far."""

    architecture_id: str
    choices: str
    score: float | None
    """Of the proxy."""
    validation_accuracy: float | None
    """Mean over its trainings on real data; None where there is none yet."""
    n_parameters: int | None


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """How far a run is."""

    folder: Path
    stage: str
    """One of `STAGES`, or finished."""
    anchors: int
    """Trained so far."""
    anchors_wanted: int
    meta_steps: int
    meta_steps_wanted: int
    candidates: int
    """Distinct architectures that the search evaluated, failures included."""
    candidates_wanted: int
    failed: int
    gated: int
    """Stopped by the gate: their training-free scores were too poor."""
    shortlisted: int
    """Short trainings of the shortlist so far; anchors that are in it may have had theirs."""
    shortlist_wanted: int
    """At most so many of them."""
    verified: int
    """Full trainings."""
    verified_wanted: int
    leaders: tuple[Leader, ...]
    """Best first: those that were verified before the others; no controls."""
    seconds: float
    """Spent on anchors, meta-steps, scores (the control's too), baselines, short and full
    trainings."""
    table: str | None
    """Where accuracies are looked up; None: networks are trained for them."""
    charged: float
    """Part of `seconds` that trainings of the table are charged: no time passed."""
    seconds_left: float
    """Estimate for the stages whose pace is known; several workers share the search."""
    not_counted: tuple[str, ...]
    """Stages to come whose pace is not known yet."""
    seconds_since_change: float
    """Since a file of the run was written: much more than a unit of work takes where no process
    works on the run."""


def status(folder: Path) -> RunStatus:
    """Say how far a run is, also while it runs: this takes no lock and opens no study.

    Raises:
        ArtefactError: The folder is no run, or one of another version.
    """
    config = read_run_toml(folder)
    steps = read_rows(folder / META_TRAINING)
    anchors, proxy, shortlist, verified = (
        read_records(folder / name) for name in (ANCHORS, PROXY, SHORTLIST, VERIFICATION)
    )
    control, baselines = (read_records(folder / name) for name in (CONTROL, BASELINES))
    scores = [*proxy, *control]
    distinct = {record.architecture_id: record for record in reversed(proxy)}
    done = dict(zip(STAGES, (len(anchors), len(steps), len(distinct), len(verified)), strict=True))
    wanted, workers = _wanted(config, folder)
    stage = _stage(folder, done, wanted)
    table = config.get("truth", {}).get("table")
    short_wanted, are_short = _short_trainings(config)
    is_looked_up = "short_table" in config.get("truth", {})
    is_its_own = config["verification"].get("shortlist_steps", 0) > 0
    units = {name: max(0, wanted[name] - done[name]) for name in STAGES[_place(stage) :]}
    if short_wanted and not verified and "verification" in units:
        units["shortlist"] = max(0, short_wanted - len(shortlist))
    left = _seconds_left(
        units,
        {
            "anchors": 0.0 if table and not are_short else _pace(anchors),
            "gtn": _mean([_seconds(step) for step in steps]),
            "search": _pace(proxy, workers),
            "shortlist": 0.0
            if is_looked_up
            else _pace(shortlist if is_its_own else [*anchors, *shortlist]),
            "verification": 0.0
            if table
            else _pace(verified if are_short else verified or anchors),
        },
    )
    return RunStatus(
        folder=folder,
        stage=stage,
        anchors=done["anchors"],
        anchors_wanted=wanted["anchors"],
        meta_steps=done["gtn"],
        meta_steps_wanted=wanted["gtn"],
        candidates=done["search"],
        candidates_wanted=wanted["search"],
        failed=sum(
            one.failure is not None and not one.metrics.get("is_gated")
            for one in distinct.values()
        ),
        gated=sum(bool(one.metrics.get("is_gated")) for one in distinct.values()),
        shortlisted=len(shortlist),
        shortlist_wanted=short_wanted,
        verified=done["verification"],
        verified_wanted=wanted["verification"],
        leaders=rank_leaders(proxy, verified),
        seconds=sum(map(_seconds, steps))
        + _spent(anchors, [*scores, *beside(baselines, scores), *shortlist], verified),
        table=table,
        charged=_spent(() if are_short else anchors, shortlist if is_looked_up else (), verified)
        if table
        else 0.0,
        seconds_left=sum(seconds for seconds in left.values() if seconds is not None),
        not_counted=tuple(name for name, seconds in left.items() if seconds is None),
        seconds_since_change=_seconds_since_change(folder),
    )


def leaders(folder: Path) -> tuple[Leader, ...]:
    """Find the best architectures of a run so far."""
    return rank_leaders(read_records(folder / PROXY), read_records(folder / VERIFICATION))


def rank_leaders(
    proxy: Sequence[Evaluation], verified: Sequence[Evaluation], n: int = N_LEADERS
) -> tuple[Leader, ...]:
    """Take the best `n`: by validation accuracy what was verified, then by score the others.

    A control is none of them, as it cannot win.
    """
    trained: dict[str, list[float]] = {}
    controls = {one.architecture_id for one in verified if one.metrics.get("is_control")}
    for one in verified:
        if one.score is not None:
            accuracies = trained.setdefault(one.architecture_id, [])
            accuracies.append(one.metrics["validation_accuracy"])
    accuracy = {name: fmean(accuracies) for name, accuracies in trained.items()}
    scored = {
        one.architecture_id: one
        for one in proxy
        if one.score is not None
        and one.architecture_id not in controls
        and not one.metrics.get("is_pruned")
    }
    best = sorted(
        scored.values(),
        key=lambda one: (-accuracy.get(one.architecture_id, -1.0), -(one.score or 0.0)),
    )
    return tuple(_leader(one, accuracy.get(one.architecture_id)) for one in best[:n])


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSON Lines of a stage that may be writing them; NaN becomes None, as if skipped.

    Raises:
        ArtefactError: A line is no object.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    rows = []
    for number, line in enumerate(lines[:-1], start=1):  # the last one is empty, or torn
        try:
            rows.append(dict(json.loads(line, parse_constant=lambda _: None)))
        except (ValueError, TypeError) as error:
            raise ArtefactError(f"{path}, line {number}: not a JSON object ({error})") from error
    return rows


def _seconds(step: Mapping[str, Any]) -> float:
    return float(step.get("seconds") or 0.0)


def _leader(one: Evaluation, accuracy: float | None) -> Leader:
    n_parameters = one.metrics.get("n_parameters")
    return Leader(
        architecture_id=one.architecture_id,
        choices=" ".join(f"{name}={value}" for name, value in one.choices.items()),
        score=one.score,
        validation_accuracy=accuracy,
        n_parameters=None if n_parameters is None else round(n_parameters),
    )


def _wanted(config: Mapping[str, Any], folder: Path) -> tuple[dict[str, int], int]:
    """Read how many units each stage has, and how many workers search."""
    try:
        verification = config["verification"]
        n_verified = verification["candidates"] + verification["control"]
        counts = (
            config["anchors"]["n"],
            config["gtn"]["meta_training"]["n_meta_steps"],
            config["search"]["trials"],
            n_verified * verification["n_seeds"],
        )
        workers = config["search"]["workers"]
    except (KeyError, TypeError) as error:
        raise ArtefactError(
            f"{folder / CONFIG} must hold the whole configuration of a run, but: {error}"
        ) from error
    wanted = dict(zip(STAGES, counts, strict=True))
    return (wanted | {"anchors": 0, "gtn": 0} if "generator" in config else wanted), workers


def _short_trainings(config: Mapping[str, Any]) -> tuple[int, bool]:
    """Read how many architectures are shortlisted, and whether anchors train shortly."""
    shortlist = config["verification"].get("shortlist", 0)  # an older run has no such setting
    return shortlist, config["anchors"].get("max_steps", 0) > 0


def is_finished(folder: Path) -> bool:
    """Whether all stages of a run are done, and its report is still there."""
    return (folder / FINISHED).exists() and (folder / REPORT).exists()


def taken_over(anchors: Sequence[Evaluation], verified: Sequence[Evaluation]) -> list[Evaluation]:
    """Find the anchors whose training verification took over: its records repeat their seconds."""
    again = {(one.architecture_id, one.seed) for one in verified}
    return [
        one
        for one in anchors
        if one.score is not None and (one.architecture_id, one.seed) in again
    ]


def beside(baselines: Sequence[Evaluation], scored: Sequence[Evaluation]) -> list[Evaluation]:
    """Leave out what took no time of its own: sums, and copies of what other files have too."""
    elsewhere = {(one.evaluator, one.architecture_id, one.seconds) for one in scored}
    return [
        one
        for one in baselines
        if one.evaluator not in FUSIONS
        and (one.evaluator, one.architecture_id, one.seconds) not in elsewhere
    ]


def _stage(folder: Path, done: Mapping[str, int], wanted: Mapping[str, int]) -> str:
    if is_finished(folder):
        return "finished"
    if (folder / VERIFICATION).exists():
        return "verification"
    if (folder / PROXY).exists():
        return "verification" if done["search"] >= wanted["search"] else "search"
    has_begun = (folder / META_TRAINING).exists() or (folder / GENERATOR_CONFIG).exists()
    return "gtn" if has_begun or done["anchors"] >= wanted["anchors"] else "anchors"


def _place(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def _pace(records: Sequence[Evaluation], workers: int = 1) -> float | None:
    pace = _mean([record.seconds for record in records])
    return None if pace is None else pace / workers


def _mean(seconds: Sequence[float]) -> float | None:
    return fmean(seconds) if seconds else None


def _seconds_left(
    units: Mapping[str, int], paces: Mapping[str, float | None]
) -> dict[str, float | None]:
    """Estimate each stage that has units left; None where its pace is not known."""
    left: dict[str, float | None] = {}
    for name, n in units.items():
        pace = paces[name]
        if n > 0:
            left[name] = None if pace is None else n * pace
    return left


def _spent(
    anchors: Sequence[Evaluation], proxy: Sequence[Evaluation], verified: Sequence[Evaluation]
) -> float:
    """Sum up what was spent, each training once."""
    spent = sum(one.seconds for part in (anchors, proxy, verified) for one in part)
    return spent - sum(one.seconds for one in taken_over(anchors, verified))


def _seconds_since_change(folder: Path) -> float:
    paths = [folder / CONFIG, folder / REPORT, *folder.glob("*.jsonl")]
    newest = max(path.stat().st_mtime for path in paths if path.exists())
    return max(0.0, time.time() - newest)
