"""Fusion: several estimators' scores of the same architectures become one.

Without labels by summed log-ranks; with labels (true accuracies of a few) by a small regularised
model, chosen by cross-validation, which also says how sure it is. Whatever comes in is reduced to
ranks first: nothing changes where a score is replaced by a monotone function of itself.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import RepeatedKFold

Floats = NDArray[np.float64]

MIN_LABELS = 8
"""Fewer labelled architectures calibrate nothing: five folds would hold one or two each."""
N_FOLDS, N_REPEATS = 5, 4
PENALTIES = np.logspace(-1, 3, 9)
"""Of the ridge; the features have unit variance."""


@runtime_checkable
class Model(Protocol):
    """What scikit-learn's regressors have in common."""

    def fit(self, features: Floats, targets: Floats) -> object: ...

    def predict(self, features: Floats) -> Floats: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """What a calibrated model expects of each architecture, in normal scores of its rank.

    0 is the median of the labelled architectures, 1 is better than 84 % of them.
    """

    mean: Floats
    std: Floats
    """One standard deviation of the label that a training would give; above 0."""
    model: str
    """The one that was chosen."""
    errors: dict[str, float]
    """Root mean squared error of each model in cross-validation; 1 is guessing the mean."""


def summed_log_ranks(features: ArrayLike) -> Floats:
    """Sum log(rank / n) over the features, rank n for the best; higher is better.

    Punishes what is bad by any of the features (AZ-NAS, arXiv 2403.19232, equation 8).

    Args:
        features: (archs, features), higher is better; NaN, for a failed one, ranks lowest.
    """
    table = _table(features)
    ranks = np.column_stack([rankdata(column) for column in table.T])
    total: Floats = np.log(ranks / len(table)).sum(axis=1)
    return total


def normal_scores(values: ArrayLike) -> Floats:
    """Replace numbers by the quantiles of a normal distribution at their ranks (Blom, 1958)."""
    ranks = rankdata(np.asarray(values, dtype=np.float64))
    scores: Floats = norm.ppf((ranks - 0.375) / (len(ranks) + 0.25))
    return scores


def calibrate(features: ArrayLike, labels: ArrayLike, *, seed: int) -> Prediction:
    """Learn from the labelled architectures how their features go with the truth.

    Args:
        features: (archs, features), higher is better, of all architectures; NaN ranks lowest.
        labels: (archs), true accuracies, higher is better; NaN where there is none.
        seed: Decides the folds of the cross-validation and the trees.

    Returns:
        A prediction for every architecture, the labelled ones included.

    Raises:
        ValueError: Fewer than `MIN_LABELS` labels.
    """
    table, truth = _table(features), np.asarray(labels, dtype=np.float64)
    known = ~np.isnan(truth)
    if known.sum() < MIN_LABELS:
        raise ValueError(f"at least {MIN_LABELS} labels are needed, got {known.sum()}")
    inputs = _inputs(table)
    x, y = inputs[known], normal_scores(truth[known])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a bound of the kernel is reached
        left_out = {name: _left_out(make, x, y, seed) for name, make in MODELS.items()}
        errors = {name: float(np.sqrt(np.mean(error**2))) for name, error in left_out.items()}
        best = min(errors, key=lambda name: errors[name])
        mean, spread = _predict(MODELS[best](seed), x, y, inputs)
    scale = errors[best] / max(float(np.sqrt(np.mean(spread[known] ** 2))), 1e-9)
    return Prediction(mean=mean, std=spread * scale, model=best, errors=errors)


def expected_improvement(prediction: Prediction, best: float) -> Floats:
    """Expected excess over `best`, a normal score (Jones et al., 1998, equation 15)."""
    gain = prediction.mean - best
    z = gain / prediction.std
    expected: Floats = gain * norm.cdf(z) + prediction.std * norm.pdf(z)
    return expected


def upper_confidence_bound(prediction: Prediction, width: float = 1.0) -> Floats:
    """Mean plus `width` standard deviations (Srinivas et al., ICML 2010)."""
    bound: Floats = prediction.mean + width * prediction.std
    return bound


def _ridge(seed: int) -> Model:
    model: Model = RidgeCV(alphas=PENALTIES)
    return model


def _gaussian_process(seed: int) -> Model:
    kernel = ConstantKernel(0.1) * DotProduct(1.0) + ConstantKernel(0.5) * RBF(
        3.0, length_scale_bounds=(1.0, 30.0)
    )
    kernel += WhiteKernel(0.2, noise_level_bounds=(0.01, 2.0))
    model: Model = GaussianProcessRegressor(kernel, random_state=seed)
    return model


def _boosted_trees(seed: int) -> Model:
    model: Model = GradientBoostingRegressor(
        n_estimators=60, learning_rate=0.08, max_depth=2, subsample=0.7, random_state=seed
    )
    return model


MODELS: dict[str, Callable[[int], Model]] = {
    "ridge": _ridge,
    "gaussian process": _gaussian_process,
    "boosted trees": _boosted_trees,
}


def _predict(model: Model, x: Floats, y: Floats, inputs: Floats) -> tuple[Floats, Floats]:
    """Fit and predict; the spread is relative: the same for all where a model gives none."""
    model.fit(x, y)
    if isinstance(model, GaussianProcessRegressor):
        mean, spread = model.predict(inputs, return_std=True)
        return mean, np.maximum(spread, 1e-6)
    return model.predict(inputs), np.ones(len(inputs))


def _left_out(make: Callable[[int], Model], x: Floats, y: Floats, seed: int) -> Floats:
    """Errors of predictions for labels that the model has not seen."""
    errors: list[Floats] = []
    folds = RepeatedKFold(n_splits=N_FOLDS, n_repeats=N_REPEATS, random_state=seed)
    for fitted, tested in folds.split(x):
        model = make(seed)
        model.fit(x[fitted], y[fitted])
        errors.append(model.predict(x[tested]) - y[tested])
    return np.concatenate(errors)


def _inputs(table: Floats) -> Floats:
    """Normal scores of every feature, and of their summed log-ranks: a first guess."""
    columns: Sequence[Floats] = [*table.T, summed_log_ranks(table)]
    return np.column_stack([normal_scores(column) for column in columns])


def _table(features: ArrayLike) -> Floats:
    table = np.asarray(features, dtype=np.float64)
    assert table.ndim == 2, f"features must be (archs, features), got shape {table.shape}"
    return np.where(np.isnan(table), -np.inf, table)
