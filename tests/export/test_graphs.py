"""Graphs give the logits of the network, for pixels as they come, for any batch."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasgtn.data import Splits, pixels
from nasgtn.errors import ArtefactError, InvalidConfigError, InvalidSpaceError
from nasgtn.export import TrainedNetwork, export_network
from nasgtn.export.graphs import Portable, write_torch_export
from nasgtn.randomness import seeded
from nasgtn.spaces.catalogue import find_space
from nasgtn.task import Task


@pytest.fixture
def real(toy_splits: Splits) -> Splits:
    """Images that 8-bit pixels can hold."""
    task, test = toy_splits.task, toy_splits.test
    values = pixels(test.images, task).movedim(-1, -3).float() / 255
    return replace(toy_splits, test=replace(test, images=(values - 0.5) / 0.25))


def logits_of(trained: TrainedNetwork, images: Tensor) -> Tensor:
    trained.network.eval()
    with torch.no_grad():
        result: Tensor = trained.network(images)
    return result


def as_pixels(images: Tensor) -> Tensor:
    return images * 0.25 + 0.5


def test_the_archive_gives_the_logits_of_the_network_and_holds_no_pickle(
    trained: TrainedNetwork, tmp_path: Path, real: Splits
) -> None:
    images = real.test.images
    out = tmp_path / "out"
    folder = export_network(trained, out, formats=("torch-export",), images=images)
    assert trained.network.training
    network = torch.export.load(folder / "model.pt2").module()
    for n in (1, 2, 7):
        torch.testing.assert_close(
            network(as_pixels(images[:n])).detach(),
            logits_of(trained, images[:n]),
            atol=1e-5,
            rtol=0,
        )
    with zipfile.ZipFile(folder / "model.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert not any(b"PK\x03\x04" in content for content in contents.values())  # torch.save's
    assert not any(
        content.startswith(b"\x80") for name, content in contents.items() if ".pt" in name
    )


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 1e-2)])
def test_onnx_gives_the_logits_of_torch_for_any_batch(
    trained: TrainedNetwork,
    tmp_path: Path,
    real: Splits,
    capfd: pytest.CaptureFixture[str],
    dtype: str,
    tolerance: float,
) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    images = real.test.images
    folder = export_network(
        trained, tmp_path / "out", formats=("onnx",), images=images, dtype=getattr(torch, dtype)
    )
    assert capfd.readouterr() == ("", "")
    session = runtime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    for n in (1, 2, 7):
        found = session.run(["logits"], {"pixels": as_pixels(images[:n]).numpy()})[0]
        assert found.dtype == np.float32
        expected = logits_of(trained, images[:n]).numpy()
        np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near_the_network(
    trained: TrainedNetwork, tmp_path: Path, real: Splits, dtype: torch.dtype
) -> None:
    images = real.test.images
    folder = export_network(
        trained, tmp_path / "out", formats=("torch-export",), images=images, dtype=dtype
    )
    found = torch.export.load(folder / "model.pt2").module()(as_pixels(images)).detach()
    assert found.dtype == torch.float32
    tolerance = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(found, logits_of(trained, images), atol=tolerance, rtol=tolerance)


def test_bfloat16_is_refused_for_onnx(trained: TrainedNetwork, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    with pytest.raises(InvalidConfigError, match="no convolutions in bfloat16"):
        export_network(trained, tmp_path / "out", formats=("onnx",), dtype=torch.bfloat16)
    assert not (tmp_path / "out").exists()


class Restless(nn.Module):
    """Draws at random, so that no two ways to its logits agree."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.layer(images.flatten(1))
        return result + torch.randn_like(result)


def test_a_graph_that_disagrees_is_refused(tmp_path: Path, toy_task: Task) -> None:
    with seeded(0):
        portable = Portable(Restless(), toy_task, torch.float32)
    with pytest.raises(
        ArtefactError, match=r"must give the logits of the network to within 1e-05"
    ):
        write_torch_export(portable, tmp_path / "model.pt2", torch.rand(3, *toy_task.input_shape))


class Branching(nn.Module):
    """Python decides by the numbers, which no graph can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.layer(images.flatten(1))
        return result if images.sum() > 1 else -result


@pytest.mark.slow
@pytest.mark.parametrize(("name", "said"), [("onnx", "ONNX"), ("torch-export", "torch.export")])
def test_a_network_that_no_graph_can_hold_is_one_clear_error(
    tmp_path: Path, toy_task: Task, capfd: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    if name == "onnx":
        pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    with seeded(0):
        network = Branching()
    trained = TrainedNetwork(
        network=network,
        architecture=find_space("mlp").sample(0, toy_task),
        task=toy_task,
        space="mlp",
    )
    with pytest.raises(InvalidSpaceError) as caught:
        export_network(trained, tmp_path / "out", formats=(name,))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"the network must be exportable to {said}, but torch")
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
