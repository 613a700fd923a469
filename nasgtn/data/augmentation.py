"""Random changes to training images that keep their class."""

import torch
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "batch channels height width"]


def augment(
    images: Images, rng: torch.Generator, *, shift: int, flip: bool, cutout: int = 0
) -> Images:
    """Shift each image by up to `shift` pixels each way, mirror half of them, cut a square out.

    A shift repeats the pixels of the border, so it equals a random crop of the padded image.

    Args:
        images: Read, never changed; 0 is the mean pixel.
        rng: On the CPU; draws the same numbers whatever the device of the images.
        shift: 0 for none.
        flip: Mirror every second image, on average.
        cutout: Side of the square that is set to 0, in pixels; parts of it may lie outside.
    """
    if shift or flip:
        images = _move(images, rng, shift, flip)
    return _cut_out(images, rng, cutout) if cutout else images


def _move(images: Images, rng: torch.Generator, shift: int, flip: bool) -> Images:
    n, channels, height, width = images.shape
    offset = torch.randint(-shift, shift + 1, (2, n, 1), generator=rng)
    rows = (torch.arange(height) + offset[0]).clamp(0, height - 1)
    columns = (torch.arange(width) + offset[1]).clamp(0, width - 1)
    if flip:
        is_mirrored = torch.rand(n, 1, generator=rng) < 0.5
        columns = torch.where(is_mirrored, columns.flip(1), columns)
    index = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, height * width)
    index = index.to(images.device).expand(-1, channels, -1)
    return images.flatten(2).gather(2, index).view_as(images)


def _cut_out(images: Images, rng: torch.Generator, side: int) -> Images:
    n, _, height, width = images.shape
    is_row, is_column = (
        _stripe(torch.randint(length, (n, 1), generator=rng), side, length)
        for length in (height, width)
    )
    is_cut = (is_row[:, :, None] & is_column[:, None, :])[:, None]
    return images.masked_fill(is_cut.to(images.device), 0)


def _stripe(middle: Tensor, side: int, length: int) -> Tensor:
    start = middle - side // 2
    place = torch.arange(length)
    return (place >= start) & (place < start + side)
