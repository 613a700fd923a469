"""Writes a folder whole, or not at all; and the files in it that are no tensors."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from nasgtn.errors import ArtefactError

EXAMPLES = files("nasgtn.export").joinpath("examples")


@contextmanager
def whole_folder(destination: Path) -> Iterator[Path]:
    """Lend a folder that becomes `destination` at the end of the block; an error leaves nothing.

    Raises:
        ArtefactError: The destination exists or cannot be written.
    """
    if destination.exists():
        raise ArtefactError(f"{destination} must not exist yet, but it does")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(
            tempfile.mkdtemp(
                prefix=f".{destination.name}.", suffix=".part", dir=destination.parent
            )
        )
    except OSError as error:
        raise ArtefactError(f"{destination} cannot be written: {error}") from error
    try:
        yield folder
        folder.chmod(0o755)  # temporary folders are private
        folder.rename(destination)
    except OSError as error:
        raise ArtefactError(f"{destination} cannot be written: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file for people to read too."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def copy_example(name: str, folder: Path) -> None:
    """Put one of the example scripts into a folder; it needs nothing but what lies there."""
    (folder / name).write_bytes(EXAMPLES.joinpath(name).read_bytes())
