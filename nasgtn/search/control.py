"""The control: architectures of the whole space at random, scored as the search scores."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from nasgtn.errors import NasgtnError
from nasgtn.evaluation import evaluate
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation, append_record, read_records
from nasgtn.search.candidates import comparable
from nasgtn.search.config import SearchConfig
from nasgtn.search.objective import Problem, is_within_limits, measure_costs, proxy_seed
from nasgtn.spaces import Architecture

STAGE = "control"


def control_group(
    problem: Problem,
    config: SearchConfig,
    n: int,
    *,
    searched: Sequence[Evaluation],
    exclude: Collection[str],
    progress: Progress = silent,
) -> list[Evaluation]:
    """Draw `n` architectures that the evaluator can score; fewer in a small space.

    What a sampler proposed lies where the scores are high: an order is judged fairly on a part of
    the whole space alone. A larger group, or one that more are excluded from, keeps what was drawn
    before as far as it can.

    Args:
        problem: Its records grow by those that nobody has scored so far.
        config: Its limits hold for the control too.
        n: How many.
        searched: What the search evaluated is not evaluated again.
        exclude: Ids of architectures that are no control: candidates and anchors.
        progress: Told after each evaluation.
    """
    known = {one.architecture_id: one for one in read_records(problem.records)}
    known |= {one.architecture_id: one for one in comparable(searched)}
    seen = set(exclude)
    drawn: list[Evaluation] = []
    for draw in range(20 * n + 100):
        if len(drawn) == n:
            break
        try:
            seed = derive_seed(problem.seed, "control", draw)
            architecture = problem.space.sample(seed, problem.task)
        except NasgtnError:  # it cannot be built: the next one, as in a search
            continue
        if architecture.id in seen:
            continue
        seen.add(architecture.id)
        if architecture.id not in known:
            evaluation = _evaluate(problem, config, architecture)
            if evaluation is None:
                continue
            append_record(problem.records, evaluation)
            known[architecture.id] = evaluation
        if known[architecture.id].score is not None:
            drawn.append(known[architecture.id])
            progress(STAGE, len(drawn), n)
    return drawn


def _evaluate(
    problem: Problem, config: SearchConfig, architecture: Architecture
) -> Evaluation | None:
    """Score an architecture; None where it is beyond a limit, or cannot be measured."""
    costs, failure = measure_costs(problem, architecture, config)
    if failure is not None or not is_within_limits(costs, config):
        return None
    evaluation = evaluate(problem.evaluator, architecture, seed=proxy_seed(problem.seed))
    return replace(evaluation, metrics={**evaluation.metrics, **costs})
