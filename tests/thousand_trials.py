"""Leaves the folder of a run of 1,000 trials and 40 verified, as `nasgtn search` would."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial
from run_data import CONFUSION, make_run

from nasgtn.configuration import config_from_mapping, environment, save_config, versions
from nasgtn.data import DataConfig, load_splits
from nasgtn.evaluation.baselines import ZERO_COST
from nasgtn.facts import ENVIRONMENT, TASK, VERSIONS
from nasgtn.gtn import GtnConfig, train_generator
from nasgtn.preparation import describe_task
from nasgtn.records import FUSIONS, Evaluation, write_records
from nasgtn.search.objective import ARCHITECTURE_ID, SCORE
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.spaces.catalogue import find_space
from nasgtn.validation import validated

N_TRIALS, N_CANDIDATES, N_CONTROL, N_ANCHORS = 1000, 20, 20, 24
N_META_STEPS = 300


def write_thousand(folder: Path) -> None:
    """Write every file; scores are made up, architectures and generator are real."""
    splits, space = load_splits(DataConfig(), seed=0), find_space("convnet")
    settings = {
        "search": {"trials": N_TRIALS},
        "verification": {"candidates": N_CANDIDATES, "control": N_CONTROL},
        "anchors": {"n": N_ANCHORS},
    }
    facts: dict[str, Mapping[str, Any]] = {
        VERSIONS: versions(),
        ENVIRONMENT: environment(torch.device("cpu")),
        TASK: describe_task(splits),
    }
    save_config(config_from_mapping(settings), folder, facts)
    little = {"warm_start": {"n_steps": 1}, "meta_training": {"n_meta_steps": 1}}
    train_generator(space, splits, validated(GtnConfig, little), seed=0, folder=folder)
    _write_meta_training(folder / "meta_training.jsonl")
    drawn = space.sample_distinct(N_TRIALS + N_ANCHORS, 0, splits.task)
    _write_records(folder, space, drawn)


def _write_records(folder: Path, space: SearchSpace, drawn: list[Architecture]) -> None:
    data = make_run(n_trials=N_TRIALS, n_candidates=N_CANDIDATES, n_control=N_CONTROL)
    names = {one.architecture_id: drawn[place] for place, one in enumerate(data.proxy)}

    def named(one: Evaluation, architecture: Architecture) -> Evaluation:
        return replace(one, architecture_id=architecture.id, choices=architecture.choices)

    proxy = [named(one, names[one.architecture_id]) for one in data.proxy]
    verified = [named(one, names[one.architecture_id]) for one in data.verification]
    parts = [
        replace(one, evaluator=name, score=float(place % 97), failure=None, metrics={"std": 0.5})
        for name in (*ZERO_COST, *FUSIONS)
        for place, one in enumerate(proxy)
    ]
    steps = [
        named(one, names[one.architecture_id])
        for one in data.baselines
        if one.evaluator == "real:16"
    ]
    anchors = [named(verified[0], one) for one in drawn[N_TRIALS:]]
    write_records(folder / "proxy.jsonl", proxy)
    write_records(folder / "verification.jsonl", verified)
    write_records(folder / "baselines.jsonl", [*proxy, *parts, *steps])
    write_records(
        folder / "anchors.jsonl",
        [replace(one, score=0.9 + place / 300) for place, one in enumerate(anchors)],
    )
    (folder / "best").mkdir()
    (folder / "best" / "choices.json").write_text(json.dumps({"choices": verified[0].choices}))
    (folder / "best" / "confusion.json").write_text(json.dumps(CONFUSION))
    _write_study(folder, proxy)


def _write_study(folder: Path, proxy: list[Evaluation]) -> None:
    values: dict[str, set[object]] = {}
    for one in proxy:
        for name, choice in one.choices.items():
            values.setdefault(name, set()).add(choice)
    known = {
        name: CategoricalDistribution(sorted(found, key=repr))  # type: ignore[arg-type]
        for name, found in values.items()
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'study.db'}", study_name="proxy", direction="maximize"
    )
    study.add_trials(
        [
            create_trial(
                state=TrialState.FAIL if one.score is None else TrialState.COMPLETE,
                value=one.score,
                params=dict(one.choices),
                distributions={name: known[name] for name in one.choices},
                user_attrs={ARCHITECTURE_ID: one.architecture_id, SCORE: one.score},
            )
            for one in (*proxy, *proxy[: N_TRIALS - len(proxy)])
        ]
    )


def _write_meta_training(path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"meta_step": step, "meta_loss": rng.random(), "accuracy": rng.random(), "seconds": 0.1}
        for step in range(N_META_STEPS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
