"""The part of a report about the synthetic data's audit: figure, rows, sentences."""

from statistics import fmean

import plotly.graph_objects as go

from nasgtn.findings import ALMOST_ALL, Audit, ClassFindings
from nasgtn.report.look import BLUE, GREY, ORANGE, finish, plain
from nasgtn.report.words import factor, number, percent, plural, points

TITLES = {"audit": "What each class gets from the synthetic data"}
MAX_CLASSES = 40
"""Of figure and table; of more, those that lose most."""
_BARS = (
    ("taught", "taught by synthetic data", BLUE),
    ("taught_by_real", "taught by real data", GREY),
    ("recognised", "synthetic images recognised", ORANGE),
)


def audit_values(audit: Audit | None) -> dict[str, object]:
    """Name what the template of an audit reads."""
    return {
        "audit": audit,
        "audit_in_words": audit_in_words(audit) if audit else [],
        "audit_classes": shown_classes(audit) if audit else [],
    }


def draw_audit(audit: Audit | None) -> dict[str, go.Figure]:
    """Draw the figures of an audit, by the names of `TITLES`."""
    return {} if audit is None else {"audit": classes_figure(audit)}


def classes_figure(audit: Audit) -> go.Figure:
    """Three bars a class: taught by synthetic data, taught by real data, recognised."""
    rows = shown_classes(audit)
    places = list(range(len(rows)))
    figure = go.Figure(
        [
            go.Bar(
                x=[getattr(row, key) for row in rows],
                y=places,
                orientation="h",
                name=name,
                marker={"color": colour},
                customdata=[plain(row.name) for row in rows],
                hovertemplate="%{customdata}: %{x:.1%} " + name + "<extra></extra>",
            )
            for key, name, colour in _BARS
        ]
    )
    figure = finish(
        figure,
        "share of the images that is put into its class",
        None,
        height=130 + 42 * len(rows),
        barmode="group",
        bargap=0.25,
    )
    figure.update_xaxes(range=[0, 1.03], tickformat=".0%")
    return figure.update_yaxes(
        tickvals=places,
        ticktext=[plain(row.name[:24]) for row in rows],
        autorange="reversed",
        showgrid=False,
    )


def shown_classes(audit: Audit) -> list[ClassFindings]:
    """Take all classes, or those that lose most, in their order."""
    if len(audit.classes) <= MAX_CLASSES:
        return list(audit.classes)
    places = range(len(audit.classes))

    def rank(place: int) -> float:
        loss = audit.classes[place].loss
        return 1.0 if loss is None else -loss

    return [audit.classes[place] for place in sorted(sorted(places, key=rank)[:MAX_CLASSES])]


def audit_in_words(audit: Audit) -> list[str]:
    """Say what the synthetic data teach, what they look like, and whether they are copies."""
    made, real, copying = audit.synthetic, audit.validation, audit.copying
    within = [one.diversity for one in audit.classes if one.diversity is not None]
    spread = number(fmean(within) if within else None)
    return [
        f"After {plural(audit.n_steps, 'step')} on synthetic data, "
        f"{plural(audit.n_networks, 'random network')} classify {percent(audit.taught)} of the "
        f"validation images correctly on average, and {percent(audit.taught_by_real)} after as "
        "many steps on real data at the same learning rates. Between the best and the worst "
        f"served class lie {points(audit.gap)}; after real data, {points(audit.gap_by_real)}.",
        f"A network trained in full on real data puts {percent(audit.recognised)} of the "
        f"synthetic images into the class they are made for, and {percent(audit.judged)} of the "
        "validation images.",
        f"In the features of that network, {percent(made.precision)} of the synthetic images lie "
        f"among the training images, and they cover {percent(made.coverage)} of these; of "
        f"validation images it is {percent(real.precision)} and {percent(real.coverage)}. Their "
        f"Frechet distances from the training images are {number(made.frechet)} and "
        f"{number(real.frechet)}.",
        f"Images of one class are {spread} times as far apart as real ones, the centres of the "
        f"classes {number(audit.between)} times; the largest class has "
        f"{factor(audit.imbalance)} times the synthetic images of the smallest.",
        f"Pixel by pixel, {percent(copying.exact_share)} of the synthetic images are training "
        f"images; {percent(copying.close_share)} are closer to one than {percent(ALMOST_ALL)} of "
        f"the validation images are, and {percent(copying.far_share)} are further from all of "
        f"them than {percent(ALMOST_ALL)}. The median distance from the nearest one is "
        f"{number(copying.median)} standard deviations of a pixel, and "
        f"{number(copying.validation_median)} from a validation image.",
    ]
