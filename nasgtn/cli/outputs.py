"""Commands that hand a finished run on: export the winner, open the dashboard."""

from pathlib import Path

import click

from nasgtn.cli.options import json_option, run_argument


@click.command()
@run_argument
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to [RUN/export].")
@json_option
def export(run: Path, out: Path | None, as_json: bool) -> None:
    """Write out the winner and the synthetic data."""
    raise NotImplementedError


@click.command()
@run_argument
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    metavar="N",
    help="Of this machine alone.",
)
def dashboard(run: Path, port: int) -> None:
    """Open optuna-dashboard on a run."""
    raise NotImplementedError
