"""Commands of a whole run: start it, carry it on, look at it."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nasgtn.cli.options import (
    json_option,
    output_options,
    run_argument,
    run_config,
    task_options,
)
from nasgtn.cli.printing import print_fields, print_json
from nasgtn.cli.progress import shown, stoppable
from nasgtn.errors import InvalidConfigError

if TYPE_CHECKING:
    from nasgtn.configuration import RunConfig
    from nasgtn.pipeline import RunResult
    from nasgtn.ranking import Agreement

positive = click.IntRange(min=1)


@click.command()
@task_options
@click.option(
    "--trials", type=positive, metavar="N", help="How many architectures the search proposes."
)
@click.option(
    "--verify",
    type=positive,
    metavar="N",
    help="Candidates trained for real, and as many controls.",
)
@click.option(
    "--control", type=click.IntRange(min=0), metavar="N", help="Controls, if another number."
)
@click.option(
    "--objective",
    multiple=True,
    metavar="NAME",
    help="accuracy, params, flops or latency (repeatable: several are weighed together).",
)
@click.option("--sampler", metavar="NAME", help="tpe, random, nsga2 or gp.")
@click.option(
    "--max-params", type=positive, metavar="N", help="Most parameters a network may have."
)
@click.option("--max-flops", type=positive, metavar="N", help="Most multiply-adds of one image.")
@click.option(
    "--max-latency-ms", type=float, metavar="MS", help="Most milliseconds for one image."
)
@click.option("--workers", type=positive, metavar="N", help="Processes that search side by side.")
@click.option("--storage", metavar="URL", help="An Optuna storage in place of the run's own file.")
@click.option(
    "--generator",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Take the trained generator of this folder or run.",
)
@click.option("--run", type=click.Path(path_type=Path), help="Folder of the run; a new one.")
@output_options
def search(run: Path | None, as_json: bool, quiet: bool, **values: object) -> None:
    """Search a space for a dataset: winner and report."""
    from nasgtn.pipeline import run_search

    config = run_config(values)
    folder = run or _new_folder(config)
    with stoppable(f"nasgtn resume {folder}"), shown(is_quiet=quiet) as progress:
        result = run_search(config, folder, progress=progress)
    print_result(result, as_json=as_json)


@click.command()
@run_argument
@output_options
def resume(run: Path, as_json: bool, quiet: bool) -> None:
    """Carry on a run that was stopped or killed."""
    from nasgtn.pipeline import resume as resume_run

    with stoppable(f"nasgtn resume {run}"), shown(is_quiet=quiet) as progress:
        result = resume_run(run, progress=progress)
    print_result(result, as_json=as_json)


@click.command()
@run_argument
@json_option
def status(run: Path, as_json: bool) -> None:
    """Say how far a run is, also while it runs."""
    from nasgtn.pipeline import status as status_of

    found = status_of(run)
    if as_json:
        print_json(found)
    else:
        print_fields(vars(found))


def print_result(result: "RunResult", *, as_json: bool) -> None:
    """Print the winner, its accuracy, how well the orders agree, and where the report is."""
    if as_json:
        print_json(result)
        return
    agreement = result.agreement
    print_fields(
        {
            "winner": result.winner or "none: every full training failed",
            "test accuracy": _percent(result.test_accuracy),
            "control": f"{_percent(result.control_accuracy)} (mean of random architectures)",
            "parameters": result.n_parameters,
            "multiply-adds": result.n_multiply_adds,
            "searched": f"{result.n_candidates} architectures, {result.n_verified} verified",
            "agreement": _agreement(agreement) if agreement else None,
            "time": f"{result.seconds:.0f} s",
            "report": result.report,
        }
    )


def _percent(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{100 * accuracy:.2f} %"


def _agreement(agreement: "Agreement") -> str:
    """Write Spearman's rho with its interval, or why there is none."""
    if agreement.spearman is None:
        return f"too few verified architectures, or equal ones (n = {agreement.n})"
    text = f"Spearman {agreement.spearman:.2f}"
    if agreement.spearman_interval is not None:
        low, high = agreement.spearman_interval
        text += f" (95 % interval {low:.2f} to {high:.2f})"
    return f"{text}, n = {agreement.n}"


def _new_folder(config: "RunConfig") -> Path:
    """Name a new folder after the time, the dataset and the space."""
    parts = [time.strftime("%Y%m%d-%H%M%S"), config.data.name, config.space.name]
    names = [Path(part).stem if "/" in part or "." in part else part for part in parts]
    folder = Path("results") / re.sub(r"[^\w.-]+", "-", "-".join(names))
    if folder.exists():
        raise InvalidConfigError(f"the folder of the run must be new, but {folder} exists")
    return folder
