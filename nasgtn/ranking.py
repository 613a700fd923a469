"""How well two orders of the same architectures agree: correlation, recall, regret, intervals.

Everywhere higher is better, in `scores` as in `truth`. A statistic that does not exist (fewer than
three architectures, or constant numbers) is None, never NaN.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Numbers = Sequence[float] | NDArray[Any]  # of any numeric dtype; read as float64
Interval = tuple[float, float]

MIN_ARCHITECTURES = 3
"""Below this a rank correlation says nothing."""
MIN_FOR_INTERVAL = 5
"""Below this most resamples hold one or two architectures over and over."""
LEVEL = 0.95
"""Part of the resamples that an interval covers."""
_MAX_ELEMENTS = 4_000_000  # of one temporary array: 32 MB


@dataclass(frozen=True)
class Bootstrap:
    """A percentile interval from resampled architectures."""

    interval: Interval | None
    """None for fewer than five architectures, and where the statistic exists in less than half of
    the resamples."""
    n_resamples: int
    n_degenerate: int
    """Resamples left out because they were constant in scores or truth."""


@dataclass(frozen=True)
class SpearmanGain:
    """How much higher the rho of some scores is than that of others."""

    spearman: float | None
    other: float | None
    difference: float | None
    interval: Interval | None
    """95 %, of the difference."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How well scores order architectures that have a true accuracy.

    `best_half` and `best_tenth` are Spearman's rho over the architectures with the highest truth:
    those whose truth reaches the ceil(n / 2)-th largest, or the max(3, ceil(n / 10))-th largest.
    Architectures tied at that border all belong. Their intervals resample within that part. More
    architectures of the best tenth than that may have judged the order there.
    """

    n: int
    spearman: float | None
    spearman_interval: Interval | None
    kendall: float | None
    """Tau-b."""
    kendall_interval: Interval | None
    best_half: float | None
    best_half_interval: Interval | None
    best_half_kendall: float | None
    best_half_kendall_interval: Interval | None
    n_best_tenth: int
    """Architectures that `best_tenth` was judged on."""
    best_tenth: float | None
    best_tenth_interval: Interval | None
    best_tenth_kendall: float | None
    best_tenth_kendall_interval: Interval | None
    top_k: int
    top_k_recall: float | None
    """Part of the truly best k among the k of highest score; None where k >= n."""
    regret: float | None
    """Highest truth less the truth of the highest score."""
    top_k_regret: float | None
    """Highest truth less the highest truth among the k of highest score."""
    n_degenerate: int
    """Resamples that `spearman_interval` leaves out."""


def spearman(scores: Numbers, truth: Numbers) -> float | None:
    """Correlate the ranks; tied numbers share their mean rank."""
    return _point(_spearman_of_counts, *_pair(scores, truth))


def kendall(scores: Numbers, truth: Numbers) -> float | None:
    """Count pairs in the same and in the opposite order: tau-b, which corrects for ties."""
    return _point(_kendall_of_counts, *_pair(scores, truth))


def partial_spearman(scores: Numbers, truth: Numbers, controls: Sequence[Numbers]) -> float | None:
    """Spearman's rho of what is left of both after the ranks of `controls` are taken out.

    Ranks of scores and truth are each regressed on an intercept and the ranks of every control;
    the residuals are correlated. None where there are fewer than three more architectures than
    controls, or where the controls explain everything.
    """
    x, y = _pair(scores, truth)
    columns = [_pair(control, truth)[0] for control in controls]
    if len(x) < MIN_ARCHITECTURES + len(columns):
        return None
    design = np.column_stack([np.ones(len(x)), *(rankdata(column) for column in columns)])
    ranks = np.column_stack([rankdata(x), rankdata(y)])
    left = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    variances = np.square(left).sum(axis=0)
    total = np.square(ranks - ranks.mean(axis=0)).sum(axis=0)
    if (variances <= 1e-9 * total).any():  # rounding is all that is left
        return None
    return float(np.clip(left[:, 0] @ left[:, 1] / np.sqrt(variances.prod()), -1.0, 1.0))


def top_k_recall(scores: Numbers, truth: Numbers, k: int) -> float | None:
    """Part of the truly best `k` that are among the `k` of highest score.

    Ties are taken as broken at random: the expected part is returned, k / n for constant scores.
    None where `k` >= n, since every estimator then finds them all.
    """
    x, y = _pair(scores, truth)
    if not 1 <= k < len(x):
        return None
    return float(_chance_in_top(x, k) @ _chance_in_top(y, k)) / k


def regret(scores: Numbers, truth: Numbers, k: int = 1) -> float | None:
    """Highest truth less the highest truth among the `k` of highest score; not negative.

    Ties among the scores are taken as broken at random: the expected regret is returned.
    """
    x, y = _pair(scores, truth)
    if not len(x):
        return None
    k = min(k, len(x))
    border = np.sort(x)[-k]
    sure, tied = y[x > border], np.sort(y[x == border])
    if len(sure):
        tied = np.maximum(tied, sure.max())
    places, total = k - len(sure), math.comb(len(tied), k - len(sure))
    # The j-th smallest is the best of `places` drawn ones in comb(j - 1, places - 1) of all draws.
    expected = sum(math.comb(j, places - 1) / total * float(value) for j, value in enumerate(tied))
    return max(0.0, float(y.max()) - expected)


def bootstrap_spearman(
    scores: Numbers, truth: Numbers, *, rng: np.random.Generator, n_resamples: int = 1000
) -> Bootstrap:
    """Resample architectures with replacement; take the central 95 % of their Spearman's rho."""
    return _bootstrap(_spearman_of_counts, *_pair(scores, truth), rng, n_resamples)


def bootstrap_kendall(
    scores: Numbers, truth: Numbers, *, rng: np.random.Generator, n_resamples: int = 1000
) -> Bootstrap:
    """Resample architectures with replacement; take the central 95 % of their Kendall's tau-b.

    Time grows with the square of the number of architectures (15,000 of them: about a minute).
    """
    return _bootstrap(_kendall_of_counts, *_pair(scores, truth), rng, n_resamples)


def spearman_gain(
    scores: Numbers,
    others: Numbers,
    truth: Numbers,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
) -> SpearmanGain:
    """Compare how two estimators order the same architectures.

    Both are judged on the same resamples, so that what they have in common cancels out: their own
    intervals may overlap, and this one still be clear of zero.
    """
    x, y = _pair(scores, truth)
    z, _ = _pair(others, truth)

    def difference(x: Floats, y: Floats, counts: Floats) -> Floats:
        return _spearman_of_counts(x, y, counts) - _spearman_of_counts(z, y, counts)

    one, other = spearman(x, y), spearman(z, y)
    return SpearmanGain(
        spearman=one,
        other=other,
        difference=None if one is None or other is None else one - other,
        interval=_bootstrap(difference, x, y, rng, n_resamples).interval,
    )


def best_part(truth: Numbers, n_best: int) -> NDArray[np.bool_]:
    """Mark the architectures whose truth reaches the `n_best`-th largest, ties included."""
    values = np.asarray(truth, dtype=np.float64)
    if n_best >= len(values):
        return np.ones(len(values), dtype=np.bool_)
    marked: NDArray[np.bool_] = values >= np.sort(values)[-n_best]
    return marked


def best_tenth(truth: Numbers) -> NDArray[np.bool_]:
    """Mark the best tenth as `Agreement` has it."""
    return best_part(truth, max(MIN_ARCHITECTURES, math.ceil(len(truth) / 10)))


def undominated(points: Sequence[Sequence[float]]) -> list[bool]:
    """Say for each point, higher is better in each place, whether it is on the Pareto front.

    That is, whether no other one is at least as good everywhere and better somewhere.
    """
    table = np.asarray(points, dtype=np.float64)
    return [
        not ((table >= point).all(axis=1) & (table > point).any(axis=1)).any() for point in table
    ]


def agreement(
    scores: Numbers, truth: Numbers, *, seed: int, top_k: int = 5, n_resamples: int = 1000
) -> Agreement:
    """Compare two orders of the same architectures; the same seed gives the same intervals."""
    x, y = _pair(scores, truth)
    rng = np.random.default_rng(seed)
    half = best_part(y, math.ceil(len(y) / 2))
    tenth = best_tenth(y)
    parts = [(x, y), (x[half], y[half]), (x[tenth], y[tenth])]
    rhos = [bootstrap_spearman(*part, rng=rng, n_resamples=n_resamples) for part in parts]
    taus = [bootstrap_kendall(*part, rng=rng, n_resamples=n_resamples) for part in parts]
    return Agreement(
        n=len(x),
        spearman=spearman(*parts[0]),
        spearman_interval=rhos[0].interval,
        kendall=kendall(*parts[0]),
        kendall_interval=taus[0].interval,
        best_half=spearman(*parts[1]),
        best_half_interval=rhos[1].interval,
        best_half_kendall=kendall(*parts[1]),
        best_half_kendall_interval=taus[1].interval,
        n_best_tenth=int(tenth.sum()),
        best_tenth=spearman(*parts[2]),
        best_tenth_interval=rhos[2].interval,
        best_tenth_kendall=kendall(*parts[2]),
        best_tenth_kendall_interval=taus[2].interval,
        top_k=top_k,
        top_k_recall=top_k_recall(x, y, top_k),
        regret=regret(x, y),
        top_k_regret=regret(x, y, top_k),
        n_degenerate=rhos[0].n_degenerate,
    )


def _pair(scores: Numbers, truth: Numbers) -> tuple[Floats, Floats]:
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    assert x.shape == y.shape == (len(x),), f"one number an architecture, got {x.shape}, {y.shape}"
    assert np.isfinite(x).all(), "scores must be finite; leave failed evaluations out"
    assert np.isfinite(y).all(), "truth must be finite; leave failed evaluations out"
    return x, y


# A statistic of a resample needs no resampled arrays, only how often each architecture came:
# counts (resamples, archs). Ones give the statistic of the architectures themselves.
_OfCounts = Callable[[Floats, Floats, Floats], Floats]  # NaN where it does not exist


def _point(statistic: _OfCounts, x: Floats, y: Floats) -> float | None:
    if len(x) < MIN_ARCHITECTURES:
        return None
    value = float(statistic(x, y, np.ones((1, len(x))))[0])
    return None if math.isnan(value) else value


def _bootstrap(
    statistic: _OfCounts, x: Floats, y: Floats, rng: np.random.Generator, n_resamples: int
) -> Bootstrap:
    if len(x) < MIN_FOR_INTERVAL:
        return Bootstrap(None, 0, 0)
    values = np.concatenate(
        [statistic(x, y, counts) for counts in _resamples(len(x), rng, n_resamples)]
    )
    kept = values[~np.isnan(values)]
    n_degenerate = n_resamples - len(kept)
    if 2 * len(kept) < n_resamples:
        return Bootstrap(None, n_resamples, n_degenerate)
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Bootstrap((float(low), float(high)), n_resamples, n_degenerate)


def _resamples(n: int, rng: np.random.Generator, n_resamples: int) -> Iterator[Floats]:
    """Yield counts (resamples, archs), a bounded number of resamples at a time."""
    at_once = max(1, _MAX_ELEMENTS // n)
    for start in range(0, n_resamples, at_once):
        rows = min(at_once, n_resamples - start)
        drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        yield counts.astype(np.float64)


def _ties(x: Floats, counts: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Sum the counts of equal numbers: (resamples, groups), and the group of each architecture."""
    _, group, sizes = np.unique(x, return_inverse=True, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    sums = np.add.reduceat(counts[:, np.argsort(group, kind="stable")], starts, axis=1)
    return sums, group


def _centred_ranks(x: Floats, counts: Floats) -> Floats:
    sums, group = _ties(x, counts)
    ranks = np.cumsum(sums, axis=1) - sums + (sums + 1) / 2
    centred: Floats = ranks[:, group] - (counts.sum(axis=1, keepdims=True) + 1) / 2
    return centred


def _spearman_of_counts(x: Floats, y: Floats, counts: Floats) -> Floats:
    rank_x, rank_y = _centred_ranks(x, counts), _centred_ranks(y, counts)
    covariance = (counts * rank_x * rank_y).sum(axis=1)
    squares = (counts * rank_x**2).sum(axis=1) * (counts * rank_y**2).sum(axis=1)
    return _ratio(covariance, squares)


def _kendall_of_counts(x: Floats, y: Floats, counts: Floats) -> Floats:
    difference = np.zeros(len(counts))  # pairs in the same less those in the opposite order, twice
    rows = max(1, _MAX_ELEMENTS // len(x))
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        signs = np.sign(x[part, None] - x) * np.sign(y[part, None] - y)
        difference += np.einsum("rp,rp->r", counts @ signs.T, counts[:, part])
    n = counts.sum(axis=1)
    pairs = n * (n - 1)
    untied = [
        pairs - (sums * (sums - 1)).sum(axis=1) for sums, _ in (_ties(x, counts), _ties(y, counts))
    ]
    return _ratio(difference, untied[0] * untied[1])


def _ratio(value: Floats, squares: Floats) -> Floats:
    result = np.full(len(value), np.nan)
    np.divide(value, np.sqrt(squares), out=result, where=squares > 0)
    np.clip(result, -1.0, 1.0, out=result)  # rounding may step over the bounds; NaN stays
    return result


def _chance_in_top(x: Floats, k: int) -> Floats:
    """Chance of each to be among the `k` largest when ties are broken at random."""
    border = np.sort(x)[-k]
    above, tied = x > border, x == border
    chances: Floats = above + tied * ((k - above.sum()) / tied.sum())
    return chances
