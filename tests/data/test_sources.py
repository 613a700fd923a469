import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from nasgtn.data import DataConfig, Part, Splits, dataset_names, describe_dataset, load_splits
from nasgtn.errors import InvalidConfigError, InvalidDataError, UnknownNameError


def parts(splits: Splits) -> Iterator[Part]:
    yield from (splits.train, splits.validation, splits.test)


def counts(part: Part, n_classes: int) -> np.ndarray:
    return np.bincount(part.labels.numpy(), minlength=n_classes)


@pytest.fixture(scope="module")
def digits() -> Splits:
    return load_splits(DataConfig(), seed=0)


def write_archive(path: Path, **changes: np.ndarray) -> DataConfig:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        "train_images": rng.integers(0, 256, (90, 6, 6, 3), dtype=np.uint8),
        "train_labels": rng.permutation(np.repeat([0, 1, 2], [10, 20, 60])),
    }
    np.savez(path / "signs.npz", allow_pickle=False, **(arrays | changes))
    return DataConfig(name=str(path / "signs.npz"))


def test_digits_are_split_by_class(digits: Splits) -> None:
    assert digits.task.input_shape == (1, 8, 8)
    assert not digits.task.flips
    total = np.bincount(load_digits().target)
    assert np.array_equal(sum(counts(part, 10) for part in parts(digits)), total)
    assert abs(counts(digits.test, 10) - 0.2 * total).max() <= 0.5
    rest = total - counts(digits.test, 10)
    assert abs(counts(digits.validation, 10) - 0.2 * rest).max() <= 0.5


def test_digits_are_scikit_learns_pixels_each_once(digits: Splits) -> None:
    mean, std = digits.task.mean[0], digits.task.std[0]
    ours = torch.cat([part.images for part in parts(digits)])[:, 0] * std + mean
    labels = torch.cat([part.labels for part in parts(digits)])
    expected = load_digits()
    rows = sorted(
        (int(label), *(16 * image).round().int().flatten().tolist())
        for image, label in zip(ours, labels, strict=True)
    )
    assert rows == sorted(
        (int(label), *map(int, row))
        for row, label in zip(expected.data, expected.target, strict=True)
    )


def test_training_images_have_zero_mean_and_unit_variance_a_channel(tmp_path: Path) -> None:
    splits = load_splits(write_archive(tmp_path), seed=0)
    images = splits.train.images.double().numpy()
    assert images.mean((0, 2, 3)) == pytest.approx(np.zeros(3), abs=1e-6)
    assert images.std((0, 2, 3)) == pytest.approx(np.ones(3), abs=1e-6)
    assert splits.train.images.dtype == torch.float32
    assert splits.train.images.is_contiguous()


def test_constant_channels_are_only_centred(tmp_path: Path) -> None:
    images = np.zeros((90, 6, 6, 3), np.uint8)
    images[..., 1] = 77
    images[::2, 0, 0, 2] = 255
    splits = load_splits(write_archive(tmp_path, train_images=images), seed=0)
    assert splits.task.std[:2] == (1, 1)
    assert splits.task.mean[1] == pytest.approx(77 / 255)
    assert splits.train.images[:, :2].abs().max() < 1e-6
    assert splits.train.images.isfinite().all()


def test_the_seed_decides_the_splits(digits: Splits) -> None:
    again, other = (load_splits(DataConfig(), seed=seed) for seed in (0, 1))
    for ours, same in zip(parts(digits), parts(again), strict=True):
        assert torch.equal(ours.images, same.images)
        assert torch.equal(ours.labels, same.labels)
    assert not torch.equal(digits.test.images, other.test.images)


def test_prefixes_are_balanced(digits: Splits) -> None:
    for part in parts(digits):
        assert abs(counts(part.first(50), 10) - 5).max() <= 2


def test_ready_parts_are_used_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ready: dict[str, np.ndarray] = {
        f"{part}_images": rng.integers(0, 256, (n, 6, 6, 3), dtype=np.uint8)
        for part, n in (("val", 7), ("test", 8))
    }
    ready |= {"val_labels": np.arange(7) % 3, "test_labels": np.arange(8) % 3}
    splits = load_splits(write_archive(tmp_path, **ready), seed=0)
    assert [len(part) for part in parts(splits)] == [90, 7, 8]
    mean, std = (torch.tensor(x)[:, None, None] for x in (splits.task.mean, splits.task.std))
    pixels = (splits.test.images * std + mean).mul(255).round().byte().permute(0, 2, 3, 1)
    as_rows = {tuple(image.flatten().tolist()) for image in pixels}
    assert as_rows == {tuple(image.ravel().tolist()) for image in ready["test_images"]}


def test_tracks_stay_whole(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(3), 30)
    track = np.arange(90) // 5
    images = np.zeros((90, 6, 6), np.uint8)
    images[:, 0, 0] = track * 10  # the track can be read off the image
    config = write_archive(tmp_path, train_images=images, train_labels=labels, train_track=track)
    splits = load_splits(config, seed=0)
    tracks = [set(part.images[:, 0, 0, 0].tolist()) for part in parts(splits)]
    assert sum(map(len, tracks)) == len(set.union(*tracks)) == 18
    assert [len(part) for part in parts(splits)] == [60, 15, 15]


def test_max_images_keeps_each_class(tmp_path: Path) -> None:
    config = write_archive(tmp_path)
    whole = load_splits(config, seed=0)
    few = load_splits(DataConfig(name=config.name, max_images=12), seed=0)
    assert len(few.train) == 12
    assert torch.equal(few.test.labels, whole.test.labels)
    share = counts(whole.train, 3) / len(whole.train)
    assert abs(counts(few.train, 3) - 12 * share).max() <= 2
    assert counts(few.train, 3).min() >= 1


def test_images_are_resized_like_pillow_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    images = rng.random((90, 12, 12)).astype(np.float32)
    labels = np.arange(90) % 3
    config = write_archive(
        tmp_path,
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
    )
    splits = load_splits(DataConfig(name=config.name, image_size=5), seed=0)
    assert splits.task.input_shape == (1, 5, 5)
    ours = splits.test.images[:, 0] * splits.task.std[0] + splits.task.mean[0]
    theirs = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((5, 5), Image.Resampling.BILINEAR))
            for image in images
        ]
    )
    assert np.sort(ours.numpy(), axis=0) == pytest.approx(np.sort(theirs, axis=0), abs=1e-5)


def test_flips_are_off_unless_said(tmp_path: Path) -> None:
    config = write_archive(tmp_path)
    assert not load_splits(config, seed=0).task.flips
    assert load_splits(DataConfig(name=config.name, flips=True), seed=0).task.flips


def test_a_folder_is_read_by_its_path(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(4):
            Image.new("RGB", (9, 9), (40 * index, 0, 0)).save(tmp_path / name / f"{index}.png")
    splits = load_splits(DataConfig(name=str(tmp_path), image_size=8), seed=0)
    assert splits.task.input_shape == (3, 8, 8)
    assert [len(part) for part in parts(splits)] == [4, 2, 2]


def test_description_can_be_json(digits: Splits) -> None:
    described = json.loads(json.dumps(describe_dataset(DataConfig(), seed=0)))
    assert described["input_shape"] == [1, 8, 8]
    assert described["n_train"] == len(digits.train)
    assert sum(described["class_counts"]["test"]) == described["n_test"] == len(digits.test)
    assert described["mean"] == list(digits.task.mean)
    assert dataset_names()[0]["name"] == "digits"


def test_too_few_images_for_the_split(tmp_path: Path) -> None:
    labels = np.array([0, 1] * 44 + [2, 2])
    with pytest.raises(InvalidDataError, match=r"at least 2 images .* got 1 of class '2'"):
        load_splits(write_archive(tmp_path, train_labels=labels), seed=0)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("digit", UnknownNameError, r"unknown dataset 'digit'; did you mean digits\?"),
        ("absent.npz", InvalidDataError, r"existing \.npz file, got absent\.npz"),
        ("no/such/folder", InvalidDataError, r"existing folder or \.npz file, got no/such/folder"),
        (__file__, InvalidDataError, r"existing folder or \.npz file"),
    ],
)
def test_unknown_names_are_refused(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_splits(DataConfig(name=name), seed=0)


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"validation_fraction": 0.0},
        {"test_fraction": 1.0},
        {"validation_fraction": float("nan")},
        {"image_size": 0},
        {"max_images": 1},
    ],
)
def test_config_checks_itself(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfigError, match=rf"data\.{next(iter(values))} must"):
        DataConfig(**values)


@pytest.mark.parametrize(
    ("file", "shape", "counts_of_test"),
    [
        ("mnist.npz", (1, 28, 28), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
        ("fashion_mnist.npz", (1, 28, 28), [1000] * 10),
    ],
)
def test_real_archives_are_read(
    shared_data: Path, file: str, shape: tuple[int, ...], counts_of_test: list[int]
) -> None:
    config = DataConfig(name=str(shared_data / file), max_images=1000)
    splits = load_splits(config, seed=0)
    assert splits.task.input_shape == shape
    assert counts(splits.test, 10).tolist() == counts_of_test
    assert len(splits.train) == 1000
    assert len(splits.validation) == 12_000


def test_traffic_signs_keep_every_sign_on_one_side(shared_data: Path) -> None:
    path = shared_data / "gtsrb32.npz"
    splits = load_splits(DataConfig(name=str(path)), seed=0)
    with np.load(path, allow_pickle=False) as archive:
        images, track = archive["train_images"], archive["train_track"]
    track_of = {image.tobytes(): int(t) for image, t in zip(images, track, strict=True)}
    mean, std = (torch.tensor(x)[:, None, None] for x in (splits.task.mean, splits.task.std))
    found = []
    for part in (splits.train, splits.validation):
        pixels = (part.images * std + mean).mul_(255).round_().byte().permute(0, 2, 3, 1)
        found.append({track_of[image.tobytes()] for image in pixels.contiguous().numpy()})
        assert counts(part, 43).min() >= 10
    assert not found[0] & found[1]
    assert found[0] | found[1] == set(track.tolist())
    assert len(splits.validation) == pytest.approx(0.2 * len(images), rel=0.02)


@pytest.mark.slow
def test_colour_statistics_are_the_published_ones(shared_data: Path) -> None:
    splits = load_splits(DataConfig(name=str(shared_data / "cifar10_20k.npz")), seed=0)
    assert splits.task.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=2e-3)
    assert splits.task.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=2e-3)
