"""The command that audits synthetic data."""

from dataclasses import asdict
from pathlib import Path

import click

from nasgtn.artefacts import AUDIT
from nasgtn.cli.options import output_options, task_options
from nasgtn.cli.printing import print_fields, print_json, print_table
from nasgtn.cli.progress import shown


@click.command()
@click.argument(
    "generator",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="GENERATOR",
)
@task_options
@output_options
def audit(generator: Path, as_json: bool, quiet: bool, **values: object) -> None:
    """Audit the synthetic data of a run or a generator.

    What they teach, class by class, beside real data; how like real images they are; and whether
    they are copies of training images. The report of a run shows it when it is written again.
    """
    from nasgtn.cli.generators import audit_generator
    from nasgtn.cli.tasks import config_beside

    config = config_beside(generator, values)
    with shown(is_quiet=quiet) as progress:
        found = audit_generator(config, generator, progress=progress)
    if as_json:
        print_json({**asdict(found), "warnings": found.warnings()})
        return
    columns = ("name", "n_synthetic", "recognised", "taught", "taught_by_real", "diversity")
    print_table(columns, [[getattr(row, name) for name in columns] for row in found.classes])
    click.echo()
    print_fields(
        {
            "taught": _both(found.taught, found.taught_by_real, "by real data"),
            "gap of classes": _both(found.gap, found.gap_by_real, "by real data"),
            "recognised": _both(found.recognised, found.judged),
            "Frechet distance": _both(found.synthetic.frechet, found.validation.frechet),
            "precision": _both(found.synthetic.precision, found.validation.precision),
            "coverage": _both(found.synthetic.coverage, found.validation.coverage),
            "copied": f"{found.copying.exact_share:.3f}, close {found.copying.close_share:.3f}",
            "audit": generator / AUDIT,
        }
    )
    for text in found.warnings():
        click.echo(f"Warning: {' '.join(text.split())}")


def _both(value: float, real: float, what: str = "of validation images") -> str:
    return f"{value:.3f}  ({real:.3f} {what})"
