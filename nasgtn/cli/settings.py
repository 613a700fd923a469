"""What the evaluations of a comparison depend on: kept ones are found again by it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasgtn.cli.tasks import space_of
from nasgtn.data import Splits
from nasgtn.gtn import CHOICES
from nasgtn.preparation import describe_task

if TYPE_CHECKING:
    from nasgtn.configuration import RunConfig

TRAINED = "train"
"""The truth that is no table."""

LATER = (
    ("proxy", "rungs"),
    ("proxy", "bf16"),
    ("gtn", "meta_training", "bf16"),
    ("training", "bf16"),
    ("gtn", "curriculum", "n_batches"),
    ("gtn", "choose_optimiser"),
    ("gtn", "space_options"),
    ("anchors", "max_steps"),
    ("anchors", "image_size"),
)
"""Newer than the first kept comparisons: empty or 0 they change nothing, and are left out, so that
what was kept is found again."""


def settings_of(config: "RunConfig", truth: str | None, splits: Splits) -> dict[str, object]:
    """Collect what an estimator's evaluation depends on, but for a generator from elsewhere.

    Neither the estimators nor how many architectures are part of it.
    """
    options = space_of(config).options_of_proxy(config.gtn.space_options)
    gtn = replace(config.gtn, space_options=options)  # what None stands for is the space's to say
    tables = _tables(replace(config, gtn=gtn), "anchors", "gtn", "proxy")
    chosen = {"protocols": [str(one) for one in CHOICES]} if config.gtn.lets_choose else {}
    anchors = {"truth_of_anchors": _table_settings(config)} if config.truth.table else {}
    return {**truth_settings(config, truth, splits), **tables, **chosen, **anchors}


def _tables(config: "RunConfig", *sections: str) -> dict[str, Any]:
    """Write sections of a configuration as tables, but for what is `LATER` and changes nothing."""
    tables = {name: asdict(getattr(config, name)) for name in sections}
    for section, *path, name in LATER:
        table = tables.get(section, {})
        for key in path:
            table = table.get(key, {})
        if not table.get(name, True):
            del table[name]
    return tables


def _table_settings(config: "RunConfig") -> dict[str, object]:
    """Collect what a look-up depends on; a shortlist, which a comparison has not, is no part."""
    file = (config.truth.table or "").rpartition(":")[0]
    settings = {**asdict(config.truth), "file": digest(file)}
    return {name: value for name, value in settings.items() if not name.startswith("short_")}


def truth_settings(config: "RunConfig", truth: str | None, splits: Splits) -> dict[str, object]:
    """Collect what the true accuracies depend on."""
    if truth is None and config.truth.table is not None:
        return {**truth_settings(config, "", splits), "truth": _table_settings(config)}
    truth = TRAINED if truth is None else truth
    return {
        **_tables(config, "data", "space", "training"),
        "task": describe_task(splits),
        "seed": config.seed,
        "truth": truth,
        "files": [digest(config.space.name), digest(truth.rpartition(":")[0])],
    }


def short_digest(settings: Mapping[str, object]) -> str:
    """Tell one set of settings from another, in twelve letters."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def digest(path: str | Path) -> str | None:
    """Tell one content of a file from another; None where there is no such file."""
    path = Path(path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
