"""The `nasgtn` command itself: its sub-commands, and how every error becomes one line.

The modules of the commands import a stage inside the command that runs it, so that
`nasgtn --help` needs neither torch nor Optuna.
"""

import errno
import logging
import sys
import traceback
from collections.abc import Sequence

import click

from nasgtn import __version__
from nasgtn.cli import auditing, listings, outputs, search, stages, starting, transfer
from nasgtn.cli.progress import INTERRUPTED
from nasgtn.errors import NasgtnError
from nasgtn.memory import keep_freed_memory


@click.group(
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 99,
        "show_default": True,
    },
)
@click.version_option(__version__, prog_name="nasgtn")
@click.option("--debug", is_flag=True, help="Show the traceback of an error (any position).")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Rank neural architectures by training them briefly on data that a trained generator made."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(message)s")
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (
    search.search,
    search.resume,
    search.status,
    stages.train_generator,
    stages.rank,
    auditing.audit,
    stages.verify,
    stages.report,
    stages.compare,
    transfer.transfer,
    outputs.export,
    outputs.dashboard,
    starting.new_space,
    listings.spaces,
    listings.datasets,
    listings.env,
):
    cli.add_command(_command)


def run(args: Sequence[str]) -> int:
    """Run one command line, and return its exit code; a user's mistake is one line on stderr."""
    is_debug = "--debug" in args
    try:
        code = cli.main(
            [*["--debug"] * is_debug, *(arg for arg in args if arg != "--debug")],
            prog_name="nasgtn",
            standalone_mode=False,
        )
    except (click.ClickException, click.Abort, NasgtnError, OSError, ImportError) as error:
        if is_debug:
            traceback.print_exc()
        message, code = _explain(error)
        prefix = "" if code == INTERRUPTED else "Error: "
        click.echo(prefix + " ".join(message.split()), err=True)
        return code
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> tuple[str, int]:
    """Find the message and the exit code of an error that is not a mistake of ours."""
    match error:
        case NasgtnError():
            return str(error), error.exit_code
        case click.ClickException():
            return error.format_message(), error.exit_code
        case click.Abort():
            return "stopped", INTERRUPTED
        case OSError():
            place = f": {error.filename}" if error.filename else ""
            if error.errno == errno.ENOSPC:
                return f"the disk is full; what was finished is kept{place}", 1
            return f"{error.strerror or error}{place}", 1
        case ImportError() if error.name and not error.name.startswith("nasgtn"):
            return f"the package {error.name!r} is needed for this; `pip install` it first", 1
        case _:
            raise error


def main() -> None:
    """Entry point of the `nasgtn` command."""
    keep_freed_memory()
    sys.exit(run(sys.argv[1:]))
