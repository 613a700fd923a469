"""A trained generator on disk: the same batches again, and clear errors for all else."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nasgtn.artefacts import GENERATOR_CONFIG, GENERATOR_WEIGHTS
from nasgtn.data import Splits
from nasgtn.errors import ArtefactError
from nasgtn.evaluation.proxy import GtnProxy, ProxyConfig
from nasgtn.gtn import VARIANTS, GtnConfig, load_generator, save_generator, train_generator
from nasgtn.spaces import SearchSpace
from nasgtn.task import Task


@pytest.fixture(scope="session")
def saved(
    tiny_space: SearchSpace,
    toy_splits: Splits,
    small_gtn: GtnConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("generator")
    train_generator(tiny_space, toy_splits, small_gtn, seed=5, folder=folder)
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_comes_back_with_the_same_batches(
    variant: str,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    small_gtn: GtnConfig,
    tmp_path: Path,
) -> None:
    config = replace(
        small_gtn,
        curriculum=replace(small_gtn.curriculum, variant=variant, soft_labels=True),
        generator=replace(small_gtn.generator, weight_norm=True),
        meta_training=replace(small_gtn.meta_training, n_meta_steps=1),
    )
    trained = train_generator(tiny_space, toy_splits, config, seed=5)
    save_generator(trained, tmp_path)
    loaded = load_generator(tmp_path, task=toy_splits.task)
    assert loaded.config == trained.config == replace(config, space_options={})
    assert loaded.task == toy_splits.task
    assert (loaded.meta_steps, loaded.seconds) == (1, trained.seconds)
    for one, other in zip(trained.synthesise(), loaded.synthesise(), strict=True):
        assert torch.equal(one, other)
        assert not other.requires_grad


@pytest.mark.parametrize("name", [GENERATOR_CONFIG, GENERATOR_WEIGHTS])
def test_a_missing_file_is_named(name: str, copied: Path) -> None:
    (copied / name).unlink()
    with pytest.raises(ArtefactError, match=name):
        load_generator(copied)


@pytest.mark.parametrize("name", [GENERATOR_CONFIG, GENERATOR_WEIGHTS])
def test_a_truncated_file_is_refused(name: str, copied: Path) -> None:
    content = (copied / name).read_bytes()
    for end in range(0, 9 * len(content) // 10, len(content) // 20):
        (copied / name).write_bytes(content[:end])
        with pytest.raises(ArtefactError, match=r"cannot be read|must be a safetensors file"):
            load_generator(copied)


def test_a_pickle_is_not_loaded(copied: Path) -> None:
    torch.save({"rows": torch.zeros(1)}, copied / GENERATOR_WEIGHTS)
    with pytest.raises(ArtefactError, match="safetensors"):
        load_generator(copied)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 3", "format = 99", "must be of format 3, but is of format 99"),
        ("n_latents = 8", "n_latents = 9", "cannot be read"),
        ("n_latents = 8", "n_latentz = 8", "n_latentz"),
        ('variant = "full"', 'variant = "fool"', "variant must be one of"),
        ("meta_steps = 6\n", "", "meta_steps"),
    ],
)
def test_a_changed_configuration_is_refused(
    old: str, new: str, message: str, copied: Path
) -> None:
    path = copied / GENERATOR_CONFIG
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ArtefactError, match=message):
        load_generator(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 9}, r"made for images of shape \(1, 8, 8\), but toy has \(1, 9, 8\)"),
        ({"class_names": ("a", "b")}, "made for classes: 3, but toy has 2"),
        ({"mean": (0.4,)}, r"it has another split of them \(its seed is 5\)"),
    ],
)
def test_a_generator_for_another_task_is_refused(
    change: dict[str, object], message: str, saved: Path, toy_task: Task
) -> None:
    with pytest.raises(ArtefactError, match=message):
        load_generator(saved, task=replace(toy_task, **change))  # type: ignore[arg-type]


def test_a_generator_for_another_dataset_of_that_shape_is_taken(
    saved: Path, toy_task: Task
) -> None:
    other = replace(toy_task, name="other", mean=(0.4,), std=(0.1,))
    assert load_generator(saved, task=other).task == toy_task


def test_large_images_are_shrunk_for_generator_and_proxy(
    tiny_space: SearchSpace, toy_splits: Splits, small_gtn: GtnConfig, tmp_path: Path
) -> None:
    config = replace(small_gtn, image_size=6)
    trained = train_generator(tiny_space, toy_splits, config, seed=5, folder=tmp_path)
    assert trained.task.input_shape == (1, 6, 6)
    loaded = load_generator(tmp_path, task=toy_splits.task)
    synthetic = loaded.synthesise()
    assert synthetic.images.shape[2:] == (1, 6, 6)
    proxy = GtnProxy(
        tiny_space,
        toy_splits.task,
        synthetic,
        toy_splits.validation,
        ProxyConfig(),
        config.inner_loop,
    )
    architecture = tiny_space.sample(0, toy_splits.task)
    assert 0 <= proxy.score(architecture, seed=0).score <= 1
