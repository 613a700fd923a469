"""What a report is made from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasgtn.findings import Audit
from nasgtn.records import Evaluation
from nasgtn.report.classes import Confusion


@dataclass(frozen=True, kw_only=True)
class RunData:
    """Everything a report shows, as plain data."""

    name: str
    """Of the run folder."""
    command: str
    """That reruns it."""
    config: Mapping[str, Any]  # nested tables of TOML values
    environment: Mapping[str, str]
    task: Mapping[str, Any]  # name, input_shape, class_names, n_train, n_validation, n_test
    space: Mapping[str, Any]  # name, summary
    proxy: Sequence[Evaluation]
    """One a distinct architecture, in the order of their evaluation, failures included."""
    descriptions: Mapping[str, str]
    """Of each architecture, by id."""
    history: Sequence[Mapping[str, Any]]  # number, architecture_id, state, score, is_duplicate
    """One a trial; `state` is complete, pruned, gated, failed or infeasible."""
    verification: Sequence[Evaluation]
    """By the ground truth: the score is the test accuracy; metrics `is_control` (0 or 1),
    `validation_accuracy`, `n_parameters`, `n_multiply_adds`."""
    baselines: Sequence[Evaluation]
    """Baselines, and the proxy, on the verified architectures."""
    multiply_adds: Mapping[str, float] = field(default_factory=dict)
    """What one of these evaluations costs, or a full training, a mean by evaluator; of those that
    were counted for all verified architectures."""
    importances: Mapping[str, float]
    meta_training: Sequence[Mapping[str, Any]]  # meta_step, meta_loss, accuracy; None if skipped
    synthetic: tuple[NDArray[np.uint8], NDArray[np.integer[Any]]] | None
    """Images (steps, images, height, width, channels) and labels (steps, images)."""
    layers: Sequence[Mapping[str, Any]]  # name, kind, output_shape, n_parameters, inputs
    """Of the winner's network."""
    costs: Mapping[str, float]
    """Seconds of the stages: anchors, meta_training, search, control, shortlist, verification,
    fusion (what is in the fused score beside the search's proxy scores), baselines."""
    anchors: Sequence[Evaluation] = ()
    """Trained before the generator."""
    learned_from: Collection[str] = ()
    """Ids of the architectures that the generator learned from: anchors, also another run's."""
    shortlist: Sequence[Evaluation] = ()
    """By short trainings: the score is the validation accuracy."""
    control: Sequence[Evaluation] = ()
    """By the proxy: architectures of the control that the search did not evaluate."""
    learning_rates: Sequence[float] = ()
    """Of the inner loop, one a step, as learned."""
    momenta: Sequence[float] = ()
    protocol: str = ""
    """How learners are trained and scored, as set or as the anchors chose: `adam at 0.02 ...`."""
    audit: Audit | None = None
    """Of the synthetic data, where it was made."""
    gaps: Sequence[str] = ()
    """What could not be read, in words; the report shows the rest."""
    latency_ms: float | None = None
    """Of the winner for one image, where it was trained."""
    confusion: Confusion = ()
    """Of the winner on the test images."""

    @property
    def table(self) -> str | None:
        """Where the accuracies were looked up; None: networks were trained for them."""
        table = self.config.get("truth", {}).get("table")
        return None if table is None else str(table)

    @property
    def shortlist_training(self) -> str | None:
        """How the shortlist was trained that the candidates were chosen from; None: there is none.

        All of it may be anchors.
        """
        config = self.config.get("verification", {})
        if not config.get("shortlist"):
            return None
        if table := self.config.get("truth", {}).get("short_table"):
            return f"shorter trainings, looked up in the table {table}"
        if steps := config.get("shortlist_steps"):
            return f"trainings of {steps} steps"
        return "trainings as short as the anchors'"

    @property
    def searched_score(self) -> str:
        """What Optuna was told of each architecture."""
        score = self.config.get("search", {}).get("score", "gtn")
        return "proxy score" if score == "gtn" else f"{score} score"

    @property
    def anchor_ids(self) -> frozenset[str]:
        """Ids of all anchors: they judge no estimator."""
        return frozenset(self.learned_from).union(one.architecture_id for one in self.anchors)

    @property
    def has_short_anchors(self) -> bool:
        """Whether the anchors' accuracies are those of short trainings, no true ones."""
        return bool(self.config.get("anchors", {}).get("max_steps"))
