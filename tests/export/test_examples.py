"""The example scripts run in an empty folder, with nasgtn out of reach (see `run_alone`)."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import write_toy_archive
from export.conftest import RunAlone
from PIL import Image

from nasgtn.data import Splits, pixels
from nasgtn.export import TrainedNetwork, export_network, export_synthetic
from nasgtn.gtn import SyntheticData

pytestmark = pytest.mark.slow


@pytest.fixture
def pictures(toy_splits: Splits, tmp_path: Path) -> list[Path]:
    """Four real images as files."""
    paths = []
    for number, values in enumerate(pixels(toy_splits.test.images[:4], toy_splits.task)):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(values[..., 0].numpy()).save(paths[-1])
    return paths


def expected(trained: TrainedNetwork, pictures: list[Path]) -> list[str]:
    """What the network itself says of the pictures."""
    values = np.stack([np.array(Image.open(path)) for path in pictures]).astype(np.float32) / 255
    with torch.no_grad():
        logits = trained.network.eval()((torch.from_numpy(values)[:, None] - 0.5) / 0.25)
    rows = logits.softmax(dim=1).max(dim=1)
    names = [trained.task.class_names[int(index)] for index in rows.indices]
    found = zip(pictures, names, rows.values.tolist(), strict=True)
    return [f"{path}: {name} ({value:.1%})" for path, name, value in found]


def test_the_torch_example_needs_torch_alone(
    trained: TrainedNetwork, tmp_path: Path, run_alone: RunAlone, pictures: list[Path]
) -> None:
    folder = export_network(trained, tmp_path / "out", formats=("torch-export",))
    script = folder.rename(tmp_path / "moved") / "classify_torch.py"
    assert run_alone(script, *pictures).splitlines() == expected(trained, pictures)
    said = run_alone(script, without=("PIL", "onnxruntime"))
    assert re.fullmatch(r"random pixels: (left|middle|right) \(\d+\.\d%\)\n", said)


def test_the_onnx_example_needs_onnxruntime_and_numpy_alone(
    trained: TrainedNetwork, tmp_path: Path, run_alone: RunAlone, pictures: list[Path]
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="the extra onnx is not installed")
    folder = export_network(trained, tmp_path / "out", formats=("onnx",))
    script = folder.rename(tmp_path / "moved") / "classify_onnx.py"
    assert run_alone(script, *pictures).splitlines() == expected(trained, pictures)
    said = run_alone(script, without=("PIL", "torch"))
    assert re.fullmatch(r"random pixels: (left|middle|right) \(\d+\.\d%\)\n", said)


def test_a_network_of_the_readers_own_trains_on_the_synthetic_set(
    toy_splits: Splits, synthetic: SyntheticData, tmp_path: Path, run_alone: RunAlone
) -> None:
    train = toy_splits.train  # real images stand in for a generator's: they can be learned from
    taught = synthetic._replace(
        images=train.images.view(4, 24, 1, 8, 8),
        labels=torch.nn.functional.one_hot(train.labels, 3).float().view(4, 24, 3),
    )
    folder = export_synthetic(taught, toy_splits.task, tmp_path / "set")
    real = write_toy_archive(tmp_path / "real.npz")
    said = run_alone(folder / "train_on_it.py", real, without=("PIL",)).splitlines()
    losses = [float(line.rpartition(" ")[2]) for line in said[:3]]
    assert losses == sorted(losses, reverse=True)
    assert re.fullmatch(r"accuracy on .*real\.npz: \d+\.\d%", said[3])
