"""Commands that list what there is: search spaces, datasets, and this machine."""

import os
import platform
from importlib import metadata

import click

from nasgtn import __version__
from nasgtn.cli.options import dataset_option, json_option, run_config, seed_option, set_option
from nasgtn.cli.printing import print_fields, print_json, print_table

PACKAGES = ("torch", "optuna", "numpy", "scipy", "scikit-learn", "plotly", "pydantic", "click")
EXTRAS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "dashboard": ("optuna-dashboard",),
    "datasets": ("datasets",),
    "torchvision": ("torchvision",),
}
"""Each extra, and the packages that it brings; setup.cfg says the same."""


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def spaces(context: click.Context, as_json: bool) -> None:
    """List search spaces; `spaces show NAME` samples one."""
    if context.invoked_subcommand is not None:
        return
    from nasgtn.spaces.catalogue import BUILT_IN, find_space

    rows = [{"name": name, "summary": find_space(name).summary} for name in sorted(BUILT_IN)]
    if as_json:
        print_json(rows)
    else:
        print_table(("name", "summary"), [tuple(row.values()) for row in rows])


@spaces.command("show")
@click.argument("name")
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N", default=5, help="How many architectures."
)
@seed_option
@dataset_option
@set_option
@json_option
def show_space(name: str, sample: int, as_json: bool, **values: object) -> None:
    """Draw random architectures of a space: choices, parameters, multiply-adds.

    They are built for images of 3x32x32 in 10 classes, or for those of `--dataset`. Options of
    the space are set as in `--set space.options.width=16`.
    """
    from nasgtn.cli.tasks import default_task, describe_architecture, space_of, splits_of

    config = run_config({**values, "space": name})
    task = splits_of(config).task if values["dataset"] else default_task()
    space = space_of(config)
    space.check(task, seed=config.seed)
    drawn = space.sample_distinct(sample, config.seed, task)
    rows = [describe_architecture(space, architecture, task) for architecture in drawn]
    if as_json:
        print_json(
            {
                "name": space.name,
                "summary": space.summary,
                "options": space.options,
                "input_shape": task.input_shape,
                "n_classes": task.n_classes,
                "architectures": rows,
            }
        )
        return
    click.echo(f"{space.name}: {space.summary}")
    shape = "x".join(map(str, task.input_shape))
    click.echo(
        f"{len(rows)} random architectures for images of {shape}, {task.n_classes} classes\n"
    )
    columns = ("architecture_id", "n_parameters", "n_multiply_adds", "description")
    print_table(columns, [[row[column] for column in columns] for row in rows])


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def datasets(context: click.Context, as_json: bool) -> None:
    """List datasets; `datasets show NAME` reads one."""
    if context.invoked_subcommand is not None:
        return
    from nasgtn.data.sources import dataset_names

    rows = dataset_names()
    if as_json:
        print_json(rows)
    else:
        print_table(("name", "summary"), [tuple(row.values()) for row in rows])


@datasets.command("show")
@click.argument("name")
@seed_option
@set_option
@json_option
def show_dataset(name: str, as_json: bool, **values: object) -> None:
    """Read a dataset and say what is in it: images, classes, splits."""
    from nasgtn.data.sources import describe_dataset

    config = run_config({**values, "dataset": name})
    fields = describe_dataset(config.data, seed=config.seed)
    if as_json:
        print_json(fields)
    else:
        print_fields(fields)


@click.command()
@json_option
def env(as_json: bool) -> None:
    """Show versions, device, threads and extras."""
    import torch

    packages = {name: _version(name) for name in PACKAGES}
    extras = {
        extra: all(_version(name) is not None for name in names) for extra, names in EXTRAS.items()
    }
    fields = {
        "nasgtn": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if as_json:
        print_json({**fields, "packages": packages, "extras": extras})
        return
    print_fields({**fields, **packages, **{f"extra {name}": has for name, has in extras.items()}})


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
