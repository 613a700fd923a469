"""Values that several commands make from a configuration; imports torch, so commands import it."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasgtn.artefacts import CONFIG
from nasgtn.cli.options import Values, overrides_of, run_config
from nasgtn.data import Splits
from nasgtn.data.sources import load_splits
from nasgtn.errors import InvalidDataError, InvalidSpaceError
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.spaces.catalogue import find_space
from nasgtn.spaces.cost import measure_cost
from nasgtn.task import Task

if TYPE_CHECKING:
    from nasgtn.configuration import RunConfig


def default_task() -> Task:
    """Make the task that architectures are shown for: 3x32x32, 10 classes."""
    return Task(
        name="the default task",
        n_channels=3,
        height=32,
        width=32,
        class_names=tuple(map(str, range(10))),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )


def splits_of(config: "RunConfig") -> Splits:
    """Load the dataset of a configuration, split as a run with it would."""
    return load_splits(config.data, seed=config.seed)


def space_of(config: "RunConfig") -> SearchSpace:
    """Find the search space of a configuration."""
    return find_space(config.space.name, config.space.options)


def describe_architecture(
    space: SearchSpace, architecture: Architecture, task: Task
) -> dict[str, Any]:  # Any: it is JSON
    """Tell an architecture's id, choices, description and size, as values that JSON can hold.

    The size is None where the network cannot be built or run.
    """
    try:
        cost = measure_cost(space.network(architecture.choices, task, seed=0), task)
    except Exception:  # noqa: BLE001 - a user's network may raise anything
        cost = None
    return {
        "architecture_id": architecture.id,
        "choices": architecture.choices,
        "description": architecture.description,
        "n_parameters": cost and cost.n_parameters,
        "n_multiply_adds": cost and cost.n_multiply_adds,
    }


def config_beside(generator: Path | None, values: Values) -> "RunConfig":
    """Compose a configuration that starts from the run which the generator belongs to."""
    from nasgtn.configuration import read_config

    if generator and values.get("config") is None and (generator / CONFIG).exists():
        return read_config(generator / CONFIG, overrides_of(values))
    return run_config(values)


def read_architectures(path: Path, space: SearchSpace, task: Task) -> list[Architecture]:
    """Read architectures from JSON or JSON Lines: choices, or records that have `choices`.

    One that cannot be built stays among them: its evaluation says why.

    Raises:
        InvalidDataError: The file holds something else.
        InvalidConfigError: Choices are not of this space.
    """
    try:
        values = list(_json_values(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise InvalidDataError(f"{path} must hold JSON or JSON Lines ({error})") from error
    found: dict[str, Architecture] = {}
    for value in values:
        choices = value.get("choices", value) if isinstance(value, Mapping) else None
        if not isinstance(choices, Mapping) or not choices:
            raise InvalidDataError(f"{path} must hold choices by name, got {str(value)[:60]!r}")
        with suppress(InvalidSpaceError):
            space.network(choices, task, seed=0)
        architecture = space.architecture(choices)
        found.setdefault(architecture.id, architecture)
    if not found:
        raise InvalidDataError(f"{path} must hold at least one architecture, got none")
    return list(found.values())


def _json_values(text: str) -> Iterable[Any]:  # Any: it is JSON
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(value, Mapping) and isinstance(value.get("architectures"), list):
        return list(value["architectures"])
    return value if isinstance(value, list) else [value]
