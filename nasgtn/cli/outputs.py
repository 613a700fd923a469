"""Commands that hand a finished run on: export the winner, open the dashboard."""

import webbrowser
from pathlib import Path

import click

from nasgtn.cli.options import output_options, run_argument
from nasgtn.cli.printing import print_json, print_table
from nasgtn.cli.progress import shown, stoppable


@click.command()
@run_argument
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder; RUN/export if not given."
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    default=1,
    help="The N best verified networks. A run keeps the weights of its winner alone: the others "
    "are trained again, with the seed that verified them.",
)
@click.option(
    "--format",
    "formats",
    metavar="NAMES",
    help="Some of safetensors, torch-export and onnx, separated by commas; all that are installed "
    "if not given.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    default="float32",
    help="Of the weights, and of what the graphs compute; ONNX has no bfloat16.",
)
@click.option(
    "--retrain",
    is_flag=True,
    help="Train on the training and validation parts first, for all epochs; the test accuracy is "
    "measured again.",
)
@output_options
def export(
    run: Path,
    out: Path | None,
    top: int,
    formats: str | None,
    dtype: str,
    retrain: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write out the best networks and the synthetic data.

    Each network with its card, and as graphs (torch.export, ONNX) that take pixels and run without
    nasgtn, checked on real images, with a script that runs them. The synthetic training set as
    arrays and as pictures, with a script that trains on it.
    """
    from nasgtn.cli.handing_on import ExportRequest, export_run, formats_here

    names = (
        tuple(name.strip() for name in formats.split(","))
        if formats is not None
        else formats_here(dtype)
    )
    request = ExportRequest(top=top, formats=names, dtype=dtype, retrain=retrain)
    folder = out or run / "export"
    with stoppable("the same command"), shown(is_quiet=quiet) as progress:
        networks = export_run(run, folder, request, progress=progress)
    if formats is None and dtype != "bfloat16" and "onnx" not in names:
        click.echo("no ONNX file: pip install 'nasgtn[onnx]' for one", err=True)
    rows = [
        {
            "folder": folder / f"network-{number}",
            "architecture_id": one.architecture.id,
            "test_accuracy": one.facts.get("test_accuracy"),
            "description": one.architecture.description,
        }
        for number, one in enumerate(networks, start=1)
    ]
    if as_json:
        print_json({"folder": folder, "networks": rows, "synthetic": folder / "synthetic"})
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
        click.echo(f"\n{folder / 'synthetic'} holds the synthetic training set")


@click.command()
@run_argument
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="Of this machine alone; 8080, or a free one, if not given.",
)
def dashboard(run: Path, port: int | None) -> None:
    """Open optuna-dashboard on a run, also while it runs.

    With notes, figures and the synthetic images, brought up to date now and then; Ctrl-C ends it.
    """
    from nasgtn.cli.handing_on import open_dashboard

    def tell(address: str) -> None:
        click.echo(f"{address} shows {run}; Ctrl-C ends it")
        webbrowser.open(address)

    open_dashboard(run, port, ready=tell)
