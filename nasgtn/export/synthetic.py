"""The synthetic training set in a folder: arrays, pictures, a loader, an example."""

import re
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from nasgtn.data import pixels
from nasgtn.export.card import escape
from nasgtn.export.folder import copy_example, whole_folder
from nasgtn.gtn import SyntheticData
from nasgtn.task import Task

ARRAYS, PICTURES = "synthetic.npz", "images"
SCRIPTS = ("synthetic_data.py", "train_on_it.py")
SHOWN = (1, 3)
"""Numbers of channels that a picture has: grey, or red, green and blue."""

_CARD = """# Synthetic training data for {name}

{n_steps} steps with a batch of {batch} images each, {width} x {height} pixels; {different} of the
batches differ, and come in turn. They were made by a generator that was trained so that small
networks learn the task from these few steps. They are
made to rank architectures, not to replace the real images: what one kind of network learns from
them, another may not, and they need not look like anything.

- `synthetic.npz`: `images` (steps, batch, channels, height, width; float32, normalised), `labels`
  (steps, batch, classes; probabilities), `learning_rates` and `momenta` (steps), `class_names`,
  `mean` and `std` (channels, of pixels in [0, 1]). It loads without pickle.
{pictures}- `synthetic_data.py`: `SyntheticBatches`, a dataset for `torch.utils.data.DataLoader`.
- `train_on_it.py`: trains a network of your own on it, with torch and numpy alone. Put your
  network in the place of `make_network`.

```
python train_on_it.py               # prints the loss
python train_on_it.py real.npz      # and the accuracy on real test_images and test_labels
```

The order of the batches matters, and so do learning rates and momenta, for the optimiser of
nasgtn's inner loop: another optimiser needs rates of its own.
"""
_PICTURES = """\
- `images/CLASS/`: the same images as 8-bit PNG files, cut off at black and white; each in
  the folder of its likeliest class, named after its batch and its place in it.
"""


def export_synthetic(
    synthetic: SyntheticData, task: Task, destination: Path, *, n_batches: int | None = None
) -> Path:
    """Write the synthetic training set into a new folder, whole or not at all.

    The arrays are exact. The pictures are rounded, and are there for images of one or three
    channels; see the folder's README.md.

    Args:
        synthetic: The steps of a learner.
        task: What they teach.
        destination: A new folder.
        n_batches: Different ones among the steps, which come in turn: each has its pictures once.

    Raises:
        ArtefactError: The destination exists or cannot be written.
    """
    n_steps, batch, n_channels, height, width = synthetic.images.shape
    with whole_folder(destination) as folder:
        _write_arrays(synthetic, task, folder / ARRAYS)
        if n_channels in SHOWN:
            _write_pictures(
                synthetic.images[:n_batches], synthetic.labels, task, folder / PICTURES
            )
        for name in SCRIPTS:
            copy_example(name, folder)
        card = _CARD.format(
            name=escape(task.name),
            n_steps=n_steps,
            different=n_batches or n_steps,
            batch=batch,
            width=width,
            height=height,
            pictures=_PICTURES if n_channels in SHOWN else "",
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
    return destination


def class_folder(index: int, n_classes: int, name: str) -> str:
    """Name the folder of a class: safe on any disk, unique, and sorted as the classes are.

    >>> class_folder(7, 43, "../speed limit: 50")
    '07-speed-limit-50'
    """
    text = re.sub(r"\W+", "-", name).strip("-")[:40]
    number = str(index).zfill(len(str(n_classes - 1)))
    return f"{number}-{text}" if text else number


def _write_arrays(synthetic: SyntheticData, task: Task, path: Path) -> None:
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in synthetic._asdict().items()}
    np.savez_compressed(
        path,
        **arrays,
        class_names=np.array(task.class_names, dtype=np.str_),
        mean=np.array(task.mean, dtype=np.float32),
        std=np.array(task.std, dtype=np.float32),
    )


def _write_pictures(images: Tensor, labels: Tensor, task: Task, folder: Path) -> None:
    folders = [
        folder / class_folder(index, task.n_classes, name)
        for index, name in enumerate(task.class_names)
    ]
    for one in folders:
        one.mkdir(parents=True)
    likeliest = labels.detach().cpu().argmax(dim=2)
    pictures = pixels(images, task).numpy()
    for step, row in enumerate(pictures):
        for place, picture in enumerate(row):
            grey_or_colour = picture[..., 0] if picture.shape[-1] == 1 else picture
            path = folders[int(likeliest[step, place])] / f"step{step:04d}-{place:04d}.png"
            Image.fromarray(grey_or_colour).save(path)
