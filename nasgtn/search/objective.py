"""One trial of a search: an architecture is proposed, evaluated or looked up, and told."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from nasgtn.errors import NasgtnError
from nasgtn.evaluation import Evaluator, evaluate
from nasgtn.randomness import derive_seed
from nasgtn.records import Evaluation, append_record, read_records
from nasgtn.search.config import SearchConfig
from nasgtn.search.fused import FusedScore
from nasgtn.search.gate import Gate
from nasgtn.spaces import Architecture, SearchSpace, Trial
from nasgtn.spaces.cost import measure_cost
from nasgtn.task import Task

ARCHITECTURE_ID = "architecture_id"
DESCRIPTION = "description"
IS_DUPLICATE = "is_duplicate"
IS_PRUNED = "is_pruned"
IS_GATED = "is_gated"
SCORE = "score"
SECONDS = "seconds"
FAILURE = "failure"
INTERRUPTED = "interrupted"
COSTS = ("n_parameters", "n_multiply_adds", "latency_ms")
"""Names of user attributes of a trial, and of metrics in its record."""

METRIC_OF = dict(zip(("params", "flops", "latency"), COSTS, strict=True))
"""The metric that each objective other than accuracy minimises."""

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
SECONDS_BETWEEN_LOOKS = 0.05
DRAWS_OF_UNSEEN = 100


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a search works on. Everything is read, but `records`, which grows by a line a time."""

    space: SearchSpace
    task: Task
    evaluator: Evaluator
    records: Path
    """JSON Lines file of evaluations; what is in it is not evaluated again."""
    seed: int
    """Root seed of the run."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where latency is measured."""
    rungs: Sequence[int] = ()
    """Steps at which the evaluator tells its score, the last one of all at the end."""
    gate: Gate | None = None
    """What decides whether an architecture is worth an evaluation; None: each one is."""
    fused: FusedScore | None = None
    """Makes of an evaluation what the study is told; None: the evaluator's score."""


def run_trial(study: optuna.Study, problem: Problem, config: SearchConfig) -> bool:
    """Run one trial to its end, whatever the architecture does.

    The record is written before the trial is told, so that a killed search keeps it.

    Returns:
        Whether there is a new record; not for a duplicate, or one beyond a limit.
    """
    trial = study.ask()
    start = time.perf_counter()
    architecture, failure = _propose(problem, trial)
    if architecture is None:
        trial.set_user_attr(FAILURE, failure)
        study.tell(trial, state=TrialState.FAIL)
        return False
    trial.set_user_attr(ARCHITECTURE_ID, architecture.id)
    trial.set_user_attr(DESCRIPTION, architecture.description)
    known = _find_known(study, trial.number, architecture.id, problem.records)
    if known is not None:
        is_duplicate = _is_duplicate(study, trial.number, architecture.id)
        _tell(study, trial, known, problem, config, is_duplicate=is_duplicate)
        return False
    costs: dict[str, float] = {}
    if failure is None:
        costs, failure = measure_costs(problem, architecture, config)
    if failure is None and _set_constraints(trial, costs, config):
        _set_attributes(trial, {**costs, IS_DUPLICATE: False})
        study.tell(trial, state=TrialState.PRUNED)
        return False
    seconds = time.perf_counter() - start
    if failure is None and problem.gate is not None and problem.gate.stops(architecture):
        # Its training-free scores took their time in a record of their own.
        failure = f"gated: training-free scores in the lowest {problem.gate.share:.0%}"
        evaluation = _failed(problem, architecture, failure, seconds)
        evaluation = replace(evaluation, metrics={IS_GATED: 1.0, **costs})
    elif failure is None:
        evaluation = _evaluate(problem, architecture, trial, config)
        evaluation = replace(evaluation, metrics={**evaluation.metrics, **costs})
    else:
        evaluation = _failed(problem, architecture, failure, seconds)
    append_record(problem.records, evaluation)
    _tell(study, trial, evaluation, problem, config, is_duplicate=False)
    return True


def queue_unseen(study: optuna.Study, problem: Problem) -> bool:
    """Queue a random architecture that no trial has chosen so far, to be proposed next.

    Returns:
        Whether one was found; if not, the space is searched through, as good as certainly.
    """
    trials = study.get_trials(deepcopy=False)
    seen = {trial.user_attrs.get(ARCHITECTURE_ID) for trial in trials}
    seen |= {record.architecture_id for record in read_records(problem.records)}
    for draw in range(DRAWS_OF_UNSEEN):
        seed = derive_seed(problem.seed, "unseen", len(trials), draw)
        try:
            architecture = problem.space.sample(seed, problem.task)
        except NasgtnError:
            continue
        if architecture.id not in seen:
            study.enqueue_trial(dict(architecture.choices))
            return True
    return False


def proxy_seed(root: int) -> int:
    """Derive the seed with which every architecture of a run is evaluated by the proxy."""
    return derive_seed(root, "proxy")


class _Pruning:
    """Tells Optuna the scores on the way, and stops where its pruner says so.

    Never at the last rung: then there is nothing left to save.
    """

    def __init__(self, trial: optuna.Trial, rungs: Sequence[int]) -> None:
        self._trial = trial
        self._last_step = max(rungs, default=0)
        self.is_pruned = False

    def __call__(self, step: int, score: float) -> bool:
        self._trial.report(score, step)
        self.is_pruned = step < self._last_step and self._trial.should_prune()
        return not self.is_pruned


def _propose(problem: Problem, trial: optuna.Trial) -> tuple[Architecture | None, str | None]:
    """Ask the space; an architecture that cannot be built still has a name, mostly.

    Optuna writes `suggest_categorical` as overloads, in which mypy does not see the protocol.
    """
    try:
        return problem.space.propose(cast(Trial, trial), problem.task), None
    except NasgtnError as error:
        failure = str(error)
    try:
        return problem.space.architecture(trial.params), failure
    except NasgtnError:
        return None, failure


def _find_known(
    study: optuna.Study, number: int, architecture_id: str, records: Path
) -> Evaluation | None:
    """Look an architecture up; where an earlier trial is evaluating it now, wait for that.

    An earlier trial that has not said yet what it proposes may be about to say this one.
    """
    while True:
        is_in_work = any(
            other.number < number
            and other.user_attrs.get(ARCHITECTURE_ID, architecture_id) == architecture_id
            for other in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        )
        for evaluation in read_records(records):
            if evaluation.architecture_id == architecture_id:
                return evaluation
        if not is_in_work:
            return None
        time.sleep(SECONDS_BETWEEN_LOOKS)


def told_trials(study: optuna.Study) -> list[FrozenTrial]:
    """List the trials that came to their end; not those that a killed search left behind."""
    trials = study.get_trials(deepcopy=False, states=FINISHED)
    return [trial for trial in trials if INTERRUPTED not in trial.user_attrs]


def _is_duplicate(study: optuna.Study, number: int, architecture_id: str) -> bool:
    """Whether another trial stands for this architecture: told already, or about to be."""
    return any(
        other.user_attrs.get(ARCHITECTURE_ID) == architecture_id
        and INTERRUPTED not in other.user_attrs
        and (
            other.number < number
            if other.state == TrialState.RUNNING
            else other.user_attrs.get(IS_DUPLICATE) is False
        )
        for other in study.get_trials(deepcopy=False)
    )


def measure_costs(
    problem: Problem, architecture: Architecture, config: SearchConfig
) -> tuple[dict[str, float], str | None]:
    """Measure what the network costs; or say why that cannot be done."""
    try:
        network = problem.space.network(architecture.choices, problem.task, seed=0)
        device = problem.device if config.measures_latency else None
        cost = measure_cost(network, problem.task, latency_device=device)
    except Exception as error:  # noqa: BLE001 - a user's network may raise anything
        return {}, f"{type(error).__name__}: {error}"
    values = {name: getattr(cost, name) for name in COSTS}
    return {name: float(value) for name, value in values.items() if value is not None}, None


def is_within_limits(costs: Mapping[str, float], config: SearchConfig) -> bool:
    """Whether a network of these costs may be evaluated."""
    return all(limit is None or costs[name] <= limit for name, limit in _limits(config).items())


def _set_constraints(
    trial: optuna.Trial, costs: Mapping[str, float], config: SearchConfig
) -> bool:
    """Tell Optuna how far each limit is exceeded, as a fraction; return whether any is."""
    is_infeasible = False
    for name in COSTS:
        limit = _limits(config)[name]
        if limit is not None:
            excess = costs[name] / limit - 1
            trial.set_constraint(name, excess)
            is_infeasible |= excess > 0
    return is_infeasible


def _limits(config: SearchConfig) -> dict[str, float | None]:
    limits = (config.max_params, config.max_flops, config.max_latency_ms)
    return dict(zip(COSTS, limits, strict=True))


def _evaluate(
    problem: Problem,
    architecture: Architecture,
    trial: optuna.Trial,
    config: SearchConfig,
) -> Evaluation:
    seed = proxy_seed(problem.seed)
    if config.prune:
        pruning = _Pruning(trial, problem.rungs)
        evaluation = evaluate(problem.evaluator, architecture, seed=seed, report=pruning)
        if pruning.is_pruned:
            return replace(evaluation, metrics={**evaluation.metrics, IS_PRUNED: 1.0})
        return evaluation
    evaluation = evaluate(problem.evaluator, architecture, seed=seed)
    if len(config.objectives) == 1:  # Optuna takes intermediate values of one objective only
        for step, score in evaluation.curve:
            trial.report(score, step)
    return evaluation


def _failed(
    problem: Problem, architecture: Architecture, failure: str, seconds: float
) -> Evaluation:
    return Evaluation(
        evaluator=problem.evaluator.name,
        architecture_id=architecture.id,
        choices=architecture.choices,
        seed=proxy_seed(problem.seed),
        score=None,
        seconds=seconds,
        failure=failure,
    )


def _tell(
    study: optuna.Study,
    trial: optuna.Trial,
    evaluation: Evaluation,
    problem: Problem,
    config: SearchConfig,
    *,
    is_duplicate: bool,
) -> None:
    costs = {name: evaluation.metrics[name] for name in COSTS if name in evaluation.metrics}
    known = {SCORE: evaluation.score, FAILURE: evaluation.failure, SECONDS: evaluation.seconds}
    told = {name: value for name, value in known.items() if value is not None}
    _set_attributes(trial, {**costs, **told, IS_DUPLICATE: is_duplicate})
    if evaluation.metrics.get(IS_GATED):
        trial.set_user_attr(IS_GATED, True)
        study.tell(trial, state=TrialState.PRUNED)
    elif evaluation.score is None:
        study.tell(trial, state=TrialState.FAIL)
    elif evaluation.metrics.get(IS_PRUNED):
        study.tell(trial, state=TrialState.PRUNED)
    else:
        if problem.fused is not None:
            architecture = problem.space.architecture(evaluation.choices)
            evaluation = replace(evaluation, score=problem.fused.of(architecture, evaluation))
        study.tell(trial, values_of(evaluation, config.objectives))


def values_of(evaluation: Evaluation, objectives: tuple[str, ...]) -> list[float]:
    """Take the value of each objective from a successful evaluation."""
    assert evaluation.score is not None
    return [
        evaluation.score if name == "accuracy" else evaluation.metrics[METRIC_OF[name]]
        for name in objectives
    ]


def _set_attributes(trial: optuna.Trial, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        trial.set_user_attr(name, value)
