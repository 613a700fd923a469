"""Options that several commands share, and the configuration that they add up to."""

import shlex
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nasgtn.errors import InvalidConfigError

if TYPE_CHECKING:
    from nasgtn.configuration import RunConfig

Command = TypeVar("Command", bound=Callable[..., object])
Values = Mapping[str, object]
"""Options as Click parsed them."""

KEYS: dict[str, tuple[str, ...]] = {
    "dataset": ("data.name",),
    "space": ("space.name",),
    "seed": ("seed",),
    "device": ("device",),
    "generator": ("generator",),
    "hold_out": ("gtn.meta_training.hold_out",),
    "trials": ("search.trials",),
    "objective": ("search.objectives",),
    "sampler": ("search.sampler",),
    "max_params": ("search.max_params",),
    "max_flops": ("search.max_flops",),
    "max_latency_ms": ("search.max_latency_ms",),
    "workers": ("search.workers",),
    "storage": ("search.storage",),
    "verify": ("verification.candidates", "verification.control"),
    "control": ("verification.control",),
    "rounds": ("verification.rounds",),
}
"""Each option, and the keys of the configuration that it sets; a later row wins."""

positive = click.IntRange(min=1)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON alone on stdout.")
quiet_option = click.option("--quiet", is_flag=True, help="Show no progress.")
run_argument = click.argument(
    "run", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="RUN"
)
dataset_option = click.option(
    "--dataset",
    metavar="NAME",
    help="digits, an .npz file, a folder of images, hf:NAME or torchvision:NAME.",
)
space_option = click.option(
    "--space", metavar="NAME", help="A built-in space, a .py file, or package.module:attribute."
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="Root of all randomness."
)
device_option = click.option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N.")
truth_option = click.option(
    "--truth",
    help="train, or a table: FILE.csv[.gz]:COLUMN; else as the configuration says (truth.table).",
)
config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A TOML configuration, such as the config.toml of a run.",
)
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Set any key of the configuration to a TOML value (repeatable).",
)


def task_options(command: Command) -> Command:
    """Add the options that say on what, where, and how a stage runs."""
    for option in (
        set_option,
        config_option,
        device_option,
        seed_option,
        space_option,
        dataset_option,
    ):
        command = option(command)
    return command


def output_options(command: Command) -> Command:
    """Add `--json` and `--quiet`."""
    return json_option(quiet_option(command))


def run_config(values: Values) -> "RunConfig":
    """Compose the configuration: the file, then `--set`, then the named options.

    Raises:
        InvalidConfigError: A key is unknown, or a value is not what it must be.
    """
    from nasgtn.configuration import config_from_mapping, read_config

    overrides = overrides_of(values)
    path = values.get("config")
    if isinstance(path, Path):
        return read_config(path, overrides)
    return config_from_mapping(overrides)


def overrides_of(values: Values) -> dict[str, Any]:  # Any: nested tables
    """Collect what the command line sets, as nested tables."""
    tables: dict[str, Any] = {}
    settings = values.get("settings")
    for setting in settings if isinstance(settings, tuple) else ():
        key, value = parse_setting(setting)
        _put(tables, key, value)
    for option, keys in KEYS.items():
        given = values.get(option)
        if given is None or given == ():
            continue
        for key in keys:
            _put(tables, key, _toml(given))
    return tables


def given_command() -> str:
    """Write the running command with what was given to it, as a shell takes it."""
    context = click.get_current_context()
    words = context.command_path.split()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[option.name or ""]
        if value is True:
            words.append(option.opts[0])
            continue
        for one in value if option.multiple or option.nargs < 0 else (value,):
            is_argument = isinstance(option, click.Argument)
            words += [str(one)] if is_argument else [option.opts[0], str(one)]
    return shlex.join(words)


def parse_setting(text: str) -> tuple[str, object]:
    """Read `section.key=value`; a value that is no TOML is taken as text.

    >>> parse_setting("search.trials=20")
    ('search.trials', 20)
    >>> parse_setting("search.sampler=nsga2")
    ('search.sampler', 'nsga2')
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not all(key.split(".")):
        raise InvalidConfigError(f"--set must be SECTION.KEY=VALUE, got {text!r}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _toml(value: object) -> object:
    """Turn an option's value into one that TOML has."""
    match value:
        case tuple():
            return list(value)
        case Path():
            return str(value)
        case _:
            return value


def _put(tables: dict[str, Any], key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        inner = tables.setdefault(section, {})
        if not isinstance(inner, dict):
            raise InvalidConfigError(f"{key} cannot be set: {section} is no table")
        tables = inner
    tables[name] = value
