"""What an order is worth at each rung: an evaluation that looks several times on its way."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nasgtn.estimates import Estimate, Known, estimate
from nasgtn.records import Evaluation


def rung_estimates(
    by_name: Mapping[str, Sequence[Evaluation]], known: Mapping[str, Known], *, seed: int
) -> tuple[Estimate, ...]:
    """Judge every evaluator with a curve at each of its steps, on the same architectures.

    The seconds of an evaluation are shared out evenly among its steps.

    Args:
        by_name: Evaluations by evaluator.
        known: Architectures that may judge; of those without a whole curve nothing is said.
        seed: Of the bootstrap.
    """
    found: list[Estimate] = []
    for name, records in by_name.items():
        judged = [one for one in records if one.architecture_id in known and one.curve]
        last = max((one.curve[-1][0] for one in judged), default=0)
        whole = [one for one in judged if one.curve[-1][0] == last]
        steps = [step for step, _ in whole[0].curve] if whole else []
        if len(steps) > 1:
            found += [
                estimate(
                    f"{name} after {step}", [_cut(one, step) for one in whole], known, seed=seed
                )
                for step in steps
            ]
    return tuple(found)


def _cut(record: Evaluation, step: int) -> Evaluation:
    """Make the evaluation that would have ended after `step`."""
    seconds = record.seconds * step / record.curve[-1][0]
    return replace(record, score=dict(record.curve)[step], seconds=seconds, metrics={})
