"""How far two sets of points lie apart, and how far each spreads; arrays only, a point a row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, svdvals
from scipy.spatial.distance import pdist
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from nasgtn.findings import Likeness

Points = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
NEIGHBOURS = 5
"""Of `likeness`; Naeem et al. (arXiv 2002.09797) take it, too."""


def likeness(real: Points, others: Points) -> Likeness:
    """Compare others with real points; at least two of each."""
    neighbours = min(NEIGHBOURS, len(real) - 1)
    radii = np.sort(pairwise_distances(real), axis=1)[:, neighbours]
    distances = pairwise_distances(real, others)
    return Likeness(
        frechet=frechet_distance(real, others),
        precision=float((distances <= radii[:, None]).any(axis=0).mean()),
        coverage=float((distances.min(axis=1) <= radii).mean()),
    )


def frechet_distance(one: Points, other: Points) -> float:
    """Squared Frechet distance of the normal distributions that two sets of points suggest.

    The trace of the root of the covariances' product is the sum of the singular values of the
    product of their factors: so it is exact where there are more dimensions than points, and
    needs no root of an ill-conditioned matrix.
    """
    shift = one.mean(axis=0) - other.mean(axis=0)
    first, second = (_factor(points) for points in (one, other))
    spread = np.sum(first**2) + np.sum(second**2) - 2 * svdvals(first @ second.T).sum()
    return max(0.0, float(shift @ shift + spread))


def _factor(points: Points) -> Points:
    """Triangular R of which R'R is the covariance of the points."""
    centred = (points - points.mean(axis=0)) / np.sqrt(len(points) - 1)
    return np.asarray(qr(centred, mode="economic")[1])


def nearest(points: Points, reference: Points) -> tuple[Labels, Points]:
    """Find the nearest reference of each point: its index, and its distance.

    The distance is the root of the mean squared difference, whatever the number of dimensions.
    """
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(reference)
    index = search.kneighbors(points, return_distance=False)[:, 0]
    # Taken anew: the search's own are short of digits near zero, and a copy must be at zero.
    return index, np.sqrt(((points - reference[index]) ** 2).mean(axis=1))


def spread(points: Points) -> float | None:
    """Mean distance between two of the points; None for fewer than two."""
    return float(pdist(points).mean()) if len(points) > 1 else None


def centres(points: Points, labels: Labels) -> Points:
    """Mean point of each label that occurs, in the order of the labels."""
    return np.stack([points[labels == label].mean(axis=0) for label in np.unique(labels)])
