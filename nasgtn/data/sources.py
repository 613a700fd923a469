"""Where datasets come from: a name or a path in, normalised splits out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from nasgtn.data.archives import read_archive
from nasgtn.data.extras import read_hugging_face, read_torchvision
from nasgtn.data.folders import read_folder
from nasgtn.data.raw import RawDataset, RawPart, raw_part
from nasgtn.data.splits import Part, Splits
from nasgtn.data.splitting import prefix_with_all_classes, stratified_cut, stratified_order
from nasgtn.errors import InvalidConfigError, InvalidDataError, UnknownNameError
from nasgtn.randomness import derive_seed
from nasgtn.task import Task

SOURCES = {
    "digits": "1,797 handwritten digits of 8x8 grey pixels, embedded",
    "FILE.npz": "arrays train_images, train_labels and, optionally, test_*, val_*, class_names",
    "FOLDER": "one sub-folder of images a class, optionally inside of train/, val/ and test/",
    "hf:NAME": "a Hugging Face dataset, or a folder of one (pip install 'nasgtn[datasets]')",
    "torchvision:NAME": "a torchvision dataset (pip install 'nasgtn[torchvision]')",
}
"""How a dataset is named, and what that means."""

CONSTANT = 1e-6
"""A channel that deviates less than this (pixels in [0, 1]) is constant, and only centred."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images to learn from, and how they are split."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str = "digits"
    """`digits`, the path of an .npz file or of a folder, `hf:NAME` or `torchvision:NAME`."""
    validation_fraction: float = 0.2
    """Share of the training images, in (0, 1); used where the source has no validation part."""
    test_fraction: float = 0.2
    """Share of all images, in (0, 1); used where the source has no test part."""
    image_size: int | None = None
    """Resize to a square of this many pixels a side; None keeps the size (32 for folders)."""
    max_images: int | None = None
    """Keep at most this many training images, each class its share."""
    flips: bool | None = None
    """Whether a mirrored image keeps its class. None: no, unless the source is a well-known set
    of photos (cifar10, cifar100 or stl10, by name), since a wrong flip destroys labels."""

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidConfigError("data.name must not be empty")
        for name in ("validation_fraction", "test_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise InvalidConfigError(
                    f"data.{name} must be in (0, 1), got {getattr(self, name)}"
                )
        for name, least in (("image_size", 1), ("max_images", 2)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InvalidConfigError(f"data.{name} must be at least {least}, got {value}")


def load_splits(config: DataConfig, *, seed: int) -> Splits:
    """Read a dataset, cut the parts that it lacks, and normalise it.

    Cuts are stratified; parts are stored in a shuffled, stratified order, so that any prefix has
    about the class shares of the whole. Images are normalised a channel with the mean and
    deviation of the training part. The same seed gives the same splits.

    Raises:
        InvalidDataError: The data cannot be read, or is not as it must be.
        UnknownNameError: The dataset's name is not a known one.
    """
    raw = _complete(_read(config), config, seed)
    parts = {
        name: _ordered(part, derive_seed(seed, "data", "order", name))
        for name, part in raw.parts()
    }
    if config.max_images is not None and len(parts["train"].labels) > config.max_images:
        kept = prefix_with_all_classes(parts["train"].labels, config.max_images)
        parts["train"] = parts["train"].take(kept)
    labels = {name: torch.from_numpy(part.labels) for name, part in parts.items()}
    pixels = {name: _pixels(parts.pop(name), config.image_size) for name in labels}
    mean, std = _statistics(pixels["train"])
    task = Task(
        name=raw.name,
        n_channels=len(mean),
        height=pixels["train"].shape[2],
        width=pixels["train"].shape[3],
        class_names=raw.class_names,
        mean=mean,
        std=std,
        flips=raw.flips if config.flips is None else config.flips,
    )
    normalised = {
        name: Part(_normalise(images, task), labels[name]) for name, images in pixels.items()
    }
    return Splits(task=task, **normalised)


def dataset_names() -> list[dict[str, str]]:
    """List how datasets are named: `name` and `summary` of each kind of source."""
    return [{"name": name, "summary": summary} for name, summary in SOURCES.items()]


def describe_dataset(config: DataConfig, *, seed: int) -> dict[str, Any]:  # Any: it is JSON
    """Read a dataset and tell its shape, classes and counts, as values that JSON can hold."""
    splits = load_splits(config, seed=seed)
    task = splits.task
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        "name": task.name,
        "input_shape": list(task.input_shape),
        "n_classes": task.n_classes,
        "class_names": list(task.class_names),
        **{f"n_{name}": len(part) for name, part in parts.items()},
        "class_counts": {
            name: torch.bincount(part.labels, minlength=task.n_classes).tolist()
            for name, part in parts.items()
        },
        "mean": list(task.mean),
        "std": list(task.std),
        "flips": task.flips,
    }


def _read(config: DataConfig) -> RawDataset:
    kind, _, rest = config.name.partition(":")
    if config.name == "digits":
        return _read_digits()
    if kind == "hf":
        return read_hugging_face(rest, image_size=config.image_size)
    if kind == "torchvision":
        return read_torchvision(rest, image_size=config.image_size)
    path = Path(config.name)
    if path.is_dir():
        return read_folder(path, image_size=config.image_size)
    if path.suffix == ".npz":
        return read_archive(path)
    if path.exists() or len(path.parts) > 1:
        raise InvalidDataError(
            f"a dataset must be an existing folder or .npz file, got {config.name}"
        )
    raise UnknownNameError.of("dataset", config.name, SOURCES)


def _read_digits() -> RawDataset:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import, used here alone

    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)  # pixels come as 0 to 16
    return RawDataset(
        name="digits",
        class_names=tuple(map(str, range(10))),
        train=raw_part("digits: train", images, digits.target),
    )


def _complete(raw: RawDataset, config: DataConfig, seed: int) -> RawDataset:
    """Cut the parts that are missing: first test, then validation from what is left."""
    parts = dict(raw.parts())
    for name, fraction in (
        ("test", config.test_fraction),
        ("validation", config.validation_fraction),
    ):
        if name in parts:
            continue
        train = parts["train"]
        rest, cut = stratified_cut(
            train.labels,
            train.groups,
            fraction,
            seed=derive_seed(seed, "data", name),
            class_names=raw.class_names,
        )
        parts |= {"train": train.take(rest), name: train.take(cut)}
    return RawDataset(name=raw.name, class_names=raw.class_names, flips=raw.flips, **parts)


def _ordered(part: RawPart, seed: int) -> RawPart:
    return part.take(stratified_order(part.labels, seed=seed))


def _pixels(part: RawPart, image_size: int | None) -> Float[Tensor, "batch channels height width"]:
    """Turn images into float32 in [0, 1], channels first."""
    channels_first = torch.from_numpy(part.images).permute(0, 3, 1, 2)
    images = channels_first.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
    if part.images.dtype == np.uint8:
        images.div_(255)
    if image_size is not None and images.shape[2:] != (image_size, image_size):
        size = (image_size, image_size)
        images = F.interpolate(images, size=size, mode="bilinear", antialias=True)
    return images


def _statistics(
    images: Float[Tensor, "batch channels height width"],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, in float64; the same for any number of threads."""
    total = np.zeros(images.shape[1])
    squares = np.zeros(images.shape[1])
    for chunk in images.split(1024):
        values = chunk.numpy().astype(np.float64)
        total += values.sum(axis=(0, 2, 3))
        squares += np.square(values).sum(axis=(0, 2, 3))
    n = images.numel() / images.shape[1]
    mean = total / n
    std = np.sqrt(np.maximum(squares / n - mean**2, 0))
    std[std < CONSTANT] = 1
    return tuple(mean.tolist()), tuple(std.tolist())


def _normalise(
    images: Float[Tensor, "batch channels height width"], task: Task
) -> Float[Tensor, "batch channels height width"]:
    """Normalise in place: the images are ours, and there may be many."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (task.mean, task.std))
    return images.sub_(mean).div_(std)
