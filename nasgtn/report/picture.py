"""A picture of the synthetic curriculum: one PNG, a row a class, a block of columns a batch."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_CLASSES = 48
MAX_IMAGES = 12
"""Of one class, in all batches together."""
_MAX_PIXELS = 150_000  # of the whole PNG, which then has at most about half a megabyte


@dataclass(frozen=True)
class Curriculum:
    """The picture, and what lies where in it."""

    png: bytes
    batches: tuple[int, ...]
    """First, middle and last batch, counted from one."""
    n_images: int
    """Columns of each batch."""
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """Name of a class, and how many of the columns of each batch hold an image of it."""
    n_classes: int
    """All of them, shown or not."""


def picture(
    images: NDArray[np.uint8], labels: NDArray[np.integer[Any]], class_names: Sequence[str]
) -> Curriculum | None:
    """Lay out images (batches, images, height, width, channels) by class and batch.

    None where there are no images of these classes. Large images are made smaller.
    """
    if images.size == 0 or not class_names:
        return None
    n_batches, _, height, width, _ = images.shape
    batches = sorted({0, (n_batches - 1) // 2, n_batches - 1})
    n_rows = min(len(class_names), MAX_CLASSES)
    most = max(
        1, min(MAX_IMAGES // len(batches), _MAX_PIXELS // (height * width * n_rows * len(batches)))
    )
    found = [
        [images[batch][labels[batch] == label][:most] for batch in batches]
        for label in range(n_rows)
    ]
    n_images = max(len(cell) for cells in found for cell in cells)
    if not n_images:
        return None
    sheet = np.zeros((n_rows, len(batches), n_images, height, width, 3), dtype=np.uint8)
    for row, cells in enumerate(found):
        for column, cell in enumerate(cells):
            # Grey is repeated; of other than three channels the first is shown.
            sheet[row, column, : len(cell)] = cell if images.shape[-1] == 3 else cell[..., :1]
    pixels = sheet.transpose(0, 3, 1, 2, 4, 5).reshape(n_rows * height, -1, 3)
    return Curriculum(
        png=_png(pixels, n_rows, len(batches) * n_images),
        batches=tuple(batch + 1 for batch in batches),
        n_images=n_images,
        rows=tuple(
            (str(name), tuple(len(cell) for cell in cells))
            for name, cells in zip(class_names[:n_rows], found, strict=True)
        ),
        n_classes=len(class_names),
    )


def _png(pixels: NDArray[np.uint8], n_rows: int, n_columns: int) -> bytes:
    image = Image.fromarray(pixels)
    shrink = (_MAX_PIXELS / (image.width * image.height)) ** 0.5
    if shrink < 1:  # each image by a whole number of pixels, so that they stay apart
        width, height = (
            max(1, int(length * shrink / n)) * n
            for length, n in ((image.width, n_columns), (image.height, n_rows))
        )
        image = image.resize((width, height), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()
