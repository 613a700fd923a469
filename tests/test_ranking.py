"""Rank statistics against scipy, brute force, and what must hold by definition."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from nasgtn import ranking

# Few distinct values, so that ties are frequent.
PAIRS = st.integers(3, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 5), min_size=n, max_size=n),
        st.lists(st.integers(0, 5), min_size=n, max_size=n),
    )
)


def linked(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    return truth + rng.normal(size=n), truth


@given(PAIRS)
@settings(max_examples=100, deadline=None)
def test_correlations_equal_scipy_with_ties(pair: tuple[list[int], list[int]]) -> None:
    scores, truth = pair
    if len(set(scores)) == 1 or len(set(truth)) == 1:
        assert ranking.spearman(scores, truth) is None
        assert ranking.kendall(scores, truth) is None
        return
    rho, tau = ranking.spearman(scores, truth), ranking.kendall(scores, truth)
    assert rho == pytest.approx(scipy.stats.spearmanr(scores, truth).statistic, abs=1e-12)
    assert tau == pytest.approx(scipy.stats.kendalltau(scores, truth).statistic, abs=1e-12)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_have_no_correlation(n: int) -> None:
    found = ranking.agreement(list(range(n)), list(range(n)), seed=0)
    assert found.n == n
    assert found.spearman is found.kendall is found.best_half is found.best_tenth is None
    assert found.spearman_interval is found.kendall_interval is None
    assert found.regret == (None if n == 0 else 0.0)


def test_perfect_order_gives_one_and_its_reverse_minus_one() -> None:
    truth = np.arange(20.0)
    up, down = (ranking.agreement(sign * truth, truth, seed=0) for sign in (1, -1))
    assert (up.spearman, up.kendall, up.best_half, up.best_tenth) == (1, 1, 1, 1)
    assert (down.spearman, down.kendall, down.best_half, down.best_tenth) == (-1, -1, -1, -1)
    assert up.spearman_interval == (1, 1)
    assert (up.top_k_recall, down.top_k_recall) == (1, 0)
    assert (up.regret, down.regret, down.top_k_regret) == (0, 19, 15)


@given(PAIRS, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_recall_and_regret_are_means_over_all_ways_to_break_ties(
    pair: tuple[list[int], list[int]], k: int
) -> None:
    scores, truth = (values[:5] for values in pair)
    n = len(scores)
    recalls, regrets = [], []
    for by_score in itertools.permutations(range(n)):
        order = sorted(by_score, key=lambda i: -scores[i])[:k]  # a stable sort
        regrets.append(max(truth) - max(truth[i] for i in order))
        for by_truth in itertools.permutations(range(n)) if n <= 4 else ():
            best = sorted(by_truth, key=lambda i: -truth[i])[:k]
            recalls.append(len({*order} & {*best}) / k)
    assert ranking.regret(scores, truth, k) == pytest.approx(np.mean(regrets))
    if recalls and k < n:
        assert ranking.top_k_recall(scores, truth, k) == pytest.approx(np.mean(recalls))


def test_recall_is_none_where_everything_is_found() -> None:
    assert ranking.top_k_recall([1, 2, 3], [3, 2, 1], 3) is None


def test_best_half_and_best_tenth_are_chosen_by_truth() -> None:
    scores, truth = linked(45)
    found = ranking.agreement(scores, truth, seed=0)
    order = np.argsort(-truth)
    for value, tau, n in (
        (found.best_half, found.best_half_kendall, 23),
        (found.best_tenth, found.best_tenth_kendall, 5),
    ):
        part = order[:n]
        assert value == pytest.approx(scipy.stats.spearmanr(scores[part], truth[part]).statistic)
        assert tau == pytest.approx(scipy.stats.kendalltau(scores[part], truth[part]).statistic)


def test_ties_at_the_border_of_the_best_part_all_belong() -> None:
    assert ranking.best_part([3, 1, 2, 2, 0], 2).tolist() == [True, False, True, True, False]


def test_order_of_the_architectures_does_not_matter() -> None:
    scores, truth = np.round(linked(30), 1)
    shuffle = np.random.default_rng(5).permutation(30)
    first, second = (
        ranking.agreement(scores[index], truth[index], seed=0)
        for index in (np.arange(30), shuffle)
    )
    assert first.best_tenth == pytest.approx(second.best_tenth)
    assert first.top_k_recall == pytest.approx(second.top_k_recall)
    assert first.regret == second.regret


@pytest.mark.parametrize("name", ["spearman", "kendall"])
def test_interval_equals_that_of_resampled_arrays(name: str) -> None:
    scores, truth = np.round(linked(14), 1)
    interval = getattr(ranking, f"bootstrap_{name}")(
        scores, truth, rng=np.random.default_rng(3), n_resamples=200
    ).interval
    statistic = scipy.stats.spearmanr if name == "spearman" else scipy.stats.kendalltau
    drawn = np.random.default_rng(3).integers(14, size=(200, 14))
    values = [statistic(scores[row], truth[row]).statistic for row in drawn]
    assert interval == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_interval_covers_the_true_value_about_as_often_as_it_says() -> None:
    rho = (
        6 / math.pi * math.asin(math.sqrt(0.5) / 2)
    )  # of a normal pair with correlation 1 / sqrt 2
    covered = 0
    for seed in range(100):
        scores, truth = linked(60, seed)
        interval = ranking.bootstrap_spearman(
            scores, truth, rng=np.random.default_rng(seed), n_resamples=300
        ).interval
        assert interval is not None
        covered += interval[0] <= rho <= interval[1]
    assert 86 <= covered <= 100


def test_same_seed_gives_the_same_intervals_and_another_seed_others() -> None:
    pair = linked(20)
    first, again, other = (ranking.agreement(*pair, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.spearman_interval != other.spearman_interval


def test_degenerate_resamples_are_counted_and_left_out() -> None:
    # Scores are constant where only the last came (1 of 5^5 resamples), or where it did not (4^5).
    rng = np.random.default_rng(0)
    found = ranking.bootstrap_spearman([0, 0, 0, 0, 1], [0, 1, 2, 3, 4], rng=rng, n_resamples=5000)
    assert found.n_degenerate / 5000 == pytest.approx((4**5 + 1) / 5**5, abs=0.03)
    assert found.interval is not None
    constant = ranking.bootstrap_spearman([1] * 6, [0, 1, 2, 3, 4, 5], rng=rng)
    assert (constant.interval, constant.n_degenerate) == (None, 1000)


def test_fewer_than_five_have_a_correlation_but_no_interval() -> None:
    found = ranking.agreement([0, 1, 2, 3], [0, 1, 2, 3], seed=0)
    assert found.spearman == 1
    assert found.spearman_interval is None
    assert (
        ranking.agreement([0, 1, 2, 3, 4], [0, 1, 2, 4, 3], seed=0).spearman_interval is not None
    )


def test_constant_scores_give_none_and_the_recall_of_chance() -> None:
    found = ranking.agreement([0.5] * 20, list(range(20)), seed=0)
    assert found.spearman is None
    assert found.spearman_interval is None
    assert found.kendall is None
    assert found.best_half is None
    assert found.top_k_recall == pytest.approx(5 / 20)
    assert found.regret == pytest.approx(19 - 9.5)


def test_partial_spearman_equals_the_closed_form_for_one_control() -> None:
    scores, truth = linked(40)
    control = truth + np.random.default_rng(1).normal(size=40)
    xy, xz, yz = (
        scipy.stats.spearmanr(a, b).statistic
        for a, b in ((scores, truth), (scores, control), (truth, control))
    )
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert ranking.partial_spearman(scores, truth, [control]) == pytest.approx(expected)
    assert ranking.partial_spearman(scores, truth, []) == pytest.approx(xy)


def test_partial_spearman_is_none_where_a_control_explains_all() -> None:
    scores, truth = linked(20)
    assert ranking.partial_spearman(scores, truth, [np.exp(scores)]) is None
    assert ranking.partial_spearman(scores[:4], truth[:4], [truth[:4], scores[:4]]) is None


def test_large_sets_are_split_into_blocks_without_a_change() -> None:
    scores, truth = np.round(linked(3000), 2)
    assert ranking.kendall(scores, truth) == pytest.approx(
        scipy.stats.kendalltau(scores, truth).statistic
    )


def test_a_gain_is_the_difference_and_its_interval_that_of_paired_resamples() -> None:
    scores, truth = linked(30)
    others = linked(30, seed=1)[0] + truth
    found = ranking.spearman_gain(
        scores, others, truth, rng=np.random.default_rng(0), n_resamples=400
    )
    one, other = ranking.spearman(scores, truth), ranking.spearman(others, truth)
    assert one is not None
    assert other is not None
    assert (found.spearman, found.other, found.difference) == (one, other, one - other)
    rng = np.random.default_rng(7)
    drawn = [rng.integers(30, size=30) for _ in range(3000)]
    differences = [
        scipy.stats.spearmanr(scores[i], truth[i]).statistic
        - scipy.stats.spearmanr(others[i], truth[i]).statistic
        for i in drawn
    ]
    assert found.interval == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.06)


def test_equal_scores_gain_nothing_and_few_or_constant_ones_have_no_gain() -> None:
    scores, truth = linked(12)
    rng = np.random.default_rng(0)
    same = ranking.spearman_gain(scores, scores, truth, rng=rng)
    assert (same.difference, same.interval) == (0, (0, 0))
    constant = ranking.spearman_gain(scores, np.ones(12), truth, rng=rng)
    assert (constant.difference, constant.interval) == (None, None)
    empty = ranking.spearman_gain([], [], [], rng=rng)
    assert (empty.difference, empty.interval) == (None, None)
