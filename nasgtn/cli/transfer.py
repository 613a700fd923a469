"""The command that measures how generators carry over from one family of networks to another."""

from pathlib import Path

import click

from nasgtn.cli.options import (
    given_command,
    output_options,
    positive,
    run_config,
    task_options,
    truth_option,
)
from nasgtn.cli.printing import print_json, print_table
from nasgtn.cli.progress import shown, stoppable


@click.command()
@task_options
@click.option(
    "--by",
    metavar="CHOICE",
    required=True,
    help="Its values make the families, as in normalisation.",
)
@click.option(
    "--architectures", type=positive, metavar="N", default=16, help="How many of each family."
)
@truth_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep evaluations in this JSON Lines file, and generators beside it; none is made twice.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with both matrices; it opens without a network.",
)
@output_options
def transfer(
    by: str,
    architectures: int,
    truth: str | None,
    out: Path | None,
    html: Path | None,
    as_json: bool,
    quiet: bool,
    **values: object,
) -> None:
    """Test generators on families they were not trained on.

    One generator is trained on each family alone and one on the whole space; each, and real data
    in its place, then teaches architectures of every family.
    """
    from nasgtn.cli.transferring import Request, run_transfer, write_page
    from nasgtn.transfer import transfer_tables

    request = Request(by=by, n_architectures=architectures, truth=truth, out=out)
    config = run_config(values)
    with stoppable("the same command, if it has --out"), shown(is_quiet=quiet) as progress:
        found = run_transfer(config, request, progress=progress)
    if html is not None:
        write_page(html, found, config, request, command=given_command())
    if as_json:
        print_json(found.flat())
        return
    for number, (title, (headers, *rows)) in enumerate(transfer_tables(found).items()):
        click.echo("\n" * bool(number) + title)
        print_table(headers, rows)
