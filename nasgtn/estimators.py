"""What is compared: estimators of one evaluator or of several settings, and fusions of several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from nasgtn.data import Splits
from nasgtn.errors import UnknownNameError
from nasgtn.evaluation import Evaluator, Named
from nasgtn.evaluation.baselines import ZERO_COST
from nasgtn.evaluation.proxy import ProxyConfig, RealBudget, RealSteps
from nasgtn.gtn import ADAM, CHOICES, MUON, GtnConfig
from nasgtn.records import CALIBRATED, ENSEMBLE, FUSED, Evaluation
from nasgtn.spaces import SearchSpace

GENERATED = ("gtn", ENSEMBLE, FUSED, CALIBRATED)
"""Names of the estimators that a trained generator is part of."""
ESTIMATORS = (*GENERATED, "real:N", "real:N@RATE", "real:N/B", "real:N/B@RATE", *ZERO_COST)
"""Names of the estimators; N is a number of steps on real batches, B of different ones, which
come in turn, RATE their learning rate. Without RATE the best of `RATES` counts."""
RATES = (0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.07, 0.1)
"""Learning rates that `real:N` tries: the generator learned its own, and an opponent of one fixed
rate is judged on how well that fits. They surround the optimiser's default of 0.05, and both ends
ordered worse than the middle on digits (records in results/benchmarks/digits_convnet/)."""

TUNED_OPTIMISERS = (MUON, ADAM)
"""Those that `real:N` tries where the anchors choose the generator's, each at all `RATES`."""
TUNED_METRICS = ("soft_accuracy", "accuracy", "loss", "training_loss", "late_training_loss")
"""Scores that `real:N` tries where `proxy.metric` sets none: the generator learns its own."""


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """One row of a comparison: an evaluator, or one with several settings, of which one counts."""

    name: str
    settings: Mapping[str | None, Evaluator]
    """By what tells them apart; None where there is one alone. Of several the one counts that
    agrees best with the truth: judged in its favour, on the architectures that are compared."""
    metrics: Sequence[str] = ()
    """Numbers in its records that may be the score, each a setting too; none: the score alone."""
    preparation_seconds: float = 0.0
    """Spent once, before the first architecture."""

    @classmethod
    def of(cls, evaluator: Evaluator, *, preparation_seconds: float = 0.0) -> "Estimator":
        """Take an evaluator as it is."""
        return cls(
            name=evaluator.name,
            settings={None: evaluator},
            preparation_seconds=preparation_seconds,
        )


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """One row of a comparison whose scores are made of those of others (`nasgtn.fusion`)."""

    name: str
    parts: Mapping[str, Evaluator]
    """By the name that `nasgtn.fusion.PARTS` has its weight under; what follows a comma tells
    several of them apart."""
    anchors: Sequence[Evaluation] = ()
    """Labelled architectures, none of which is compared; without them summed log-ranks are
    taken."""
    preparation_seconds: float = 0.0


def make_estimator(
    name: str,
    space: SearchSpace,
    splits: Splits,
    config: ProxyConfig,
    *,
    gtn: GtnConfig,
) -> Estimator:
    """Make an estimator that needs no generator from its name.

    Args:
        name: One of `ESTIMATORS`, but none of `GENERATED`.
        space: Where the architectures come from.
        splits: Its test part is never read.
        config: How the proxy scores; `real:N` follows it.
        gtn: Its batch size, size of the images and options of the space hold for `real:N` too, and
            its optimiser; where anchors choose that, the better one by the truth.

    Raises:
        UnknownNameError: There is no such estimator.
        InvalidConfigError: N, B or RATE is no positive number, or B above N.
    """
    task = splits.task
    if name.startswith("real:"):
        found = RealBudget.read(name, gtn.curriculum.batch_size)
        rate = found.learning_rate
        space = space.with_options(space.options_of_proxy(gtn.space_options))
        small = splits.shrunk(gtn.image_size)
        settings: dict[str | None, Evaluator] = {}
        is_chosen = gtn.inner_loop in [one.inner_loop for one in CHOICES]
        is_open = rate is None and gtn.choose_optimiser and is_chosen
        rules = TUNED_OPTIMISERS if is_open else (gtn.inner_loop,)
        for rule, one in product(rules, RATES if rate is None else (rate,)):
            steps = RealSteps(space, small, found._replace(learning_rate=one), config, rule)
            tag = "" if rule == rules[0] else f", {rule.optimiser}"
            settings[f"learning rate {one:g}{tag}" if rate is None else None] = Named(
                f"{steps.name}{tag}", steps
            )
        return Estimator(
            name=name,
            settings=settings,
            metrics=() if config.metric else TUNED_METRICS,
        )
    if name not in ZERO_COST:
        raise UnknownNameError.of("estimator", name, ESTIMATORS)
    return Estimator.of(ZERO_COST[name](space, task, splits.train))
