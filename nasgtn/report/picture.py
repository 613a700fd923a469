"""A picture of the synthetic curriculum: one PNG, and where in it each image lies."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_CLASSES = 48
MAX_IMAGES = 4
"""Of one class at one step."""
_MAX_PIXELS = 150_000  # of the whole PNG, which then has at most about half a megabyte
_SHOWN = 40  # CSS pixels of one image


@dataclass(frozen=True)
class Cell:
    """The images of one class at one step: their offsets in the PNG, in CSS pixels."""

    offsets: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Curriculum:
    """What the page needs to show the picture as a table of classes and steps."""

    png: str
    """Base64."""
    width: int
    height: int
    """Of the PNG as shown, in CSS pixels."""
    size: int
    """Of one image as shown, in CSS pixels."""
    steps: tuple[int, ...]
    """First, middle and last step, counted from one."""
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    """Name of a class, and a cell for each of the steps."""
    n_classes: int
    """All of them, shown or not."""


def picture(
    images: NDArray[np.uint8], labels: NDArray[np.integer[Any]], class_names: Sequence[str]
) -> Curriculum | None:
    """Lay out images (steps, images, height, width, channels) by class and step."""
    if images.size == 0:
        return None
    steps = sorted({0, (len(images) - 1) // 2, len(images) - 1})
    n_rows = min(len(class_names), MAX_CLASSES)
    per_cell = _images_per_cell(images.shape[2] * images.shape[3], n_rows * len(steps))
    tiles: list[NDArray[np.uint8]] = []
    rows = []
    for label in range(n_rows):
        cells = []
        for step in steps:
            found = images[step][labels[step] == label][:per_cell]
            cells.append(range(len(tiles), len(tiles) + len(found)))
            tiles.extend(found)
        rows.append((str(class_names[label]), cells))
    if not tiles:
        return None
    n_columns = int(np.ceil(np.sqrt(len(tiles))))
    return Curriculum(
        png=_png(tiles, n_columns),
        width=n_columns * _SHOWN,
        height=-(-len(tiles) // n_columns) * _SHOWN,
        size=_SHOWN,
        steps=tuple(step + 1 for step in steps),
        rows=tuple(
            (name, tuple(Cell(tuple(_offset(i, n_columns) for i in cell)) for cell in cells))
            for name, cells in rows
        ),
        n_classes=len(class_names),
    )


def _images_per_cell(n_pixels: int, n_cells: int) -> int:
    return max(1, min(MAX_IMAGES, _MAX_PIXELS // (n_pixels * n_cells)))


def _offset(index: int, n_columns: int) -> tuple[int, int]:
    return index % n_columns * _SHOWN, index // n_columns * _SHOWN


def _png(tiles: Sequence[NDArray[np.uint8]], n_columns: int) -> str:
    height, width, n_channels = tiles[0].shape
    n_rows = -(-len(tiles) // n_columns)
    sheet = np.zeros((n_rows * height, n_columns * width, 3), dtype=np.uint8)
    for index, tile in enumerate(tiles):
        y, x = index // n_columns * height, index % n_columns * width
        # Grey is repeated; of other than three channels the first is shown.
        sheet[y : y + height, x : x + width] = tile if n_channels == 3 else tile[..., :1]
    image = Image.fromarray(sheet)
    n_pixels = sheet.shape[0] * sheet.shape[1]
    if n_pixels > _MAX_PIXELS:
        scale = (_MAX_PIXELS / n_pixels) ** 0.5
        size = (
            max(n_columns, int(width * scale) * n_columns),
            max(n_rows, int(height * scale) * n_rows),
        )
        image = image.resize(size, Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
