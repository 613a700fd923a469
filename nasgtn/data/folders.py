"""Datasets in a folder: one sub-folder of images a class."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from nasgtn.data.raw import RawDataset, RawPart, raw_part
from nasgtn.errors import InvalidDataError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
DEFAULT_SIZE = 32
GREY_MODES = frozenset({"1", "L", "LA", "La"})
PART_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}

UNREADABLE = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)
"""What Pillow raises on damaged images."""

Pixels = UInt8[np.ndarray, "height width"] | UInt8[np.ndarray, "height width channels"]


def read_folder(path: Path, *, image_size: int | None) -> RawDataset:
    """Read `path/CLASS/*.png` (or .jpg, ...), or `path/train/CLASS/*.png` with val/ and test/.

    Classes are the sorted names of the sub-folders. Images become squares of `image_size` pixels
    a side (32 where it is None); grey if every file is stored as grey, else RGB. Files of other
    kinds and hidden ones are passed over.

    Raises:
        InvalidDataError: There are no classes, a class is empty, or an image cannot be read.
    """
    if not path.is_dir():
        raise InvalidDataError(f"the dataset must be an existing folder, got {path}")
    folders = _part_folders(path)
    class_names = tuple(folder.name for folder in _sub_folders(folders["train"]))
    if not class_names:
        raise InvalidDataError(
            f"a dataset folder must hold one sub-folder of images a class, got none in "
            f"{folders['train']}"
        )
    size = image_size or DEFAULT_SIZE
    listed = {name: _list_part(folder, class_names) for name, folder in folders.items()}
    pictures = {
        name: [_read_image(file, size) for file, _ in files] for name, files in listed.items()
    }
    is_grey = all(image.ndim == 2 for images in pictures.values() for image in images)
    parts: dict[str, RawPart] = {}
    for name, files in listed.items():
        labels = np.array([label for _, label in files], dtype=np.int64)
        parts[name] = raw_part(f"{path}: {name}", stack(pictures.pop(name), is_grey), labels)
    return RawDataset(
        name=path.resolve().name,
        class_names=class_names,
        train=parts["train"],
        validation=parts.get("val"),
        test=parts.get("test"),
    )


def decode(image: Image.Image, size: tuple[int, int] | None) -> Pixels:
    """Turn a picture into pixels in [0, 255]: two axes if it is stored as grey, else RGB.

    Args:
        image: Of 8 or 16 bits; transparency is dropped, and the orientation that a camera noted
            is applied.
        size: Width and height to resize to, smoothly.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.mode in ("I", "F"):
        raise ValueError(f"pixels must have 8 or 16 bits, got mode {upright.mode}")
    if upright.mode == "P":  # its transparency may be text that only RGBA understands
        upright = upright.convert("RGBA")
    plain = upright.convert("L" if upright.mode in GREY_MODES else "RGB")
    if size is not None and plain.size != size:
        plain = plain.resize(size, Image.Resampling.BILINEAR)
    return np.array(plain, dtype=np.uint8)


def stack(images: Sequence[Pixels], is_grey: bool) -> UInt8[np.ndarray, "n height width channels"]:
    """Put pictures of one size together; grey ones among colours get three equal channels."""
    height, width = images[0].shape[:2]
    stacked = np.empty((len(images), height, width, 1 if is_grey else 3), dtype=np.uint8)
    for row, image in zip(stacked, images, strict=True):
        row[:] = image if image.ndim == 3 else image[..., None]
    return stacked


def _part_folders(path: Path) -> dict[str, Path]:
    """Find train/, val/ and test/ where train/ has classes of its own, else train alone."""
    train = path / "train"
    if not train.is_dir() or not _sub_folders(train):
        return {"train": path}
    found = {}
    for part, names in PART_FOLDERS.items():
        for name in names:
            if (path / name).is_dir():
                found[part] = path / name
    return found


def _sub_folders(path: Path) -> list[Path]:
    return sorted(
        entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def _list_part(folder: Path, class_names: tuple[str, ...]) -> list[tuple[Path, int]]:
    files: list[tuple[Path, int]] = []
    for class_folder in _sub_folders(folder):
        if class_folder.name not in class_names:
            raise InvalidDataError(
                f"{class_folder}: every class must have a folder in train, "
                f"got {', '.join(class_names)} there"
            )
        images = [
            file
            for file in sorted(class_folder.rglob("*"))
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        ]
        if not images:
            raise InvalidDataError(f"{class_folder}: a class folder must hold images, got none")
        files += [(file, class_names.index(class_folder.name)) for file in images]
    if not files:
        raise InvalidDataError(f"{folder} must hold one sub-folder of images a class, got none")
    return files


def _read_image(file: Path, size: int) -> Pixels:
    try:
        with Image.open(file) as image:
            return decode(image, (size, size))
    except UNREADABLE as error:
        raise InvalidDataError(f"{file} must be a readable image: {error}") from error
