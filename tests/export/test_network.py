"""What is exported can be loaded: by nasgtn, by its own example, by onnxruntime."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nasgtn.data import Splits
from nasgtn.errors import ArtefactError, InvalidConfigError
from nasgtn.export import TrainedNetwork, export_network, export_synthetic, load_network
from nasgtn.gtn import SyntheticData
from nasgtn.spaces.catalogue import find_space
from nasgtn.task import Task


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
    assert model["facts"] == dict(trained.facts)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "choices.json",
        "model.json",
        "search_space.py",
        "weights.safetensors",
    ]


def test_the_loading_example_of_the_card_runs(
    trained: TrainedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export_network(trained, tmp_path / "out").rename(tmp_path / "moved")
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["task"] == trained.task


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_are_rounded_to_the_dtype_that_is_asked_for(
    trained: TrainedNetwork, tmp_path: Path, dtype: torch.dtype
) -> None:
    folder = export_network(trained, tmp_path / "out", dtype=dtype)
    weights = load_file(folder / "weights.safetensors")
    assert weights["0.weight"].dtype == dtype
    network, _ = load_network(folder)
    for name, value in network.state_dict().items():
        expected = trained.network.state_dict()[name]
        if value.is_floating_point():
            expected = expected.to(dtype).float()
        assert torch.equal(value, expected)
    assert next(trained.network.parameters()).dtype == torch.float32


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


def test_a_missing_extra_is_one_clear_error(
    trained: TrainedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InvalidConfigError, match=r"pip install 'nasgtn\[onnx\]'"):
        export_network(trained, tmp_path / "out", formats=("onnx",))
    assert not (tmp_path / "out").exists()
