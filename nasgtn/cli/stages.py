"""Commands that run one stage alone: train a generator, rank, verify, report, compare."""

from pathlib import Path

import click

from nasgtn.cli.options import (
    given_command,
    json_option,
    output_options,
    positive,
    run_argument,
    run_config,
    task_options,
    truth_option,
)
from nasgtn.cli.printing import print_fields, print_json, print_table
from nasgtn.cli.progress import shown, stoppable
from nasgtn.cli.search import print_result

folder_type = click.Path(path_type=Path, exists=True, file_okay=False)
file_type = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("train-generator")
@task_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option(
    "--hold-out",
    multiple=True,
    metavar="CHOICE=VALUE[,...]",
    help="Never train on networks of this family (repeatable).",
)
@output_options
def train_generator(out: Path, as_json: bool, quiet: bool, **values: object) -> None:
    """Train a generator alone, for `rank` and `search`."""
    from nasgtn.cli.generators import train_into
    from nasgtn.gtn import in_words

    config = run_config(values)
    with stoppable("the same command"), shown(is_quiet=quiet) as progress:
        generator = train_into(config, out, progress=progress)
    fields = {
        "folder": out,
        "protocol": in_words(generator.config),
        "meta_steps": generator.meta_steps,
        "seconds": generator.seconds,
    }
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)


@click.command()
@task_options
@click.option("--generator", type=folder_type, required=True, help="A run, or --out of training.")
@click.option(
    "--architectures", type=positive, metavar="N", default=10, help="How many random ones."
)
@click.option("--choices", type=file_type, help="Rank those of this JSON or JSON Lines file.")
@output_options
def rank(
    generator: Path,
    architectures: int,
    choices: Path | None,
    as_json: bool,
    quiet: bool,
    **values: object,
) -> None:
    """Score architectures with a trained generator, best first."""
    from nasgtn.cli.generators import rank_architectures
    from nasgtn.cli.tasks import config_beside

    config = config_beside(generator, values)
    with shown(is_quiet=quiet) as progress:
        rows = rank_architectures(config, generator, choices or architectures, progress=progress)
    if as_json:
        print_json({"generator": generator, "architectures": rows})
        return
    columns = ("rank", "architecture_id", "score", "n_parameters", "seconds", "description")
    print_table(columns, [[row[column] for column in columns] for row in rows])


@click.command()
@run_argument
@click.option(
    "--verify",
    "candidates",
    type=positive,
    metavar="N",
    help="Train so many of the best for real.",
)
@click.option(
    "--control", type=click.IntRange(min=0), metavar="N", help="And so many random ones."
)
@output_options
def verify(
    run: Path, candidates: int | None, control: int | None, as_json: bool, quiet: bool
) -> None:
    """Train a run's best, and a control, on real data."""
    from nasgtn.pipeline import verify as verify_run

    with stoppable(given_command()), shown(run, is_quiet=quiet) as progress:
        result = verify_run(run, candidates=candidates, control=control, progress=progress)
    print_result(result, as_json=as_json)


@click.command()
@click.argument("runs", type=folder_type, metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file; else into the run, or, of several, comparison.html here.",
)
@json_option
def report(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Write the report of a run again, or compare several runs."""
    from nasgtn.artefacts import COMPARISON
    from nasgtn.pipeline import write_report, write_side_by_side

    if len(runs) == 1:
        path = write_report(runs[0], out)
    else:
        path = write_side_by_side(runs, out or Path(COMPARISON), command=given_command())
    if as_json:
        print_json({"report": path})
    else:
        click.echo(path)


@click.command()
@task_options
@click.option(
    "--estimators",
    default="gtn,fused,calibrated,real:16,real:16/1,params,flops,synflow,naswot,jacob_cov,grad_norm",
    help="Names, separated by commas; fused sums up log-ranks, calibrated learns from the "
    "generator's anchors too, ensemble is all generators together; real:N is N steps on real "
    "batches, with the best of several learning rates, real:N@RATE with that one, real:N/B on B "
    "batches that come in turn.",
)
@click.option("--architectures", type=positive, metavar="N", default=32, help="How many.")
@click.option("--generator", type=folder_type, help="Take this one; else one is trained first.")
@click.option(
    "--generators",
    type=positive,
    metavar="N",
    default=1,
    help="Train so many, each with a seed and anchors of its own.",
)
@truth_option
@click.option(
    "--truth-seeds", type=positive, metavar="N", default=1, help="Average so many trainings."
)
@click.option(
    "--best-tenth",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    help="Judge the order of the best tenth by so many more of it; the truth must be a table.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep true accuracies in this JSON Lines file, and what depends on generator and proxy "
    "beside it; what is there is not done again.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with table and figures; it opens without a network.",
)
@output_options
def compare(
    estimators: str,
    architectures: int,
    generator: Path | None,
    generators: int,
    truth: str | None,
    truth_seeds: int,
    best_tenth: int,
    out: Path | None,
    html: Path | None,
    as_json: bool,
    quiet: bool,
    **values: object,
) -> None:
    """Compare estimators with the truth."""
    from nasgtn.cli.comparing import Request, run_comparison, write_page
    from nasgtn.cli.tasks import config_beside

    request = Request(
        estimators=[name.strip() for name in estimators.split(",")],
        n_architectures=architectures,
        generator=generator,
        n_generators=generators,
        truth=truth,
        truth_seeds=truth_seeds,
        n_best=best_tenth,
        out=out,
    )
    config = config_beside(generator, values)
    with stoppable("the same command, if it has --out"), shown(is_quiet=quiet) as progress:
        comparison = run_comparison(config, request, progress=progress)
    if html is not None:
        write_page(html, comparison, config, request, command=given_command())
    if as_json:
        print_json(comparison.flat())
        return
    more = f" and {comparison.n_best} more of the best tenth" if comparison.n_best else ""
    click.echo(
        f"{comparison.n_architectures} architectures{more}, truth: {comparison.truth} "
        f"({comparison.truth_seconds_per_candidate:.3g} s each)\n"
    )
    columns = {
        "estimator": "estimator",
        "setting": "setting",
        "n": "n",
        "spearman": "spearman",
        "spearman_interval": "95 % interval",
        "kendall": "kendall",
        "best_half": "best_half",
        "best_tenth": "best_tenth",
        "partial": "after size",
        "seconds_per_candidate": "s/candidate",
        "multiply_adds_per_candidate": "multiply-adds/candidate",
        "preparation_seconds": "s before",
    }
    rows = [row.flat() for row in comparison.estimators]
    print_table(list(columns.values()), [[row[column] for column in columns] for row in rows])
