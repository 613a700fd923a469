"""The command that starts a search space of the user's own."""

from importlib.resources import files
from pathlib import Path

import click

from nasgtn.cli.options import json_option
from nasgtn.cli.printing import print_json
from nasgtn.errors import ArtefactError, InvalidConfigError


@click.command("new-space")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE")
@json_option
def new_space(file: Path, as_json: bool) -> None:
    """Write a commented search space to start from.

    FILE is a Python file that must not exist yet; `--space FILE` then names the space.
    """
    if file.suffix != ".py":
        raise InvalidConfigError(f"a search space must be a .py file, got {file}")
    content = files("nasgtn.search_spaces").joinpath("starting_point.py").read_bytes()
    try:
        with file.open("xb") as new:
            new.write(content.replace(b"FILE", str(file).encode()))
    except FileExistsError as error:
        raise ArtefactError(f"{file} must not exist yet, but it does") from error
    if as_json:
        print_json({"file": file})
    else:
        click.echo(f"{file} is a search space; look at it, then: nasgtn spaces show {file}")
