"""Commands that hand a finished run on: export the winner, open the dashboard."""

import webbrowser
from pathlib import Path

import click

from nasgtn.cli.options import json_option, run_argument
from nasgtn.cli.printing import print_fields, print_json


@click.command()
@run_argument
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder; RUN/export if not given."
)
@json_option
def export(run: Path, out: Path | None, as_json: bool) -> None:
    """Write out the winner and the synthetic data.

    Weights and choices, an example that loads them, the synthetic training set, and an ONNX file
    that was checked against torch (where the extra `onnx` is installed).
    """
    from nasgtn.cli.handing_on import export_winner

    folder = out or run / "export"
    has_onnx = export_winner(run, folder)
    if not has_onnx:
        click.echo("no ONNX file: pip install 'nasgtn[onnx]' for one", err=True)
    files = sorted(path.name for path in folder.iterdir())
    if as_json:
        print_json({"folder": folder, "files": files})
    else:
        print_fields({"folder": folder, "files": files})


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
    """Open optuna-dashboard on a run.

    With notes, figures and the synthetic images; Ctrl-C ends it.
    """
    from nasgtn.cli.handing_on import open_dashboard

    def tell(address: str) -> None:
        click.echo(f"{address} shows {run}; Ctrl-C ends it")
        webbrowser.open(address)

    open_dashboard(run, port, ready=tell)
