"""Fusion: several estimators' scores of the same architectures become one.

Without labels by summed log-ranks; with labels (true accuracies of a few) by a small regularised
model of what that sum gets wrong, chosen by cross-validation, which also says how sure it is.
Whatever comes in is reduced to ranks first: nothing changes where a score is replaced by a
monotone function of itself. (Within a `Reference` group ranks are interpolated.)
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import RepeatedKFold

Floats = NDArray[np.float64]

PARTS = {
    "gtn": 2.0,
    **dict.fromkeys(("flops", "jacob_cov", "synflow", "naswot"), 1.0),
    **dict.fromkeys(("params", "grad_norm"), 0.0),
}
"""Evaluators that the fused score is made of, and how often each counts in the sum (chosen on
development networks of two spaces); what counts nothing is for the calibration to use."""
PROXY_ALONE = {**dict.fromkeys(PARTS, 0.0), "gtn": 1.0}
"""Another "sum", for spaces whose untrained networks say little; a calibration's labels choose
between the two."""
MIN_LABELS = 8
"""Fewer labelled architectures calibrate nothing: five folds would hold one or two each."""
N_FOLDS, N_REPEATS = 5, 2
STD = "std"
"""Metric of a calibrated score in the records: its `Prediction.std`."""
PENALTIES = np.logspace(-1, 3, 9)
"""Of the ridge; the features have unit variance."""


def parts_of(*, with_gtn: bool, is_calibrated: bool) -> tuple[str, ...]:
    """Name the evaluators that a fused score reads; without labels some are not."""
    return tuple(
        part
        for part, weight in PARTS.items()
        if (with_gtn or part != "gtn") and (is_calibrated or weight)
    )


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


def summed_log_ranks(features: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Sum log(rank / n) over the features, rank n for the best; higher is better.

    Punishes what is bad by any of the features (AZ-NAS, arXiv 2403.19232, equation 8).

    Args:
        features: (archs, features), higher is better; NaN, for a failed one, ranks lowest.
        weights: Of each feature; None: 1.
    """
    table = _table(features)
    ranks = np.column_stack([rankdata(column) for column in table.T])
    factors = np.ones(table.shape[1]) if weights is None else np.asarray(weights, np.float64)
    total: Floats = np.log(ranks / len(table)) @ factors
    return total


@dataclass(frozen=True, eq=False, kw_only=True)
class Reference:
    """A group of architectures, in which any other one has log-ranks of its own.

    So a search is told the summed log-ranks of one architecture after another: among all that are
    known by then they would favour those that come early.
    """

    scores: Mapping[str, Floats]
    """By evaluator, those of the group; NaN where it has none."""
    weights: Mapping[str, float]
    """Of the log-ranks by each evaluator; 0: it is not read."""

    def summed_log_ranks(self, scores: Mapping[str, float | None]) -> float:
        """Sum the log-ranks that an architecture of these scores has in the group."""
        return sum(
            weight * math.log(_share_below(scores.get(part), self.scores[part]))
            for part, weight in self.weights.items()
            if weight
        )


def _share_below(score: float | None, group: Floats) -> float:
    """Say which share of a group lies below a score, in (0, 1); the lowest share for None or NaN.

    Between the ranks of the group it is interpolated linearly; beyond its ends the order is kept
    by an exponential on the scale of that half of the group. Both depend on more than ranks.
    """
    known = np.sort(group[np.isfinite(group)])
    step = 1 / (len(known) + 1)
    if score is None or not len(known) or not math.isfinite(score):
        return step / 2
    low, middle, high = known[0], float(np.median(known)), known[-1]
    if score < low:
        return step / 2 * (1 + math.exp((score - low) / ((middle - low) or (high - low) or 1)))
    if score > high:
        return 1 - step * math.exp((high - score) / ((high - middle) or (high - low) or 1))
    return float(np.interp(score, known, step * np.arange(1, len(known) + 1)))


def normal_scores(values: ArrayLike) -> Floats:
    """Replace numbers by the quantiles of a normal distribution at their ranks (Blom, 1958)."""
    ranks = rankdata(np.asarray(values, dtype=np.float64))
    scores: Floats = norm.ppf((ranks - 0.375) / (len(ranks) + 0.25))
    return scores


def weightings(parts: Sequence[str]) -> list[list[float]]:
    """Give these parts their weights in each of the sums that a calibration chooses from."""
    first, other = ([weights[part] for part in parts] for weights in (PARTS, PROXY_ALONE))
    return [first, other] if any(other) else [first]


def calibrate(
    features: ArrayLike, labels: ArrayLike, *, seed: int, weights: ArrayLike | None = None
) -> Prediction:
    """Learn from the labelled architectures what the summed log-ranks get wrong.

    Every model adds a correction to the line that fits the sum. The one of least error in
    cross-validation is taken; the line alone where no other is better by a standard error. So is
    the sum itself, where there are several: the first one unless another is better.

    Args:
        features: (archs, features), higher is better, of all architectures; NaN ranks lowest.
        labels: (archs), true accuracies, higher is better; NaN where there is none.
        seed: Decides the folds of the cross-validation and the trees.
        weights: Of each feature in the sum, or one row of them a sum; None: 1.

    Returns:
        A prediction for every architecture, the labelled ones included.

    Raises:
        ValueError: Fewer than `MIN_LABELS` labels.
    """
    table, truth = _table(features), np.asarray(labels, dtype=np.float64)
    known = ~np.isnan(truth)
    if known.sum() < MIN_LABELS:
        raise ValueError(f"at least {MIN_LABELS} labels are needed, got {known.sum()}")
    rows = np.ones((1, table.shape[1])) if weights is None else np.atleast_2d(weights)
    sums = {str(number): _inputs(table, row) for number, row in enumerate(rows)}
    y = normal_scores(truth[known])
    inputs = sums[_best_line({name: inputs[known] for name, inputs in sums.items()}, y, seed)]
    x = inputs[known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a bound of the kernel is reached
        squares = {name: _left_out(make, x, y, seed) for name, make in MODELS.items()}
        best = _choose(squares, LINE)
        mean, spread = _predict(MODELS[best](seed), x, y, inputs)
    errors = {name: float(np.sqrt(found.mean())) for name, found in squares.items()}
    scale = errors[best] / max(float(np.sqrt(np.mean(spread[known] ** 2))), 1e-9)
    return Prediction(mean=mean, std=spread * scale, model=best, errors=errors)


def choose_sum(features: ArrayLike, labels: ArrayLike, weights: ArrayLike, *, seed: int) -> int:
    """Say which sum of log-ranks foretells labels best: the first one unless another is better.

    Args:
        features: (archs, features), higher is better, of labelled architectures; NaN ranks lowest.
        labels: (archs), true accuracies.
        weights: (sums, features), of the features in each sum.
        seed: Decides the folds of the cross-validation.
    """
    table = _table(features)
    rows = np.asarray(weights, dtype=np.float64)
    sums = {str(number): _inputs(table, row) for number, row in enumerate(rows)}
    return int(_best_line(sums, normal_scores(labels), seed))


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


class _Line:
    """No correction."""

    def fit(self, features: Floats, targets: Floats) -> object:
        return self

    def predict(self, features: Floats) -> Floats:
        return np.zeros(len(features))


def _line(seed: int) -> Model:
    return _Line()


def _ridge(seed: int) -> Model:
    model: Model = RidgeCV(alphas=PENALTIES)
    return model


def _gaussian_process(seed: int) -> Model:
    kernel = ConstantKernel(0.3) * RBF(4.0, length_scale_bounds=(1.0, 30.0))
    kernel += WhiteKernel(0.3, noise_level_bounds=(0.01, 2.0))
    model: Model = GaussianProcessRegressor(kernel, random_state=seed)
    return model


def _boosted_trees(seed: int) -> Model:
    model: Model = GradientBoostingRegressor(
        n_estimators=60, learning_rate=0.08, max_depth=2, subsample=0.7, random_state=seed
    )
    return model


LINE = "summed log-ranks"
MODELS: dict[str, Callable[[int], Model]] = {
    LINE: _line,
    "ridge": _ridge,
    "gaussian process": _gaussian_process,
    "boosted trees": _boosted_trees,
}


def _best_line(sums: Mapping[str, Floats], y: Floats, seed: int) -> str:
    lines = {name: _left_out(_line, inputs, y, seed) for name, inputs in sums.items()}
    return _choose(lines, "0")


def _choose(squares: dict[str, Floats], usual: str) -> str:
    """Take what has the least squared error, if it beats the usual one by a standard error."""
    best = min(squares, key=lambda name: float(squares[name].mean()))
    gains = squares[usual] - squares[best]
    return best if gains.mean() > gains.std(ddof=1) / math.sqrt(len(gains)) else usual


def _predict(model: Model, x: Floats, y: Floats, inputs: Floats) -> tuple[Floats, Floats]:
    """Fit and predict; the spread is relative: the same for all where a model gives none."""
    slope, offset = np.polyfit(x[:, -1], y, 1) if np.ptp(x[:, -1]) > 0 else (0.0, y.mean())
    model.fit(x, y - offset - slope * x[:, -1])
    line = offset + slope * inputs[:, -1]
    if isinstance(model, GaussianProcessRegressor):
        correction, spread = model.predict(inputs, return_std=True)
        return line + correction, np.maximum(spread, 1e-6)
    return line + model.predict(inputs), np.ones(len(inputs))


def _left_out(make: Callable[[int], Model], x: Floats, y: Floats, seed: int) -> Floats:
    """Squared error of each label that the model has not seen; mean over the repeats."""
    total = np.zeros(len(y))
    folds = RepeatedKFold(n_splits=N_FOLDS, n_repeats=N_REPEATS, random_state=seed)
    for fitted, tested in folds.split(x):
        found, _ = _predict(make(seed), x[fitted], y[fitted], x[tested])
        total[tested] += (found - y[tested]) ** 2 / N_REPEATS
    return total


def _inputs(table: Floats, weights: ArrayLike) -> Floats:
    """Normal scores of every feature, and, last, of their summed log-ranks: a first guess."""
    columns: Sequence[Floats] = [*table.T, summed_log_ranks(table, weights)]
    return np.column_stack([normal_scores(column) for column in columns])


def _table(features: ArrayLike) -> Floats:
    table = np.asarray(features, dtype=np.float64)
    assert table.ndim == 2, f"features must be (archs, features), got shape {table.shape}"
    return np.where(np.isnan(table), -np.inf, table)
