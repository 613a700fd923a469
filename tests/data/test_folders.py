from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nasgtn.data.folders import decode, read_folder
from nasgtn.errors import InvalidDataError


def save(path: Path, value: int | tuple[int, ...], mode: str = "RGB", size: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size, size), value).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for index, name in enumerate(("bee", "ant", "cat")):
        for copy in range(4):
            save(folder / name / f"{copy}.png", (10 * index, copy, 99), size=9 + copy)
    return folder


def test_classes_are_sorted_and_images_resized(photos: Path) -> None:
    raw = read_folder(photos, image_size=None)
    assert raw.name == "photos"
    assert raw.class_names == ("ant", "bee", "cat")
    assert raw.train.images.shape == (12, 32, 32, 3)
    assert raw.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    expected = [(10 * index, copy, 99) for index in (1, 0, 2) for copy in range(4)]
    assert raw.train.images[:, 16, 16].tolist() == [list(pixel) for pixel in expected]
    assert read_folder(photos, image_size=8).train.images.shape == (12, 8, 8, 3)


def test_ready_parts_are_kept(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        for name in ("a", "b"):
            save(tmp_path / part / name / "1.jpg", 50, "L")
    (tmp_path / "train" / ".cache").mkdir()
    raw = read_folder(tmp_path, image_size=6)
    assert [name for name, _ in raw.parts()] == ["train", "validation", "test"]
    assert raw.train.images.shape == (2, 6, 6, 1)
    save(tmp_path / "test" / "c" / "1.jpg", 50, "L")
    with pytest.raises(
        InvalidDataError, match="every class must have a folder in train, got a, b"
    ):
        read_folder(tmp_path, image_size=6)


def test_grey_stays_grey_until_one_image_has_colours(photos: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "grey" / name / "1.png", 70, "L")
        save(tmp_path / "grey" / name / "2.PNG", 70, "L")
    assert read_folder(tmp_path / "grey", image_size=4).train.images.shape == (4, 4, 4, 1)
    save(tmp_path / "grey" / "b" / "3.png", (1, 2, 3))
    images = read_folder(tmp_path / "grey", image_size=4).train.images
    assert images.shape == (5, 4, 4, 3)
    assert images[0, 0, 0].tolist() == [70, 70, 70]
    assert images[4, 0, 0].tolist() == [1, 2, 3]


def test_other_files_are_passed_over(photos: Path) -> None:
    (photos / "ant" / "labels.csv").write_text("a,b")
    (photos / "ant" / ".hidden.png").write_text("no image")
    (photos / "README.md").write_text("text")
    assert len(read_folder(photos, image_size=4).train.labels) == 12


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (2, 2), 9), 9),
        (Image.new("1", (2, 2), 1), 255),
        (Image.new("LA", (2, 2), (9, 0)), 9),
        (Image.fromarray(np.full((2, 2), 0x1234, np.uint16)), 0x12),
        (Image.new("RGBA", (2, 2), (1, 2, 3, 0)), [1, 2, 3]),
        (Image.new("RGB", (2, 2), (1, 2, 3)).quantize(4), [1, 2, 3]),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_each_kind_of_pixel_is_understood(image: Image.Image, expected: int | list[int]) -> None:
    assert decode(image, None)[0, 0].tolist() == expected


def test_orientation_of_the_camera_is_applied() -> None:
    image = Image.fromarray(np.array([[0, 255], [0, 255]], np.uint8))
    image.getexif()[0x0112] = 3  # turned by 180 degrees
    assert decode(image, None).tolist() == [[255, 0], [255, 0]]


def test_unreadable_images_are_named(photos: Path) -> None:
    broken = photos / "cat" / "2.png"
    content = broken.read_bytes()
    for damaged in (b"no image", content[: len(content) // 2], b""):
        broken.write_bytes(damaged)
        with pytest.raises(InvalidDataError, match=r"cat/2\.png must be a readable image"):
            read_folder(photos, image_size=None)
    Image.new("F", (3, 3)).save(broken.with_suffix(".tiff"))
    broken.write_bytes(content)
    with pytest.raises(InvalidDataError, match=r"cat/2\.tiff .* 8 or 16 bits, got mode F"):
        read_folder(photos, image_size=None)


def test_empty_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="one sub-folder of images a class, got none"):
        read_folder(tmp_path, image_size=None)
    with pytest.raises(InvalidDataError, match="existing folder"):
        read_folder(tmp_path / "absent", image_size=None)
    save(tmp_path / "a" / "1.png", 0, "L")
    with pytest.raises(InvalidDataError, match="at least two classes, got 1"):
        read_folder(tmp_path, image_size=None)
    (tmp_path / "b").mkdir()
    with pytest.raises(InvalidDataError, match="b: a class folder must hold images, got none"):
        read_folder(tmp_path, image_size=None)
