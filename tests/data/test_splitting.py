import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.model_selection import StratifiedShuffleSplit

from nasgtn.data.splitting import prefix_with_all_classes, stratified_cut, stratified_order
from nasgtn.errors import InvalidDataError

NAMES = ("ant", "bee", "cat")
LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [13, 40, 200]))


def test_cut_takes_the_same_share_of_each_class_as_scikit_learn() -> None:
    rest, cut = stratified_cut(LABELS, None, 0.2, seed=0, class_names=NAMES)
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=0)
    expected_rest, expected_cut = next(splitter.split(LABELS[:, None], LABELS))
    assert sorted([*rest, *cut]) == list(range(len(LABELS)))
    for ours, theirs in ((rest, expected_rest), (cut, expected_cut)):
        difference = np.bincount(LABELS[ours]) - np.bincount(LABELS[theirs])
        assert abs(difference).max() <= 1


def test_cut_follows_the_seed() -> None:
    first, again, other = (
        stratified_cut(LABELS, None, 0.2, seed=seed, class_names=NAMES)[1] for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@given(st.data())
def test_cut_keeps_groups_whole_and_classes_on_both_sides(data: st.DataObject) -> None:
    group_sizes = data.draw(st.lists(st.integers(1, 9), min_size=6, max_size=40))
    fraction = data.draw(st.floats(0.05, 0.95))
    groups = np.repeat(np.arange(len(group_sizes)), group_sizes)
    labels = groups % 3
    rest, cut = stratified_cut(labels, groups, fraction, seed=3, class_names=NAMES)
    assert not set(groups[rest]) & set(groups[cut])
    assert sorted([*rest, *cut]) == list(range(len(labels)))
    assert set(labels[rest]) == set(labels[cut]) == {0, 1, 2}
    for label in range(3):
        target = fraction * (labels == label).sum()
        assert abs((labels[cut] == label).sum() - target) <= max(group_sizes)


def test_cut_refuses_a_class_with_one_image_or_one_track() -> None:
    labels = np.array([0, 0, 1, 0])
    with pytest.raises(InvalidDataError, match=r"at least 2 images .* got 1 of class 'bee'"):
        stratified_cut(labels, None, 0.2, seed=0, class_names=NAMES)
    with pytest.raises(InvalidDataError, match=r"at least 2 tracks .* got 1 of class 'ant'"):
        stratified_cut(labels, np.array([5, 5, 7, 5]), 0.2, seed=0, class_names=NAMES)


def test_every_prefix_of_the_order_has_about_the_class_shares_of_the_whole() -> None:
    ordered = LABELS[stratified_order(LABELS, seed=0)]
    assert np.array_equal(np.bincount(ordered), np.bincount(LABELS))
    share = np.bincount(LABELS) / len(LABELS)
    for n in range(1, len(ordered) + 1):
        counts = np.bincount(ordered[:n], minlength=3)
        assert abs(counts - n * share).max() <= 1 + len(share)


def test_order_is_random_within_a_class() -> None:
    labels = np.repeat([0, 1], 50)
    first = [int(stratified_order(labels, seed=seed)[0]) for seed in range(400)]
    counts = np.bincount(np.array(first) // 10, minlength=10)
    assert chisquare(counts).pvalue > 1e-3


def test_prefix_keeps_rare_classes() -> None:
    labels = np.array([0, 0, 0, 0, 1, 0, 0, 2])
    assert prefix_with_all_classes(labels, 4).tolist() == [0, 1, 4, 7]
    with pytest.raises(InvalidDataError, match="number of classes 3, got 2"):
        prefix_with_all_classes(labels, 2)
