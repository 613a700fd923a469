"""What is exported can be loaded: by nasgtn, by its own example, by onnxruntime."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nasgtn.data import Splits
from nasgtn.errors import ArtefactError, InvalidConfigError, InvalidSpaceError
from nasgtn.export import TrainedNetwork, export_network, export_synthetic, load_network
from nasgtn.gtn import SyntheticData
from nasgtn.randomness import seeded
from nasgtn.spaces.catalogue import find_space
from nasgtn.task import Task

SPACE = '''"""One hidden layer."""

from torch import nn


def build(trial, task, hidden=4):
    width = trial.suggest_int("width", hidden, 4 * hidden)
    return nn.Sequential(
        nn.Conv2d(task.n_channels, width, 3), nn.BatchNorm2d(width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, task.n_classes),
    )
'''


@pytest.fixture
def trained(tmp_path: Path, toy_splits: Splits) -> TrainedNetwork:
    path = tmp_path / "my space.py"
    path.write_text(SPACE, encoding="utf-8")
    space, task = find_space(str(path), {"hidden": 5}), toy_splits.task
    architecture = space.sample(3, task)
    network = space.network(architecture.choices, task, seed=1)
    with torch.no_grad():
        network(toy_splits.train.images)  # running statistics that are not those of a new network
    return TrainedNetwork(
        network=network,
        architecture=architecture,
        task=task,
        space=str(path),
        space_options={"hidden": 5},
        facts={"test_accuracy": 0.75},
    )


@pytest.fixture
def synthetic(toy_task: Task) -> SyntheticData:
    rng = torch.Generator().manual_seed(0)
    return SyntheticData(
        images=torch.randn(4, 6, *toy_task.input_shape, generator=rng),
        labels=torch.eye(3).repeat(2, 1).expand(4, 6, 3),
        learning_rates=torch.linspace(0.1, 0.2, 4),
        momenta=torch.full((4,), 0.9),
    )


def logits(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = network(images)
    return result


def test_the_loaded_network_is_the_exported_one(
    trained: TrainedNetwork, tmp_path: Path, toy_splits: Splits
) -> None:
    folder = export_network(trained, tmp_path / "out")
    Path(trained.space).unlink()  # the folder stands alone
    network, task = load_network(folder)
    assert task == trained.task
    images = toy_splits.test.images
    assert trained.network.training
    assert torch.equal(logits(network, images), logits(trained.network.eval(), images))
    assert json.loads((folder / "choices.json").read_text()) == dict(trained.architecture.choices)
    model = json.loads((folder / "model.json").read_text())
    assert model["facts"] == {"test_accuracy": 0.75}
    assert sorted(path.name for path in folder.iterdir()) == [
        "choices.json",
        "load.py",
        "model.json",
        "search_space.py",
        "weights.safetensors",
    ]


@pytest.mark.slow
def test_the_loading_example_runs(trained: TrainedNetwork, tmp_path: Path) -> None:
    folder = export_network(trained, tmp_path / "out").rename(tmp_path / "moved")
    assert len((folder / "load.py").read_text().splitlines()) < 20
    done = subprocess.run(
        [sys.executable, "-W", "error", folder / "load.py"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    names = done.stdout.strip("[]\n").replace("'", "").split(", ")
    assert len(names) == 4
    assert set(names) <= set(trained.task.class_names)


def test_parameters_that_share_memory_are_written(tmp_path: Path, toy_task: Task) -> None:
    first = nn.Linear(64, 64)
    second = nn.Linear(64, 64)
    second.weight = first.weight
    trained = TrainedNetwork(
        network=nn.Sequential(nn.Flatten(), first, second, nn.Linear(64, 3)),
        architecture=find_space("mlp").sample(0, toy_task),
        task=toy_task,
        space="mlp",
    )
    folder = export_network(trained, tmp_path / "out")
    weights = load_file(folder / "weights.safetensors")
    assert torch.equal(weights["1.weight"], weights["2.weight"])
    with pytest.raises(ArtefactError, match="do not fit its choices"):
        load_network(folder)


def test_an_existing_destination_is_refused_and_kept(
    trained: TrainedNetwork, synthetic: SyntheticData, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    with pytest.raises(ArtefactError, match="must not exist yet"):
        export_network(trained, tmp_path / "out")
    with pytest.raises(ArtefactError, match="must not exist yet"):
        export_synthetic(synthetic, trained.task, tmp_path / "out" / "mine")
    assert (tmp_path / "out" / "mine").read_text() == "keep"


def test_a_failed_export_leaves_nothing_behind(
    trained: TrainedNetwork, tmp_path: Path, synthetic: SyntheticData
) -> None:
    before = sorted(tmp_path.iterdir())
    Path(trained.space).rename(tmp_path / "gone.py")
    with pytest.raises(ArtefactError, match="cannot be written"):
        export_network(trained, tmp_path / "out")
    (tmp_path / "gone.py").rename(trained.space)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot be written"):
        export_network(trained, tmp_path / "file" / "out")
    with pytest.raises(ArtefactError, match="cannot be written"):
        export_synthetic(synthetic, trained.task, tmp_path / "file" / "out.npz")
    (tmp_path / "file").unlink()
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.json", None, "must hold an exported network"),
        ("model.json", b"{", "must hold an exported network"),
        ("model.json", b'{"format": 99}', "must be of format 1, got 99"),
        ("weights.safetensors", b"\xff" * 20, "is damaged"),
        ("choices.json", b'{"width": 6}', "do not fit its choices"),
    ],
)
def test_damaged_folders_are_refused(
    trained: TrainedNetwork, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    folder = export_network(trained, tmp_path / "out")
    assert trained.architecture.choices["width"] != 6
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=said):
        load_network(folder)


def test_synthetic_data_load_without_pickle(
    trained: TrainedNetwork, synthetic: SyntheticData, tmp_path: Path
) -> None:
    alone = export_synthetic(synthetic, trained.task, tmp_path / "deep" / "data.npz")
    inside = export_network(trained, tmp_path / "out", synthetic=synthetic) / "synthetic.npz"
    for path in (alone, inside):
        with np.load(path, allow_pickle=False) as arrays:
            np.testing.assert_array_equal(arrays["images"], synthetic.images.numpy())
            np.testing.assert_array_equal(arrays["labels"], synthetic.labels.numpy())
            np.testing.assert_array_equal(arrays["learning_rates"], synthetic.learning_rates)
            np.testing.assert_array_equal(arrays["momenta"], synthetic.momenta)
            assert arrays["class_names"].tolist() == list(trained.task.class_names)
            assert arrays["mean"].tolist() == [0.5]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["data.npz"]


@pytest.mark.slow
def test_onnx_gives_the_logits_of_torch_for_any_batch(
    trained: TrainedNetwork, tmp_path: Path, toy_splits: Splits, capfd: pytest.CaptureFixture[str]
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    images = toy_splits.test.images
    folder = export_network(trained, tmp_path / "out", images=images, onnx=True)
    assert capfd.readouterr() == ("", "")
    assert trained.network.training
    session = runtime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    for n in (1, 2, 7):
        found = session.run(["logits"], {"images": images[:n].numpy()})[0]
        expected = logits(trained.network.eval(), images[:n]).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


class Branching(nn.Module):
    """Python decides by the numbers, which no graph can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.layer(images.flatten(1))
        return result if images.sum() > 1 else -result


@pytest.mark.slow
def test_a_network_that_onnx_cannot_hold_is_one_clear_error(
    tmp_path: Path, toy_task: Task, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    with seeded(0):
        network = Branching()
    trained = TrainedNetwork(
        network=network,
        architecture=find_space("mlp").sample(0, toy_task),
        task=toy_task,
        space="mlp",
    )
    with pytest.raises(InvalidSpaceError) as caught:
        export_network(trained, tmp_path / "out", onnx=True)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("the network must be exportable to ONNX, but torch raised")
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_one_clear_error(
    trained: TrainedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InvalidConfigError, match=r"pip install 'nasgtn\[onnx\]'"):
        export_network(trained, tmp_path / "out", onnx=True)
    assert not (tmp_path / "out").exists()
