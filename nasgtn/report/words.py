"""Numbers as text, and what a run found out in a few sentences."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nasgtn.estimates import Estimate, Gain
from nasgtn.ranking import Interval
from nasgtn.report.costs import GENERATOR_STAGES, Costs
from nasgtn.report.data import RunData
from nasgtn.report.foresight import Forecast, share_within, spread
from nasgtn.report.pareto import Front
from nasgtn.report.summary import CHOOSING, Counts, Summary, Verified

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"
PREFIXES = ("", "k", "M", "G", "T", "P", "E")
FEW = 10
"""Below so many verified architectures, the bounds of an interval say little themselves."""


def percent(value: float | None) -> str:
    """Write a part in [0, 1] as percent."""
    return DASH if value is None else f"{100 * value:.1f}{SPACE}%"


def points(value: float | None) -> str:
    """Write a difference of accuracies in percentage points."""
    return DASH if value is None else f"{number(100 * value, 1)}{SPACE}points"


def count(value: float | None) -> str:
    """Write a whole number with its thousands apart."""
    return DASH if value is None else f"{value:,.0f}"


def large(value: float | None) -> str:
    r"""Write a large number with three digits and the prefix of its unit.

    >>> large(0.0), large(45_200.0), large(1.234e12)
    ('0', '45.2\xa0k', '1.23\xa0T')
    """
    if value is None:
        return DASH
    power = math.floor(math.log10(float(f"{value:.3g}")) / 3) if value else 0
    power = min(max(power, 0), len(PREFIXES) - 1)
    return f"{value / 1000**power:.3g}{SPACE}{PREFIXES[power]}".strip()


def number(value: float | None, digits: int = 2) -> str:
    """Write a number with a real minus sign; a rounded zero has none."""
    if value is None:
        return DASH
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def interval(bounds: Interval | None) -> str:
    """Write a pair of bounds; nothing where there is none."""
    return "" if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def duration(seconds: float | None) -> str:
    """Write seconds in the unit that people use for so long a time."""
    if seconds is None:
        return DASH
    if seconds < 1:
        return f"{1000 * seconds:.3g}{SPACE}ms"
    if seconds < 59.95:
        return f"{seconds:.3g}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{SPACE}min {rest}{SPACE}s"
    return f"{minutes // 60}{SPACE}h {minutes % 60}{SPACE}min"


def factor(value: float | None) -> str:
    """Write how many times."""
    return DASH if value is None else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def shape(sizes: Any) -> str:  # noqa: ANN401 - a list, a tuple or a text, from a TOML or JSON file
    """Write sizes along axes."""
    if isinstance(sizes, list | tuple):
        return " \N{MULTIPLICATION SIGN} ".join(str(size) for size in sizes)
    return str(sizes)


def value(item: object) -> str:
    """Write one choice or setting."""
    if isinstance(item, float):
        return f"{item:.4g}"
    return DASH if item is None else str(item)


def plural(n: int, noun: str) -> str:
    """Write a count with its noun."""
    ending = "ies" if noun.endswith("y") else "s"
    return f"{n:,} {noun if n == 1 else noun.removesuffix('y') + ending}"


def accuracy_interval(accuracy: float, n_images: int) -> Interval:
    """95 % interval of an accuracy measured on `n_images` (Wilson's score interval)."""
    z2 = 1.959964**2
    centre = (accuracy + z2 / (2 * n_images)) / (1 + z2 / n_images)
    spread = accuracy * (1 - accuracy) / n_images + z2 / (4 * n_images**2)
    half = math.sqrt(z2 * spread) / (1 + z2 / n_images)
    return max(0.0, centre - half), min(1.0, centre + half)


def winner_in_words(summary: Summary, task: Mapping[str, Any], table: str | None = None) -> str:
    """Say what the winner reaches, and what the control does; accuracies may be of a `table`."""
    winner = summary.winner
    if winner is None or winner.test_accuracy is None:
        return _no_winner(summary)
    if table is not None:
        said = f"The table has an accuracy of {percent(winner.test_accuracy)} for it"
        return said + ", and there are no weights. " + _control(summary, winner)
    said = f"It classifies {percent(winner.test_accuracy)} of the test images correctly"
    said += f" ({_trainings(winner)}"
    n_test = task.get("n_test")
    if n_test:
        low, high = accuracy_interval(winner.test_accuracy, int(n_test))
        said += f"; with {int(n_test):,} test images, {percent(low)} to {percent(high)}"
    said += ")"
    if winner.n_parameters is not None:
        said += f" with {count(winner.n_parameters)} parameters"
    if winner.latency_ms is not None:
        said += f", in {duration(winner.latency_ms / 1000)} an image"
    return said + ". " + _control(summary, winner)


def _trainings(winner: Verified) -> str:
    if winner.n_seeds < 2:
        return "one training"
    low, high = min(winner.test_accuracies), max(winner.test_accuracies)
    return f"mean of {winner.n_seeds} trainings, from {percent(low)} to {percent(high)}"


def _no_winner(summary: Summary) -> str:
    if summary.verified:
        return "No winner: every training of the verification failed."
    if summary.best_scores:
        return (
            "No winner yet: nothing was verified, so no true accuracy is known. "
            "Below are those with the highest proxy scores."
        )
    if summary.counts.n_trials or summary.counts.n_distinct:
        return "No winner: no trial got a proxy score."
    return "No winner: the search has no trials."


def _control(summary: Summary, winner: Verified) -> str:
    if summary.control_mean is None or winner.is_control:
        return "No control was trained beside it."
    n = sum(v.is_control and v.test_accuracy is not None for v in summary.verified)
    said = f"The control, {plural(n, 'architecture')} drawn at random, reaches "
    if n == 1:
        said += f"{percent(summary.control_mean)}."
    else:
        said += f"{percent(summary.control_mean)} on average and "
        said += f"{percent(summary.control_best)} at best."
    if summary.control_best is not None and summary.control_best > (winner.test_accuracy or 0):
        said += " So a random architecture did better than the winner."
    return said


def table_in_words(data: RunData, summary: Summary) -> str:
    """Say that accuracies come from a table, and what each is charged; nothing if they do not."""
    if data.table is None:
        return ""
    truth = data.config["truth"]
    rates = [
        text
        for rate, text in (
            (truth["seconds"], f"{duration(truth['seconds'])} each"),
            (
                truth["seconds_per_multiply_add"],
                f"{truth['seconds_per_multiply_add']:.3g}{SPACE}s a multiply-add of its network",
            ),
        )
        if rate
    ]
    whose = "verified architectures"
    if data.anchors and not data.has_short_anchors:
        whose = f"anchors and {whose}"
    said = (
        f"The accuracies of {whose} come from the table {data.table}: "
        "no network was trained for them. In all costs their training counts as charged, "
        f"{' and '.join(rates)}"
    )
    if summary.costs.full_seconds is not None:
        said += f" ({duration(summary.costs.full_seconds)} on average)"
    if truth.get("short_table"):
        said += f", and a shorter training of the shortlist as {truth['short_share']:.0%} of that"
    return said + (
        ". The table has one accuracy an architecture: it chose the winner, and is shown as its "
        "validation and as its test accuracy."
    )


def trust_in_words(row: Estimate | None) -> str:
    """Say how far the proxy's order can be trusted."""
    if row is None:
        return (
            "Nothing was verified, so how far the order of the proxy can be trusted is not known."
        )
    found = row.agreement
    if found.n < 3:
        return (
            f"Not enough verified architectures ({found.n}) to say how far the order of the proxy "
            "can be trusted; at least three are needed, ten or more say something."
        )
    if found.spearman is None:
        return (
            "The proxy or the true accuracy is the same for all "
            f"{found.n} verified architectures, so there is no order to compare."
        )
    said = f"The Spearman correlation of proxy and true accuracy is {number(found.spearman)}"
    if found.spearman_interval is None:
        return f"{said} over {found.n} architectures, too few for an interval."
    low, high = found.spearman_interval
    said += f" over {found.n} architectures, with a 95{SPACE}% interval of {interval((low, high))}"
    said += ". " if found.n >= FEW else ", itself rough with so few. "
    if low > 0:
        return said + "The proxy orders better than chance."
    if high < 0:
        return said + "The order is worse than chance: the proxy misleads here."
    return said + (
        "The interval includes zero, so its order may be chance; "
        "verify more architectures to know."
    )


def choice_in_words(data: RunData, summary: Summary) -> str:
    """Say how well the score orders that the candidates were chosen by, if not the proxy alone."""
    rows = {row.name: row for row in summary.estimators}
    found = [rows[name] for name in CHOOSING if name in rows]
    what, after = "The candidates were", ""
    if data.shortlist_training:
        what = "A shortlist was"
        after = f" The candidates are its best by {data.shortlist_training}."
    if not found or data.config.get("verification", {}).get("score") != "fused":
        return f"{what} chosen by the proxy's score.{after}" if after else ""
    said = f"{what} chosen by the {found[0].name} score"
    rho, bounds = found[0].agreement.spearman, found[0].agreement.spearman_interval
    if rho is None:
        return f"{said}, whose order could not be judged.{after}"
    said += f", whose Spearman correlation with the true accuracy is {number(rho)}"
    if bounds:
        said += f", with a 95{SPACE}% interval of {interval(bounds)}"
    return f"{said}.{after}"


def gain_in_words(gain: Gain) -> str:
    """Say what the proxy adds to a fused score."""
    if gain.difference is None:
        return (
            f"What the proxy adds to the {gain.name} score cannot be said: there is no order to "
            f"compare over {plural(gain.n, 'architecture')}."
        )
    said = (
        f"Spearman's rho of the {gain.name} score is {number(gain.spearman)} with the proxy, and "
        f"{number(gain.other)} without it: a difference of {number(gain.difference)}"
    )
    if gain.interval is None:
        return f"{said} over {plural(gain.n, 'architecture')}, too few for an interval."
    low, high = gain.interval
    said += f", with a 95{SPACE}% interval of {interval(gain.interval)}. "
    if low > 0:
        return f"{said}So the proxy adds to it."
    if high < 0:
        return f"{said}So the proxy makes it worse."
    return f"{said}The interval includes zero, so the proxy may add nothing."


def foresight_in_words(found: Sequence[Forecast]) -> str:
    """Say whether the predicted uncertainty was right."""
    if not found:
        return ""
    n, within = len(found), sum(one.is_within for one in found)
    low, high = accuracy_interval(share_within(found), n)
    said = (
        f"Before anything was verified, the calibrated score foretold each architecture's place "
        f"among the anchors (0 in their middle, 1 better than 84{SPACE}% of them), with a "
        f"95{SPACE}% interval. Of {plural(n, 'verified architecture')} "
        f"{within:,} lie within ({percent(within / n)}; so few leave {percent(low)} to "
        f"{percent(high)} open). The standard scores have a root mean square of "
        f"{number(spread(found))}: 1 would be right, more is too sure, less too careful. "
    )
    if high < 0.95:
        return f"{said}So the prediction was too sure of itself."
    return f"{said}So this does not contradict the predicted uncertainty."


def anchors_in_words(summary: Summary) -> str:
    """Say which of the verified judge no estimator."""
    n = sum(one.is_anchor for one in summary.verified)
    if not n:
        return ""
    be, their = ("is an anchor", "its") if n == 1 else ("are anchors", "their")
    return (
        f"{n:,} of the verified {be}: the generator learned from {their} accuracy, so estimators "
        "are judged without."
    )


def front_in_words(front: Front) -> str:
    """Say how much the Pareto front dominates."""
    return (
        f"{plural(len(front.numbers), 'trial')} on the Pareto front of "
        f"{', '.join(front.objectives)}; hypervolume {number(front.hypervolume, 3)}: the part of "
        "the box between the worst and the best value of each objective that the front dominates."
    )


def cost_in_words(costs: Costs) -> str:
    """Say what the proxy cost and what it saved."""
    if costs.proxy_seconds is None:
        return "No proxy score was computed, so there is no cost to compare."
    anchors, generator = (costs.stages.get(stage, 0.0) for stage in GENERATOR_STAGES)
    generator += anchors
    shortlist, fusion = (costs.stages.get(stage, 0.0) for stage in ("shortlist", "fusion"))
    n = costs.n_candidates
    spent = generator + n * costs.proxy_seconds + fusion + shortlist
    said = (
        f"Scoring {plural(n, 'architecture')} took {duration(spent)}, "
        f"{duration(generator)} of it to train the generator"
        + (f", its anchors included ({duration(anchors)})" if anchors else "")
        + (f", {duration(fusion)} for what else is in the fused score" if fusion else "")
        + (f", and {duration(shortlist)} for a shortlist's short trainings." if shortlist else ".")
    )
    if costs.full_seconds is None or costs.speed_up is None:
        return said
    full = duration(n * costs.full_seconds)
    if costs.break_even is None:
        return f"{said} A full training is as fast as a proxy score, so nothing was saved."
    pays = f"The generator pays from {plural(costs.break_even, 'candidate')} on."
    if costs.speed_up < 1:
        return f"{said} Training them all in full would have taken less, about {full}. {pays}"
    times = f"{factor(costs.speed_up)} times as long"
    return f"{said} Training them all in full would have taken about {full}, {times}. {pays}"


def meta_training_in_words(counts: Counts) -> str:
    """Say how long the generator was trained, and how often a meta-step was skipped."""
    if not counts.n_meta_steps:
        return "not recorded"
    said = plural(counts.n_meta_steps, "meta-step")
    skipped = f"{counts.n_skipped:,} skipped, as their loss or gradient was not finite"
    return f"{said} ({skipped})" if counts.n_skipped else said


def search_in_words(data: RunData, summary: Summary) -> str:
    """Say what was searched."""
    counts = summary.counts
    said = plural(counts.n_distinct, "distinct architecture")
    if counts.n_trials or not data.gaps:
        said = f"{plural(counts.n_trials, 'trial')}, {said}"
    others = (
        (counts.n_duplicates, "duplicates looked up"),
        (counts.n_pruned, "pruned"),
        (counts.n_gated, "gated"),
        (counts.n_infeasible, "outside of the limits"),
        (counts.n_failed, "failed"),
    )
    extra = ", ".join(f"{n:,} {name}" for n, name in others if n)
    sampler = data.config.get("search", {}).get("sampler")
    return said + (f" ({extra})" if extra else "") + (f"; sampler {sampler}" if sampler else "")
