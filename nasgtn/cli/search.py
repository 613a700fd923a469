"""Commands of a whole run: start it, carry it on, look at it."""

import re
import shlex
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
from nasgtn.cli.printing import duration, print_fields, print_json, print_table, shortened
from nasgtn.cli.progress import shown, stoppable
from nasgtn.errors import InvalidConfigError

if TYPE_CHECKING:
    from nasgtn.configuration import RunConfig
    from nasgtn.pipeline import RunResult
    from nasgtn.ranking import Agreement
    from nasgtn.report.costs import Costs
    from nasgtn.status import RunStatus

WIDTH = 80
LONGEST_WINNER = 240
"""Characters: three lines of a screen."""
LONGEST_LEADER = 40
NO_WINNER = "none: every full training failed"
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
    "--rounds",
    type=positive,
    metavar="N",
    help="Verify the candidates in so many rounds, each chosen with what is known by then.",
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
    with stoppable(f"nasgtn resume {folder}"), shown(folder, is_quiet=quiet) as progress:
        result = run_search(config, folder, progress=progress)
    print_result(result, as_json=as_json)


@click.command()
@run_argument
@output_options
def resume(run: Path, as_json: bool, quiet: bool) -> None:
    """Carry on a run that was stopped or killed."""
    from nasgtn.pipeline import resume as resume_run

    with stoppable(f"nasgtn resume {run}"), shown(run, is_quiet=quiet) as progress:
        result = resume_run(run, progress=progress)
    print_result(result, as_json=as_json)


@click.command()
@run_argument
@json_option
def status(run: Path, as_json: bool) -> None:
    """Say how far a run is, also while it runs."""
    from nasgtn.status import status as status_of

    found = status_of(run)
    if as_json:
        print_json(found)
    else:
        _print_status(found)


def _print_status(found: "RunStatus") -> None:
    left = None if found.stage == "finished" else _left(found)
    print_fields(
        {
            "run": found.folder,
            "stage": found.stage,
            "anchors": f"{found.anchors} of {found.anchors_wanted}",
            "meta-steps": f"{found.meta_steps} of {found.meta_steps_wanted}",
            "candidates": f"{found.candidates} of {found.candidates_wanted}"
            + (f", {found.failed} failed" if found.failed else "")
            + (f", {found.gated} gated" if found.gated else ""),
            **(
                {"shortlist": f"{found.shortlisted} of at most {found.shortlist_wanted}"}
                if found.shortlist_wanted
                else {}
            ),
            "verified": f"{found.verified} of {found.verified_wanted}",
            "spent": _spent(found),
            "left": left,
            "last change": f"{duration(found.seconds_since_change)} ago",
            **({"accuracies": f"of the table {found.table}"} if found.table else {}),
        },
        width=WIDTH,
    )
    if found.leaders:
        click.echo()
        print_table(
            ("best so far", "proxy score", "validation", "parameters"),
            [
                (
                    shortened(one.choices, LONGEST_LEADER),
                    one.score,
                    _percent(one.validation_accuracy),
                    one.n_parameters,
                )
                for one in found.leaders
            ],
        )


def _spent(found: "RunStatus") -> str:
    if not found.charged:
        return duration(found.seconds)
    return f"{duration(found.seconds)}, {duration(found.charged)} of it charged"


def _left(found: "RunStatus") -> str:
    parts = [f"about {duration(found.seconds_left)}"] if found.seconds_left else []
    if found.not_counted:
        parts.append(f"{', '.join(found.not_counted)} not known yet")
    return ", ".join(parts) or "little"


def print_result(result: "RunResult", *, as_json: bool) -> None:
    """Print on one screen what was found, how far it can be trusted, its cost, what is next."""
    if as_json:
        print_json(result)
        return
    agreement, folder = result.agreement, shlex.quote(str(result.folder))
    print_fields(
        {
            "winner": shortened(result.winner or NO_WINNER, LONGEST_WINNER),
            "test accuracy": _percent(result.test_accuracy),
            "control": f"{_percent(result.control_accuracy)} (mean of random architectures)",
            "parameters": result.n_parameters,
            "multiply-adds": result.n_multiply_adds,
            "searched": f"{result.n_candidates} architectures, {result.n_verified} verified",
            "agreement": _agreement(agreement) if agreement else None,
            "cost": _cost(result),
            "saved": _saved(result.costs),
            **({"accuracies": f"of the table {result.table}, charged"} if result.table else {}),
            "report": result.report,
            "folder": result.folder,
            **({"to use it": _to_use(result, folder)} if result.winner else {}),
            "to see more": f"nasgtn dashboard {folder}",
        },
        width=WIDTH,
    )


def _to_use(result: "RunResult", folder: str) -> str:
    if result.table is None:
        return f"nasgtn export {folder}"
    return f"nasgtn export {folder} --retrain (a table has no weights)"


def _cost(result: "RunResult") -> str:
    parts = [
        f"{name.replace('_', '-')} {duration(seconds)}"
        for name, seconds in result.costs.stages.items()
        if seconds
    ]
    return f"{duration(result.seconds)}: {', '.join(parts)}"


def _saved(costs: "Costs") -> str | None:
    """Compare with a full training of every candidate."""
    if costs.full_seconds is None or costs.speed_up is None:
        return None
    n = costs.n_candidates
    full = f"training all {n} in full would take {duration(n * costs.full_seconds)}"
    if costs.speed_up < 1:
        return f"nothing: {full}"
    return f"{full}, {costs.speed_up:.1f} times as long as generator and scores"


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
