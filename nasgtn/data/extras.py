"""Datasets of other packages, which are imported only when they are asked for."""

import importlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image

from nasgtn.data.folders import UNREADABLE, decode, stack
from nasgtn.data.raw import RawDataset, RawPart, raw_part
from nasgtn.errors import InvalidDataError, UnknownNameError

PHOTOS = frozenset({"cifar10", "cifar100", "stl10"})
"""Well-known photos, whose class survives a horizontal flip."""

HUGGING_FACE_SPLITS = {
    "train": ("train",),
    "val": ("validation", "valid", "val"),
    "test": ("test",),
}

Example = tuple[Image.Image, int]


def read_hugging_face(name: str, *, image_size: int | None) -> RawDataset:
    """Read a Hugging Face dataset by its name, or from a folder (saved, parquet, images).

    Its first column of images and its first column of class labels are used.

    Raises:
        InvalidDataError: The package is missing, the dataset cannot be had, or has no such
            columns or no split `train`; images differ in size and no `image_size` is given.
    """
    package = _import("datasets", extra="datasets")
    where = f"hf:{name}"
    is_saved = any((Path(name) / file).exists() for file in ("dataset_dict.json", "state.json"))
    try:
        loaded = package.load_from_disk(name) if is_saved else package.load_dataset(name)
    except Exception as error:  # network and formats raise dozens of kinds
        raise InvalidDataError(f"{where} cannot be loaded: {_first_line(error)}") from error
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    if "train" not in splits:
        raise InvalidDataError(f"{where} must have a split train, got {', '.join(splits)}")
    image_column, label_column = _columns(where, splits["train"].features, package)
    parts = {
        part: splits[split].select_columns([image_column, label_column])
        for part, names in HUGGING_FACE_SPLITS.items()
        for split in names
        if split in splits
    }
    return _dataset(
        where,
        {
            part: ((row[image_column], row[label_column]) for row in rows)
            for part, rows in parts.items()
        },
        class_names=getattr(splits["train"].features[label_column], "names", None),
        image_size=image_size,
    )


def read_torchvision(name: str, *, image_size: int | None) -> RawDataset:
    """Read one of `torchvision.datasets` by its class name, downloading it where it is not yet.

    Files are kept in the folder `datasets` of torch's cache.

    Raises:
        InvalidDataError: The package is missing, or the dataset cannot be had; images differ in
            size and no `image_size` is given.
        UnknownNameError: torchvision has no image classification dataset of that name.
    """
    package = _import("torchvision.datasets", extra="torchvision")
    settings = {
        kind: inspect.signature(getattr(package, kind)).parameters for kind in package.__all__
    }
    known = [kind for kind, names in settings.items() if "train" in names or "split" in names]
    if name not in known:
        raise UnknownNameError.of("torchvision dataset", name, known)
    where = f"torchvision:{name}"
    options: dict[str, object] = {"root": Path(torch.hub.get_dir()) / "datasets" / name}
    if "download" in settings[name]:
        options["download"] = True
    by_flag = "train" in settings[name]
    try:
        train, test = (
            getattr(package, name)(
                **options, **({"train": part == "train"} if by_flag else {"split": part})
            )
            for part in ("train", "test")
        )
    except Exception as error:  # each of the classes raises in its own way
        raise InvalidDataError(f"{where} cannot be loaded: {_first_line(error)}") from error
    return _dataset(
        where,
        {"train": train, "test": test},
        class_names=getattr(train, "classes", None),
        image_size=image_size,
    )


def _import(module: str, *, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # torchvision's operators may not fit
        raise InvalidDataError(
            f"this dataset needs the package {module.partition('.')[0]} "
            f"(pip install 'nasgtn[{extra}]'), but importing it failed: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _columns(where: str, features: Mapping[str, object], package: ModuleType) -> tuple[str, str]:
    """Name the columns of images and of labels."""
    images = [name for name, kind in features.items() if isinstance(kind, package.Image)]
    labels = [name for name, kind in features.items() if isinstance(kind, package.ClassLabel)]
    labels += [name for name in ("label", "labels") if name in features]
    if not images or not labels:
        columns = ", ".join(f"{name} ({type(kind).__name__})" for name, kind in features.items())
        raise InvalidDataError(
            f"{where} must have a column of images and one of class labels, got {columns}"
        )
    return images[0], labels[0]


def _dataset(
    where: str,
    examples: Mapping[str, Iterable[Example]],
    *,
    class_names: Sequence[str] | None,
    image_size: int | None,
) -> RawDataset:
    parts = {name: _part(where, name, rows, image_size) for name, rows in examples.items()}
    is_grey = all(part.images.shape[3] == 1 for part in parts.values())
    if class_names is None:
        class_names = tuple(map(str, range(parts["train"].labels.max() + 1)))
    name = where.rstrip("/").replace("/", ":").rpartition(":")[2]
    return RawDataset(
        name=name,
        class_names=tuple(map(str, class_names)),
        train=_with_channels(parts["train"], is_grey),
        validation=_with_channels(parts["val"], is_grey) if "val" in parts else None,
        test=_with_channels(parts["test"], is_grey) if "test" in parts else None,
        flips=name.lower() in PHOTOS,
    )


def _with_channels(part: RawPart, is_grey: bool) -> RawPart:
    """Give grey images three equal channels where another part has colours."""
    if is_grey or part.images.shape[3] > 1:
        return part
    return RawPart(np.repeat(part.images, 3, axis=3), part.labels)


def _part(where: str, part: str, rows: Iterable[Example], image_size: int | None) -> RawPart:
    images, labels = [], []
    size = None if image_size is None else (image_size, image_size)
    try:
        for image, label in rows:
            images.append(decode(image, size))
            labels.append(label)
    except UNREADABLE as error:
        raise InvalidDataError(
            f"{where}: {part} image {len(images)} must be readable: {_first_line(error)}"
        ) from error
    sizes = sorted({f"{image.shape[1]}x{image.shape[0]}" for image in images})
    if len(sizes) > 1:
        raise InvalidDataError(
            f"{where}: images must have one size, or data.image_size must say which; "
            f"got {', '.join(sizes[:3])}"
        )
    if not images:
        raise InvalidDataError(f"{where}: {part} must hold images, got none")
    is_grey = all(image.ndim == 2 for image in images)
    return raw_part(f"{where}: {part}", stack(images, is_grey), np.array(labels))
