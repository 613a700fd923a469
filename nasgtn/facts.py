"""What the `config.toml` of a run tells besides its settings; read without torch."""

import tomllib
from pathlib import Path
from typing import Any

from nasgtn import __version__
from nasgtn.artefacts import CONFIG, FORMAT
from nasgtn.errors import ArtefactError

VERSIONS, ENVIRONMENT, TASK = "versions", "environment", "task"
FACTS = (VERSIONS, ENVIRONMENT, TASK)
"""Tables of a run's `config.toml` that say what was found, and configure nothing."""


def read_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the tables that are named in `FACTS`.

    Raises:
        ArtefactError: The folder is no run, or one of another version.
    """
    tables = read_run_toml(folder)
    facts = {name: tables[name] for name in FACTS if isinstance(tables.get(name), dict)}
    if len(facts) < len(FACTS):
        raise ArtefactError(f"{folder / CONFIG} must have the tables {', '.join(FACTS)}")
    return facts


def read_run_toml(folder: Path) -> dict[str, Any]:
    """Read the `config.toml` of a run as it stands: whole, but not checked again.

    Raises:
        ArtefactError: The folder is no run, or one of another version.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ArtefactError(f"{folder} must be the folder of a run, but has no {CONFIG}")
    tables = read_toml(path)
    versions = tables.get(VERSIONS)
    found = versions.get("format") if isinstance(versions, dict) else None
    if found != FORMAT:
        raise ArtefactError(
            f"{folder} must be a run of format {FORMAT}, which nasgtn {__version__} reads, "
            f"got format {found}"
        )
    return tables


def without_none(value: Any) -> Any:  # noqa: ANN401 - tables, lists, and what stands in them
    """Make nested values ready for TOML, which has no null: None is left out, as a default."""
    if isinstance(value, dict):
        return {name: without_none(one) for name, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [without_none(one) for one in value]
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ArtefactError: It cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{path} must be a TOML file: {error}") from error
