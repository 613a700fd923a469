import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr
from sklearn.linear_model import Ridge

from nasgtn.fusion import (
    LINE,
    MIN_LABELS,
    MODELS,
    PARTS,
    Prediction,
    Reference,
    calibrate,
    choose_sum,
    expected_improvement,
    normal_scores,
    summed_log_ranks,
    upper_confidence_bound,
    weightings,
)


def toy(n: int = 120, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Three noisy views of a hidden quality, one of them worthless."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    noise = rng.normal(size=(n, 3))
    features = np.column_stack([quality, quality, np.zeros(n)]) + noise * [0.6, 0.8, 1.0]
    return features, quality


def masked(truth: NDArray[np.float64], n_labels: int) -> NDArray[np.float64]:
    labels = np.full(len(truth), np.nan)
    labels[:n_labels] = truth[:n_labels]
    return labels


def test_a_calibration_may_take_the_proxy_alone_where_there_is_one() -> None:
    mixed, alone = weightings(["params", "gtn", "flops"])
    assert mixed == [PARTS["params"], PARTS["gtn"], PARTS["flops"]]
    assert alone == [0, 1, 0]
    assert weightings(["params", "flops"]) == [[PARTS["params"], PARTS["flops"]]]


def test_labels_choose_the_proxy_alone_where_the_rest_is_noise() -> None:
    rng = np.random.default_rng(3)
    quality, parts = rng.normal(size=100), ["gtn", "flops", "synflow", "naswot", "jacob_cov"]
    features = np.column_stack([quality, rng.normal(size=(100, 4))])
    found = calibrate(features, masked(quality, 24), seed=0, weights=weightings(parts))
    assert spearmanr(found.mean[24:], quality[24:])[0] > 0.99


def test_summed_log_ranks_by_hand() -> None:
    found = summed_log_ranks([[1.0, 10.0], [2.0, 30.0], [3.0, 20.0]])
    expected = np.log([1 / 3 * 1 / 3, 2 / 3 * 3 / 3, 3 / 3 * 2 / 3])
    assert found == pytest.approx(expected)


def test_log_ranks_in_a_group_by_hand() -> None:
    group = Reference(
        scores={"a": np.array([3.0, 1.0, np.nan, 2.0]), "b": np.array([1.0, 2.0, 3.0])},
        weights={"a": 2.0, "b": 1.0, "c": 0.0},
    )
    assert group.summed_log_ranks({"a": 2.0, "b": 3.0}) == pytest.approx(np.log(0.5**2 * 0.75))
    assert group.summed_log_ranks({"a": 2.5, "b": 1.0}) == pytest.approx(np.log(0.625**2 * 0.25))
    lowest = group.summed_log_ranks({"a": None})
    assert lowest == group.summed_log_ranks({"a": np.nan, "b": -np.inf})
    assert lowest == pytest.approx(np.log(0.125**3))


def test_log_ranks_in_a_group_keep_the_order_beyond_its_ends() -> None:
    group = Reference(scores={"a": np.arange(10.0)}, weights={"a": 1.0})
    scores = np.linspace(-20, 40, 60)
    found = [group.summed_log_ranks({"a": score}) for score in scores]
    assert (np.diff(found) > 0).all()
    assert np.diff(found).max() < 1
    assert max(found) < 0


def test_labels_choose_a_sum() -> None:
    rng = np.random.default_rng(5)
    quality = rng.normal(size=24)
    features = np.column_stack([quality, rng.normal(size=24)])
    assert choose_sum(features, quality, [[0.2, 1.0], [1.0, 0.0]], seed=0) == 1
    assert choose_sum(features, quality, [[1.0, 0.0], [1.0, 0.0]], seed=0) == 0


def test_nothing_changes_under_monotone_functions_of_a_feature() -> None:
    features, quality = toy()
    bent = np.column_stack(
        [np.exp(features[:, 0]), features[:, 1] ** 3, np.arctan(features[:, 2])]
    )
    labels = masked(quality, 24)
    assert summed_log_ranks(bent) == pytest.approx(summed_log_ranks(features))
    one, other = calibrate(features, labels, seed=0), calibrate(bent, np.exp(labels), seed=0)
    assert one.model == other.model
    assert one.mean == pytest.approx(other.mean)
    assert one.std == pytest.approx(other.std)


def test_labels_help() -> None:
    features, quality = toy()
    rest = slice(24, None)
    found = calibrate(features, masked(quality, 24), seed=0)
    blind = spearmanr(summed_log_ranks(features)[rest], quality[rest]).statistic
    calibrated = spearmanr(found.mean[rest], quality[rest]).statistic
    assert calibrated >= blind


def test_labels_of_the_others_are_never_read() -> None:
    features, quality = toy()
    labels = masked(quality, 24)
    alone = calibrate(features, labels, seed=0)
    shuffled = quality.copy()
    shuffled[24:] = 0
    assert calibrate(features, masked(shuffled, 24), seed=0).mean == pytest.approx(alone.mean)


def test_the_uncertainty_is_about_as_large_as_the_errors() -> None:
    ratios = []
    for seed in range(5):
        features, quality = toy(400, seed)
        found = calibrate(features, masked(quality, 40), seed=0)
        truth = (quality - quality[:40].mean()) / quality[:40].std()
        errors = (found.mean - truth)[40:] / found.std[40:]
        ratios.append(float(np.sqrt(np.mean(errors**2))))
    assert 0.7 < np.mean(ratios) < 1.4


def test_a_model_that_corrects_the_sum_is_taken_where_it_is_better() -> None:
    """The sum believes a feature that points the wrong way; forty labels tell."""
    rng = np.random.default_rng(3)
    quality = rng.normal(size=120)
    features = np.column_stack([quality, -quality, -quality]) + 0.3 * rng.normal(size=(120, 3))
    found = calibrate(features, masked(quality, 40), seed=0)
    assert set(found.errors) == set(MODELS)
    assert found.model != LINE
    assert found.errors[found.model] == min(found.errors.values()) < 0.6
    assert spearmanr(found.mean[40:], quality[40:]).statistic > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_few_labels_do_little_harm_where_they_have_nothing_to_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=150)
    noise = rng.normal(size=(150, 4))
    features = np.column_stack([quality + 0.5 * noise[:, 0], *noise[:, 1:].T])
    weights = [3, 0, 0, 0]
    found = calibrate(features, masked(quality, 24), seed=0, weights=weights)
    blind = spearmanr(summed_log_ranks(features, weights)[24:], quality[24:]).statistic
    assert spearmanr(found.mean[24:], quality[24:]).statistic > blind - 0.1


def test_weights_count_a_feature_more_than_once() -> None:
    features, _ = toy()
    repeated = features[:, [0, 0, 0, 1, 2]]
    assert summed_log_ranks(features, [3, 1, 1]) == pytest.approx(summed_log_ranks(repeated))


def test_a_constant_penalty_ridge_is_what_scikit_learn_says() -> None:
    features, quality = toy(60)
    x, y = np.column_stack([normal_scores(f) for f in features.T]), normal_scores(quality)
    chosen = MODELS["ridge"](0)
    chosen.fit(x, y)
    alpha = chosen.alpha_  # type: ignore[attr-defined]
    assert chosen.predict(x) == pytest.approx(Ridge(alpha=alpha).fit(x, y).predict(x))


def test_failed_features_rank_lowest() -> None:
    features, quality = toy()
    features[50, 0] = np.nan
    assert np.isfinite(summed_log_ranks(features)).all()
    found = calibrate(features, masked(quality, 24), seed=0)
    assert np.isfinite(found.mean).all()
    assert (found.std > 0).all()


def test_few_labels_are_refused() -> None:
    features, quality = toy()
    with pytest.raises(ValueError, match=f"at least {MIN_LABELS} labels"):
        calibrate(features, masked(quality, MIN_LABELS - 1), seed=0)


def test_acquisitions_against_sampling() -> None:
    prediction = Prediction(
        mean=np.array([0.0, 1.0]), std=np.array([2.0, 0.5]), model="ridge", errors={}
    )
    draws = np.random.default_rng(0).normal(prediction.mean, prediction.std, size=(400_000, 2))
    expected = np.maximum(draws - 0.8, 0).mean(axis=0)
    assert expected_improvement(prediction, 0.8) == pytest.approx(expected, abs=0.01)
    assert upper_confidence_bound(prediction, 1.5) == pytest.approx([3.0, 1.75])


def test_normal_scores_are_quantiles() -> None:
    scores = normal_scores([3.0, 1.0, 2.0])
    assert scores == pytest.approx(norm.ppf([2.625 / 3.25, 0.625 / 3.25, 0.5]))


def test_labels_choose_between_sums() -> None:
    rng = np.random.default_rng(0)
    quality = rng.normal(size=100)
    features = np.column_stack([quality + 0.1 * rng.normal(size=100), rng.normal(size=100)])
    labels = masked(quality, 24)
    good, bad = [1.0, 0.0], [0.0, 1.0]
    alone = calibrate(features, labels, seed=0, weights=good)
    for weights in ([good, bad], [bad, good]):
        found = calibrate(features, labels, seed=0, weights=weights)
        assert found.mean == pytest.approx(alone.mean)


def test_the_first_sum_stays_where_no_other_is_better() -> None:
    features, quality = toy()
    labels = masked(quality, 24)
    usual, other = [1.0, 1.0, 0.0], [1.0, 0.98, 0.0]
    alone = calibrate(features, labels, seed=0, weights=usual)
    found = calibrate(features, labels, seed=0, weights=[usual, other])
    assert found.mean == pytest.approx(alone.mean)
