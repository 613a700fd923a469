"""Stratified cuts and orders: every class keeps its share."""

import numpy as np
from jaxtyping import Int

from nasgtn.errors import InvalidDataError


def stratified_cut(
    labels: Int[np.ndarray, " n"],
    groups: Int[np.ndarray, " n"] | None,
    fraction: float,
    *,
    seed: int,
    class_names: tuple[str, ...],
) -> tuple[Int[np.ndarray, " rest"], Int[np.ndarray, " cut"]]:
    """Cut a part off, so that each class loses about `fraction` of its images, and keeps some.

    A group stays whole; it counts for the class of its first image.

    Returns:
        Indices of what stays, and of what is cut off, both ascending.

    Raises:
        InvalidDataError: A class has too few images or groups to be on both sides.
    """
    rng = np.random.default_rng(seed)
    distinct = np.arange(len(labels)) if groups is None else groups
    _, first, group_of = np.unique(distinct, return_index=True, return_inverse=True)
    sizes = np.bincount(group_of)
    is_cut = np.zeros(len(first), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels[first] == label))
        if len(members) < 2:
            what = "image" if groups is None else "track"
            raise InvalidDataError(
                f"each class must have at least 2 {what}s where a part is cut off, "
                f"got {len(members)} of class {class_names[label]!r}"
            )
        reached = np.cumsum(sizes[members])
        nearest = np.abs(reached[:-1] - fraction * reached[-1]).argmin()
        is_cut[members[: nearest + 1]] = True
    cut = is_cut[group_of]
    return np.flatnonzero(~cut), np.flatnonzero(cut)


def stratified_order(labels: Int[np.ndarray, " n"], *, seed: int) -> Int[np.ndarray, " n"]:
    """Shuffle so that every prefix has about the class shares of the whole.

    The images of each class are spread evenly over [0, 1) with some jitter, and sorted.
    """
    rng = np.random.default_rng(seed)
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        n = len(members)
        position[members] = (np.arange(n) + rng.random(n)) / n
    return np.argsort(position, kind="stable")


def prefix_with_all_classes(labels: Int[np.ndarray, " n"], n: int) -> Int[np.ndarray, " kept"]:
    """Keep the first `n` images, but of each class one at least; ascending indices.

    Raises:
        InvalidDataError: `n` is below the number of classes.
    """
    first = np.unique(labels, return_index=True)[1]
    if n < len(first):
        raise InvalidDataError(
            f"max_images must be at least the number of classes {len(first)}, got {n}"
        )
    others = np.setdiff1d(np.arange(len(labels)), first)
    return np.sort(np.concatenate([first, others[: n - len(first)]]))
