"""Distances against second sources: a matrix root, brute force, closed forms."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from nasgtn.distances import NEIGHBOURS, centres, frechet_distance, likeness, nearest, spread


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_frechet_distance_is_that_of_a_matrix_root(rng: np.random.Generator) -> None:
    one = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6))
    other = 1.5 * rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)
    first, second = np.cov(one.T), np.cov(other.T)
    root = sqrtm(first @ second).real
    shift = one.mean(axis=0) - other.mean(axis=0)
    expected = shift @ shift + np.trace(first + second - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected)
    assert frechet_distance(other, one) == pytest.approx(expected)


def test_the_frechet_distance_needs_no_more_points_than_dimensions(
    rng: np.random.Generator,
) -> None:
    points = rng.normal(size=(10, 400))
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(points, points + 2) == pytest.approx(400 * 4)
    # Along one line: variances 1 and 9 about the same mean.
    line = np.array([[-1.0], [0.0], [1.0]]) * np.eye(1, 400)
    assert frechet_distance(line, 3 * line) == pytest.approx((3 - 1) ** 2)


def test_likeness_is_what_its_definition_counts(rng: np.random.Generator) -> None:
    real, others = rng.normal(size=(60, 3)), 0.8 * rng.normal(size=(40, 3)) + 0.7
    radii = [sorted(np.linalg.norm(real - point, axis=1))[NEIGHBOURS] for point in real]

    def is_near(i: int, j: int) -> bool:
        return bool(np.linalg.norm(real[i] - others[j]) <= radii[i])

    found = likeness(real, others)
    inside = [any(is_near(i, j) for i in range(60)) for j in range(40)]
    covered = [any(is_near(i, j) for j in range(40)) for i in range(60)]
    assert found.precision == pytest.approx(np.mean(inside))
    assert found.coverage == pytest.approx(np.mean(covered))
    assert 0 < found.coverage < found.precision < 1


def test_what_is_far_away_is_not_like_the_real_points(rng: np.random.Generator) -> None:
    real = rng.normal(size=(50, 4))
    assert likeness(real, real).precision == likeness(real, real).coverage == 1
    far = likeness(real, real + 100)
    assert (far.precision, far.coverage) == (0, 0)


def test_the_nearest_are_those_of_brute_force_and_copies_are_at_zero(
    rng: np.random.Generator,
) -> None:
    reference = rng.normal(size=(70, 5)) + 1000  # where squared distances by products lose digits
    points = np.concatenate([reference[[3, 50]], rng.normal(size=(20, 5)) + 1000])
    index, distances = nearest(points, reference)
    every = np.sqrt(((points[:, None] - reference[None]) ** 2).mean(axis=2))
    np.testing.assert_array_equal(index, every.argmin(axis=1))
    np.testing.assert_allclose(distances, every.min(axis=1))
    assert list(distances[:2]) == [0, 0]


def test_spread_and_centres(rng: np.random.Generator) -> None:
    points = rng.normal(size=(6, 2))
    pairs = [np.linalg.norm(points[i] - points[j]) for i in range(6) for j in range(i)]
    assert spread(points) == pytest.approx(np.mean(pairs))
    assert spread(points[:1]) is None
    labels = np.array([4, 1, 4, 1, 4, 1])
    np.testing.assert_allclose(
        centres(points, labels), [points[1::2].mean(axis=0), points[::2].mean(axis=0)]
    )
