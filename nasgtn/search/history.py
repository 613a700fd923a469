"""What a study tells afterwards, and what verification adds to it."""

import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from nasgtn.records import Evaluation
from nasgtn.search.objective import (
    ARCHITECTURE_ID,
    DESCRIPTION,
    FAILURE,
    IS_DUPLICATE,
    IS_GATED,
    SCORE,
    SECONDS,
    told_trials,
)
from nasgtn.search.study import (
    VERIFICATION_STUDY,
    StudyPlace,
    load_proxy_study,
    opened,
)
from nasgtn.spaces import SearchSpace

MIN_TRIALS_FOR_IMPORTANCE = 10
"""Below this, PED-ANOVA compares the best tenth, a single trial, with the rest."""


def history(place: StudyPlace) -> list[dict[str, Any]]:
    """List the trials of a search that came to their end, in order.

    Returns:
        One JSON-able row a trial: number, architecture_id, description, state (complete, pruned,
        gated, failed or infeasible), score, values of the objectives, is_duplicate, failure.
    """
    with opened(place, to_read=True) as storage:
        return [_row(trial) for trial in told_trials(load_proxy_study(storage, place))]


def importances(place: StudyPlace) -> dict[str, float]:
    """Say how much each choice mattered for being among the best (PED-ANOVA, sums to one).

    Empty where there are too few trials to say.
    """
    with opened(place, to_read=True) as storage:
        study = load_proxy_study(storage, place)
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < MIN_TRIALS_FOR_IMPORTANCE:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where all importances are equal
            return dict(optuna.importance.get_param_importances(study))


def add_verified(
    place: StudyPlace,
    verified: Sequence[Evaluation],
    proxy: Sequence[Evaluation],
    space: SearchSpace,
) -> None:
    """Write verified architectures into a study of their own, each with its proxy score.

    Finished trials cannot be changed, so the search's own study stays as it is. What is there
    already is not added again.
    """
    scores = {evaluation.architecture_id: evaluation.score for evaluation in proxy}
    with opened(place) as storage:
        templates = _templates(load_proxy_study(storage, place))
        study = _verification_study(storage, place)
        there = {_key(trial.user_attrs) for trial in study.get_trials(deepcopy=False)}
        for evaluation in verified:
            attributes: dict[str, Any] = {
                ARCHITECTURE_ID: evaluation.architecture_id,
                DESCRIPTION: space.architecture(evaluation.choices).description,
                "seed": evaluation.seed,
                "proxy_score": scores.get(evaluation.architecture_id),
                SECONDS: evaluation.seconds,
                **evaluation.metrics,
            }
            if _key(attributes) in there:
                continue
            if evaluation.failure is not None:
                attributes[FAILURE] = evaluation.failure
            template = templates.get(evaluation.architecture_id)
            study.add_trial(
                create_trial(
                    state=TrialState.FAIL if evaluation.score is None else TrialState.COMPLETE,
                    value=evaluation.score,
                    params=template.params if template else {},
                    distributions=template.distributions if template else {},
                    user_attrs=attributes,
                    intermediate_values=dict(evaluation.curve),
                )
            )


def _verification_study(storage: BaseStorage, place: StudyPlace) -> optuna.Study:
    return optuna.create_study(
        storage=storage,
        study_name=place.prefix + VERIFICATION_STUDY,
        direction="maximize",
        load_if_exists=True,
    )


def _templates(study: optuna.Study) -> dict[str, FrozenTrial]:
    """Find a trial that chose each architecture, for its choices and what it chose from."""
    trials: dict[str, FrozenTrial] = {}
    for trial in told_trials(study):
        trials.setdefault(trial.user_attrs.get(ARCHITECTURE_ID, ""), trial)
    return trials


def _key(attributes: dict[str, Any]) -> tuple[object, object]:
    return attributes.get(ARCHITECTURE_ID), attributes.get("seed")


def _row(trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    return {
        "number": trial.number,
        "architecture_id": attributes.get(ARCHITECTURE_ID),
        "description": attributes.get(DESCRIPTION),
        "state": _state(trial),
        "score": attributes.get(SCORE),
        "values": list(trial.values) if trial.state == TrialState.COMPLETE else None,
        "is_duplicate": bool(attributes.get(IS_DUPLICATE, False)),
        "failure": attributes.get(FAILURE),
    }


def _state(trial: FrozenTrial) -> str:
    if any(excess > 0 for excess in trial.constraints.values()):
        return "infeasible"
    if trial.user_attrs.get(IS_GATED):
        return "gated"
    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    return states.get(trial.state, "failed")
