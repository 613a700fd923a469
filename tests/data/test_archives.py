import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nasgtn.data.archives import read_archive
from nasgtn.errors import InvalidDataError

Arrays = dict[str, np.ndarray]


def grey_arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (12, 5, 4), dtype=np.uint8),
        "train_labels": np.arange(12, dtype=np.uint8) % 3,
    }


def write(folder: Path, **changes: np.ndarray | None) -> Path:
    path = folder / "signs.npz"
    arrays = {key: value for key, value in (grey_arrays() | changes).items() if value is not None}
    np.savez(path, allow_pickle=False, **arrays)
    return path


def test_reads_grey_and_colour_and_optional_parts(tmp_path: Path) -> None:
    arrays = grey_arrays()
    raw = read_archive(write(tmp_path))
    assert raw.name == "signs"
    assert raw.class_names == ("0", "1", "2")
    assert np.array_equal(raw.train.images[..., 0], arrays["train_images"])
    assert raw.train.labels.dtype == np.int64
    assert raw.validation is None
    assert raw.test is None

    colour = np.zeros((6, 5, 4, 3), dtype=np.uint8)
    labels = np.array([0, 1, 2, 0, 1, 2], dtype=np.int32)
    raw = read_archive(
        write(
            tmp_path,
            train_images=colour,
            train_labels=labels,
            val_images=colour[:2],
            val_labels=labels[:2],
            test_images=colour[:3],
            test_labels=labels[:3],
            train_track=np.array([7, 7, 8, 9, 9, 8]),
            class_names=np.array(["stop", "go", "<b>yield</b>", "never seen"]),
        )
    )
    assert raw.class_names == ("stop", "go", "<b>yield</b>", "never seen")
    assert [(name, len(part.labels)) for name, part in raw.parts()] == [
        ("train", 6),
        ("validation", 2),
        ("test", 3),
    ]
    assert raw.train.groups is not None
    assert raw.train.groups.tolist() == [0, 0, 1, 2, 2, 1]


def test_reads_floats_in_zero_to_one(tmp_path: Path) -> None:
    images = grey_arrays()["train_images"] / np.float32(255)
    for dtype in ("<f4", ">f4", "f8"):
        raw = read_archive(write(tmp_path, train_images=images.astype(dtype)))
        assert raw.train.images.dtype == np.float32
        assert np.array_equal(raw.train.images[..., 0], images)


IMAGES = grey_arrays()["train_images"]
LABELS = grey_arrays()["train_labels"]


def with_nan() -> np.ndarray:
    images = IMAGES / 255
    images[3, 2, 1] = np.nan
    return images


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": None}, "must hold train_labels too"),
        ({"train_images": None, "train_labels": None}, "must hold train_images and train_labels"),
        ({"test_images": IMAGES}, "must hold test_labels too"),
        ({"train_images": IMAGES[0]}, r"\(images, height, width\).*got \(5, 4\)"),
        ({"train_images": IMAGES[:0], "train_labels": LABELS[:0]}, r"got \(0, 5, 4\)"),
        ({"train_images": np.zeros((12, 3, 8, 8), np.uint8)}, r"4 channels on the last axis"),
        ({"train_images": IMAGES.astype(np.int64)}, "uint8, or float .* got int64"),
        ({"train_images": IMAGES.astype(str)}, "uint8, or float .* got <U3"),
        ({"train_images": IMAGES.astype(np.float32)}, r"must lie in \[0, 1\].*to 25"),
        ({"train_images": with_nan()}, r"must lie in \[0, 1\].*nan"),
        ({"train_images": IMAGES / -255}, r"must lie in \[0, 1\], got values from -"),
        ({"train_labels": LABELS[:-1]}, r"one value an image, so shape \(12,\); got \(11,\)"),
        ({"train_labels": np.eye(12)}, r"got \(12, 12\)"),
        ({"train_labels": LABELS.astype(np.float32)}, "must be integers, got float32"),
        ({"train_labels": LABELS.astype(np.int8) - 1}, "must not be negative, got -1"),
        ({"train_labels": LABELS * 2}, "each label from 0 to 4 .* but 1 has none"),
        ({"train_labels": LABELS + np.int64(2**40)}, "each label from 0 to .* but 0 has none"),
        ({"train_labels": LABELS + np.uint64(2**63)}, "must not be negative"),
        ({"class_names": np.array(["a", "b"])}, "below the number of classes 2, got 2"),
        ({"class_names": np.arange(3)}, "class_names must be a list of text, got int64"),
        ({"train_labels": LABELS * 0}, "at least two classes, got 1"),
        ({"train_track": LABELS[:3]}, r"_track must have one value an image"),
        (
            {"test_images": IMAGES[:, 1:], "test_labels": LABELS},
            r"one shape, got \(5, 4, 1\) in train and \(4, 4, 1\) in test",
        ),
        (
            {"test_images": IMAGES, "test_labels": LABELS + 1},
            "test labels must be below the number of classes 3, got 3",
        ),
        (
            {
                "train_labels": LABELS % 2,
                "test_images": IMAGES,
                "test_labels": LABELS,
                "class_names": np.array(["a", "b", "c"]),
            },
            "class 'c' is in test alone",
        ),
    ],
)
def test_refuses_bad_arrays_in_one_line(
    tmp_path: Path, changes: dict[str, np.ndarray | None], message: str
) -> None:
    with pytest.raises(InvalidDataError, match=message) as caught:
        read_archive(write(tmp_path, **changes))
    assert "\n" not in str(caught.value)
    assert "signs" in str(caught.value)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def flipped_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"train_images": IMAGES}))


def object_array(path: Path) -> None:
    np.savez(path, train_images=IMAGES, train_labels=np.array([*range(11), None]))


def single_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, IMAGES)


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "damage", [truncated, flipped_byte, empty, pickled, object_array, single_array, removed]
)
def test_refuses_damaged_files_in_one_line(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = write(tmp_path)
    damage(path)
    with pytest.raises(InvalidDataError, match="npz") as caught:
        read_archive(path)
    assert "\n" not in str(caught.value)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return Path.touch, (witness,)

    path = tmp_path / "bomb.npz"
    np.savez(path, train_images=np.array([Bomb()], dtype=object), train_labels=np.array([0]))
    with pytest.raises(InvalidDataError, match="allow_pickle"):
        read_archive(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InvalidDataError, match="allow_pickle"):
        read_archive(path)
    assert not witness.exists()
