"""What the dashboard says beside a study and its trials, as Markdown."""

from collections.abc import Mapping

from nasgtn.records import CALIBRATED, FUSED
from nasgtn.report import RunData, Summary, words
from nasgtn.report.summary import Verified


def note(data: RunData, summary: Summary) -> str:
    """Write what the run found as Markdown."""
    lines = [f"## {_code(data.name)}"]
    if summary.winner is not None:
        lines.append(f"Winner: {_code(summary.winner.description)}.")
    lines += [
        words.winner_in_words(summary, data.task, data.table),
        *filter(None, [words.table_in_words(data, summary)]),
        words.trust_in_words(summary.proxy),
        words.cost_in_words(summary.costs),
        _so_far(data),
    ]
    rows = summary.verified or summary.best_scores
    if rows:
        fused = fused_scores(data)
        table = [
            "| architecture | chosen as | proxy score | fused score | validation accuracy "
            "| test accuracy | parameters |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        table += [
            f"| {_code(row.description)} | {_role(row, summary)} | "
            f"{words.number(row.proxy_score, 3)} | "
            f"{words.number(fused.get(row.architecture_id), 3)} | "
            f"{words.percent(row.validation_accuracy)} | {words.percent(row.test_accuracy)} | "
            f"{words.count(row.n_parameters)} |"
            for row in rows
        ]
        lines.append("\n".join(table))
    lines.append(f"Run it again: {_code(data.command)}")
    return "\n\n".join(lines) + "\n"


def fused_scores(data: RunData) -> dict[str, float]:
    """Take the scores that chose the candidates, by architecture: calibrated, where they are."""
    names = {record.evaluator for record in data.baselines}
    wanted = CALIBRATED if CALIBRATED in names else FUSED
    return {
        record.architecture_id: record.score
        for record in data.baselines
        if record.evaluator == wanted and record.score is not None
    }


def trial_note(row: Verified, summary: Summary, fused: Mapping[str, float]) -> str:
    """Write what a verified architecture is, and its true accuracy beside its scores."""
    seeds = f" (mean of {row.n_seeds} trainings)" if row.n_seeds > 1 else ""
    text = (
        f"**{_role(row, summary).capitalize()}** {_code(row.description)}\n\n"
        f"Proxy score {words.number(row.proxy_score, 3)}, "
        f"fused score {words.number(fused.get(row.architecture_id), 3)}, "
        f"test accuracy {words.percent(row.test_accuracy)}{seeds}, "
        f"validation accuracy {words.percent(row.validation_accuracy)}, "
        f"{words.count(row.n_parameters)} parameters.\n"
    )
    if row.is_anchor:
        text += "\nAn anchor: the generator learned from it; it judges no estimator.\n"
    return text


def _so_far(data: RunData) -> str:
    trained = len({record.architecture_id for record in data.verification})
    return (
        f"So far: {words.plural(len(data.anchors), 'anchor')}, "
        f"{words.plural(len(data.meta_training), 'meta-step')}, "
        f"{words.plural(len(data.proxy), 'architecture')} by the proxy, "
        + (f"{words.plural(len(data.shortlist), 'short training')}, " if data.shortlist else "")
        + f"{trained} in full."
    )


def _role(row: Verified, summary: Summary) -> str:
    if summary.winner is not None and row.architecture_id == summary.winner.architecture_id:
        return "winner"
    return "control" if row.is_control else "candidate"


def _code(text: str) -> str:
    """Write a user's text so that Markdown reads nothing into it, not even a table's border."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "/")
    return f"`{plain}`" if plain else "unnamed"
