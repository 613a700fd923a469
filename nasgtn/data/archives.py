"""Datasets in one `.npz` file."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from nasgtn.data.raw import RawDataset, RawPart, raw_part
from nasgtn.errors import InvalidDataError

Arrays = dict[str, Shaped[np.ndarray, "..."]]

KEYS = frozenset(
    f"{part}_{what}" for part in ("train", "val", "test") for what in ("images", "labels")
) | {"train_track", "class_names"}

UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise on damaged, encrypted or pickled archives."""


def read_archive(path: Path) -> RawDataset:
    """Read arrays `train_images` and `train_labels`, and the same of `val` and `test`, if any.

    `class_names` is optional text, one a class; without it each label from 0 to the highest must
    have training images. `train_track` is optional: images of one track stay on one side when
    a part is cut from train.

    Raises:
        InvalidDataError: The file cannot be read, or an array is not as it must be.
    """
    arrays = _load(path)
    train = _part(path, arrays, "train")
    if train is None:
        raise InvalidDataError(
            f"{path} must hold train_images and train_labels, "
            f"got {', '.join(sorted(arrays)) or 'no known array'}"
        )
    validation, test = (_part(path, arrays, name) for name in ("val", "test"))
    return RawDataset(
        name=path.stem,
        class_names=_class_names(path, arrays, train),
        train=train,
        validation=validation,
        test=test,
    )


def _load(path: Path) -> Arrays:
    if not path.is_file():
        raise InvalidDataError(f"the dataset must be an existing .npz file, got {path}")
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InvalidDataError(f"{path} must be an .npz archive, got a single array")
            arrays = {key: archive[key] for key in archive.files if key in KEYS}
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidDataError(
            f"{path} must be a whole .npz archive of plain arrays, but reading it failed: {reason}"
        ) from error
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise InvalidDataError(f"{path}: {key} must be an array, got {type(array).__name__}")
    return arrays


def _part(path: Path, arrays: Arrays, name: str) -> RawPart | None:
    images, labels = arrays.get(f"{name}_images"), arrays.get(f"{name}_labels")
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        missing = f"{name}_images" if images is None else f"{name}_labels"
        raise InvalidDataError(f"{path} must hold {missing} too: images and labels go together")
    return raw_part(f"{path}: {name}", images, labels, arrays.get(f"{name}_track"))


def _class_names(path: Path, arrays: Arrays, train: RawPart) -> tuple[str, ...]:
    names = arrays.get("class_names")
    if names is None:
        present = np.unique(train.labels)
        gaps = np.flatnonzero(present != np.arange(len(present)))
        if len(gaps):
            raise InvalidDataError(
                f"{path}: without class_names each label from 0 to {present[-1]} must have "
                f"training images, but {gaps[0]} has none"
            )
        return tuple(map(str, present))
    if names.ndim != 1 or names.dtype.kind != "U":
        raise InvalidDataError(
            f"{path}: class_names must be a list of text, got {names.dtype} of shape {names.shape}"
        )
    return tuple(map(str, names))
