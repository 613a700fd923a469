"""The synthetic training set can be read back: by numpy, as pictures, by nasgtn itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nasgtn.data import DataConfig, load_splits, pixels
from nasgtn.errors import ArtefactError
from nasgtn.export import export_synthetic
from nasgtn.export.synthetic import class_folder
from nasgtn.gtn import SyntheticData
from nasgtn.task import Task

HOSTILE = ("../up", "<b>bold</b> | x", "\N{HEBREW LETTER ALEF}\N{GRINNING FACE}")


def test_arrays_load_without_pickle_and_are_exact(
    synthetic: SyntheticData, toy_task: Task, tmp_path: Path
) -> None:
    folder = export_synthetic(synthetic, toy_task, tmp_path / "deep" / "set")
    with np.load(folder / "synthetic.npz", allow_pickle=False) as arrays:
        for name, tensor in synthetic._asdict().items():
            np.testing.assert_array_equal(arrays[name], tensor.numpy())
        assert arrays["class_names"].tolist() == list(toy_task.class_names)
        assert arrays["mean"].tolist() == [0.5]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["set"]


def test_pictures_lie_in_the_folder_of_their_class(
    synthetic: SyntheticData, toy_task: Task, tmp_path: Path
) -> None:
    folder = export_synthetic(synthetic, toy_task, tmp_path / "set") / "images"
    assert sorted(one.name for one in folder.iterdir()) == ["0-left", "1-middle", "2-right"]
    assert all(len(list(one.iterdir())) == 8 for one in folder.iterdir())
    with Image.open(folder / "1-middle" / "step0002-0004.png") as image:
        found = np.array(image)
    np.testing.assert_array_equal(found, pixels(synthetic.images[2, 4], toy_task)[..., 0].numpy())


def test_batches_that_come_in_turn_have_their_pictures_once(
    synthetic: SyntheticData, toy_task: Task, tmp_path: Path
) -> None:
    folder = export_synthetic(synthetic, toy_task, tmp_path / "set", n_batches=1)
    pictures = list((folder / "images").glob("*/*.png"))
    assert len(pictures) == synthetic.images.shape[1]
    assert {one.name.partition("-")[0] for one in pictures} == {"step0000"}


def test_pictures_are_a_dataset_for_nasgtn(
    synthetic: SyntheticData, toy_task: Task, tmp_path: Path
) -> None:
    folder = export_synthetic(synthetic, toy_task, tmp_path / "set") / "images"
    splits = load_splits(DataConfig(name=str(folder), image_size=8), seed=0)
    assert splits.task.class_names == ("0-left", "1-middle", "2-right")
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 24


def test_class_names_from_outside_stay_inside_of_the_folder(
    synthetic: SyntheticData, toy_task: Task, tmp_path: Path
) -> None:
    task = replace(toy_task, name="<script>", class_names=HOSTILE)
    folder = export_synthetic(synthetic, task, tmp_path / "set")
    names = sorted(one.name for one in (folder / "images").iterdir())
    assert names == ["0-up", "1-b-bold-b-x", "2-\N{HEBREW LETTER ALEF}"]
    assert "<script>" not in (folder / "README.md").read_text()
    assert class_folder(3, 1000, "...") == "003"


def test_images_that_no_picture_can_show_are_arrays_alone(toy_task: Task, tmp_path: Path) -> None:
    images = torch.zeros(2, 3, 4, 8, 8)
    rows = torch.ones(2)
    synthetic = SyntheticData(images, torch.eye(3).expand(2, 3, 3), rows, rows)
    task = replace(toy_task, n_channels=4, mean=(0.5,) * 4, std=(0.2,) * 4)
    folder = export_synthetic(synthetic, task, tmp_path / "set")
    assert not (folder / "images").exists()
    assert "PNG" not in (folder / "README.md").read_text()


def test_a_destination_that_exists_or_cannot_be_is_refused(
    synthetic: SyntheticData, toy_task: Task, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("keep")
    for destination in (tmp_path / "file", tmp_path / "file" / "set"):
        with pytest.raises(ArtefactError, match=r"must not exist yet|cannot be written"):
            export_synthetic(synthetic, toy_task, destination)
    assert (tmp_path / "file").read_text() == "keep"
    assert len(list(tmp_path.iterdir())) == 1
