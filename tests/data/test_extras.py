import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from nasgtn.data import DataConfig, load_splits
from nasgtn.data.extras import read_hugging_face, read_torchvision
from nasgtn.errors import InvalidDataError, UnknownNameError

NAMES = ["ant", "bee", "cat"]


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The package `datasets`, with a cache of its own and no network."""
    package = pytest.importorskip("datasets", reason="the extra nasgtn[datasets] is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        patch.setattr(package.config, "HF_DATASETS_OFFLINE", True)
        package.disable_progress_bars()
        yield package


def make(package: ModuleType, n: int, *, mode: str = "RGB", size: int = 6) -> object:
    images = [
        Image.new(mode, (size, size), (i,) * len(mode) if mode == "RGB" else i) for i in range(n)
    ]
    features = package.Features(
        {
            "id": package.Value("int64"),
            "img": package.Image(),
            "fine": package.ClassLabel(names=NAMES),
        }
    )
    columns = {"id": list(range(n)), "img": images, "fine": [i % 3 for i in range(n)]}
    return package.Dataset.from_dict(columns, features=features)


def test_a_saved_dataset_is_read(hugging_face: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "insects"
    hugging_face.DatasetDict(
        {"train": make(hugging_face, 30), "validation": make(hugging_face, 6)}
    ).save_to_disk(folder)
    raw = read_hugging_face(str(folder), image_size=None)
    assert raw.name == "insects"
    assert raw.class_names == tuple(NAMES)
    assert raw.train.images[:, 0, 0].tolist() == [[i, i, i] for i in range(30)]
    assert raw.train.labels.tolist() == [i % 3 for i in range(30)]
    assert raw.validation is not None
    assert raw.test is None
    splits = load_splits(DataConfig(name=f"hf:{folder}", image_size=4), seed=0)
    assert splits.task.input_shape == (3, 4, 4)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [24, 6, 6]


def test_a_folder_of_parquet_files_is_read(hugging_face: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "cifar10"
    folder.mkdir()
    make(hugging_face, 9, mode="L").to_parquet(folder / "train.parquet")  # type: ignore[attr-defined]
    make(hugging_face, 6, mode="L").to_parquet(folder / "test.parquet")  # type: ignore[attr-defined]
    raw = read_hugging_face(str(folder), image_size=None)
    assert raw.train.images.shape == (9, 6, 6, 1)
    assert raw.test is not None
    assert raw.test.images[:, 0, 0, 0].tolist() == list(range(6))
    assert raw.flips  # cifar10 is known to be photos


def test_grey_and_coloured_parts_are_made_equal(hugging_face: ModuleType, tmp_path: Path) -> None:
    hugging_face.DatasetDict(
        {"train": make(hugging_face, 9), "test": make(hugging_face, 6, mode="L")}
    ).save_to_disk(tmp_path)
    raw = read_hugging_face(str(tmp_path), image_size=None)
    assert raw.test is not None
    assert raw.test.images[4, 0, 0].tolist() == [4, 4, 4]


def test_unfit_datasets_are_refused(hugging_face: ModuleType, tmp_path: Path) -> None:
    text = hugging_face.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    text.save_to_disk(tmp_path / "text")
    with pytest.raises(InvalidDataError, match=r"column of images .*got text \(Value\), label"):
        read_hugging_face(str(tmp_path / "text"), image_size=None)
    hugging_face.DatasetDict({"test": make(hugging_face, 3)}).save_to_disk(tmp_path / "test")
    with pytest.raises(InvalidDataError, match="must have a split train, got test"):
        read_hugging_face(str(tmp_path / "test"), image_size=None)
    mixed = hugging_face.concatenate_datasets(
        [make(hugging_face, 3), make(hugging_face, 3, size=7)]
    )
    mixed.save_to_disk(tmp_path / "mixed")
    with pytest.raises(InvalidDataError, match=r"one size, or data\.image_size .* got 6x6, 7x7"):
        read_hugging_face(str(tmp_path / "mixed"), image_size=None)
    assert read_hugging_face(str(tmp_path / "mixed"), image_size=5).train.images.shape[1] == 5
    with pytest.raises(InvalidDataError, match="cannot be loaded") as caught:
        read_hugging_face(str(tmp_path / "absent"), image_size=None)
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("datasets", "torchvision"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InvalidDataError, match=r"pip install 'nasgtn\[datasets\]'"):
        load_splits(DataConfig(name="hf:mnist"), seed=0)
    with pytest.raises(InvalidDataError, match=r"pip install 'nasgtn\[torchvision\]'"):
        load_splits(DataConfig(name="torchvision:MNIST"), seed=0)


TORCHVISION = '''
"""A stand-in for torchvision.datasets, with the signatures that its documentation gives."""
from PIL import Image

__all__ = ["CIFAR10", "SVHN", "FakeData"]

def rows(n):
    return [(Image.new("RGB", (4, 4), (i, 0, 0)), i % 2) for i in range(n)]

class CIFAR10(list):
    classes = ["cat", "dog"]

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        assert download and str(root).endswith("CIFAR10")
        super().__init__(rows(8 if train else 4))

class SVHN(list):
    def __init__(self, root, split="train", transform=None, target_transform=None, download=False):
        if split == "test":
            raise RuntimeError("Dataset not found.\\nYou can use download=True to download it")
        super().__init__(rows(8))

class FakeData(list):
    def __init__(self, size=1000):
        super().__init__(rows(size))
'''


def test_torchvision_datasets_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").touch()
    (tmp_path / "torchvision" / "datasets.py").write_text(TORCHVISION)
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("torchvision", "torchvision.datasets"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    raw = read_torchvision("CIFAR10", image_size=None)
    assert raw.class_names == ("cat", "dog")
    assert raw.flips
    assert raw.test is not None
    assert np.array_equal(raw.test.images[:, 0, 0, 0], np.arange(4))
    with pytest.raises(InvalidDataError, match=r"torchvision:SVHN cannot be loaded: Dataset not"):
        read_torchvision("SVHN", image_size=None)
    with pytest.raises(UnknownNameError, match=r"'CIFAR-10'; did you mean CIFAR10\?"):
        read_torchvision("CIFAR-10", image_size=None)
    for module in ("torchvision", "torchvision.datasets"):
        monkeypatch.delitem(sys.modules, module)
