"""Images as a source gives them: checked, but not yet split or normalised."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped

from nasgtn.errors import InvalidDataError

MOST_CHANNELS = 4
"""More values on the last axis mean that the axes are in another order."""


@dataclass(frozen=True, eq=False)
class RawPart:
    """Images and labels of one part, as a source gives them."""

    images: Shaped[np.ndarray, "n height width channels"]
    """uint8 in [0, 255], or float32 in [0, 1]."""
    labels: Int[np.ndarray, " n"]
    """int64 class indices, none of them negative."""
    groups: Int[np.ndarray, " n"] | None = None
    """Images of one group (frames of one object, say) stay on one side of a split."""

    def take(self, index: Int[np.ndarray, " m"]) -> "RawPart":
        groups = None if self.groups is None else self.groups[index]
        return RawPart(self.images[index], self.labels[index], groups)


@dataclass(frozen=True, eq=False, kw_only=True)
class RawDataset:
    """The parts that a source has; the missing ones are cut from `train`.

    Raises:
        InvalidDataError: The parts do not fit each other or the class names.
    """

    name: str
    class_names: tuple[str, ...]
    train: RawPart
    validation: RawPart | None = None
    test: RawPart | None = None
    flips: bool = False
    """What the source knows about mirrored images; a wrong yes destroys labels."""

    def __post_init__(self) -> None:
        known = np.unique(self.train.labels)
        if len(known) < 2:
            raise InvalidDataError(
                f"{self.name}: the training images must be of at least two classes, "
                f"got {len(known)}"
            )
        for part_name, part in self.parts():
            self._check_part(part_name, part, known)

    def parts(self) -> Iterator[tuple[str, RawPart]]:
        """Yield the parts that there are, with their names."""
        for name in ("train", "validation", "test"):
            part: RawPart | None = getattr(self, name)
            if part is not None:
                yield name, part

    def _check_part(self, part_name: str, part: RawPart, known: Int[np.ndarray, " k"]) -> None:
        shape, expected = part.images.shape[1:], self.train.images.shape[1:]
        if shape != expected:
            raise InvalidDataError(
                f"{self.name}: images of all parts must have one shape, got {expected} "
                f"in train and {shape} in {part_name}"
            )
        if part.labels.max() >= len(self.class_names):
            raise InvalidDataError(
                f"{self.name}: {part_name} labels must be below the number of classes "
                f"{len(self.class_names)}, got {part.labels.max()}"
            )
        unknown = np.setdiff1d(part.labels, known)
        if len(unknown):
            raise InvalidDataError(
                f"{self.name}: every class must have training images, but class "
                f"{self.class_names[unknown[0]]!r} is in {part_name} alone"
            )


def raw_part(
    where: str,
    images: Shaped[np.ndarray, "..."],
    labels: Shaped[np.ndarray, "..."],
    groups: Shaped[np.ndarray, "..."] | None = None,
) -> RawPart:
    """Check arrays from outside and make a part of them.

    Args:
        where: Begins each message, such as `signs.npz: train`.
        images: Grey (n, height, width) or colour (n, height, width, channels).
        labels: Integers, one an image.
        groups: Integers or text, one an image; equal for images that belong together.

    Raises:
        InvalidDataError: A shape, a dtype or a value is not as it must be.
    """
    _check_images(where, images)
    _check_one_an_image(f"{where}_labels", labels, len(images))
    if not np.issubdtype(labels.dtype, np.integer):
        raise InvalidDataError(f"{where}_labels must be integers, got {labels.dtype}")
    numbers = labels.astype(np.int64)
    if numbers.min() < 0:
        raise InvalidDataError(f"{where}_labels must not be negative, got {numbers.min()}")
    numbered = None
    if groups is not None:
        _check_one_an_image(f"{where}_track", groups, len(images))
        numbered = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    pixels = images if images.dtype == np.uint8 else images.astype(np.float32)
    return RawPart(pixels if images.ndim == 4 else pixels[..., None], numbers, numbered)


def _check_images(where: str, images: Shaped[np.ndarray, "..."]) -> None:
    shape = images.shape
    if images.ndim not in (3, 4) or 0 in shape:
        raise InvalidDataError(
            f"{where}_images must be (images, height, width) or (images, height, width, "
            f"channels), none of them 0; got {shape}"
        )
    if images.ndim == 4 and shape[3] > MOST_CHANNELS:
        raise InvalidDataError(
            f"{where}_images must have at most {MOST_CHANNELS} channels on the last axis, "
            f"got {shape}"
        )
    if images.dtype == np.uint8:
        return
    if not np.issubdtype(images.dtype, np.floating):
        raise InvalidDataError(
            f"{where}_images must be uint8, or float in [0, 1]; got {images.dtype}"
        )
    low, high = images.min(), images.max()  # NaN if any pixel is NaN
    if not (low >= 0 and high <= 1):
        raise InvalidDataError(
            f"{where}_images of type {images.dtype} must lie in [0, 1], "
            f"got values from {low:g} to {high:g}"
        )


def _check_one_an_image(what: str, values: Shaped[np.ndarray, "..."], n_images: int) -> None:
    if values.shape != (n_images,):
        raise InvalidDataError(
            f"{what} must have one value an image, so shape ({n_images},); got {values.shape}"
        )
