"""Hands results on: the trained network, with or without nasgtn, and the synthetic data."""

import importlib
import io
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nasgtn.errors import ArtefactError, InvalidConfigError, InvalidSpaceError
from nasgtn.gtn import SyntheticData
from nasgtn.spaces import Architecture, Choice
from nasgtn.spaces.catalogue import find_space
from nasgtn.task import Task

FORMAT = 1
"""Version of the exported folder."""
WEIGHTS, CHOICES, MODEL = "weights.safetensors", "choices.json", "model.json"
ONNX, LOADER, SPACE, SYNTHETIC = "model.onnx", "load.py", "search_space.py", "synthetic.npz"
TOLERANCE = 1e-5
"""Largest difference between the logits of torch and of onnxruntime, relative to the largest."""

_LOADER = '''"""Classify images with the exported network; nasgtn has to be installed."""

from pathlib import Path

import torch
from nasgtn.export import load_network

network, task = load_network(Path(__file__).resolve().parent)
images = torch.rand(4, *task.input_shape)  # yours: float32, pixels in [0, 1]
mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (task.mean, task.std))
with torch.no_grad():
    classes = network((images - mean) / std).argmax(dim=1)
print([task.class_names[index] for index in classes])
'''


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedNetwork:
    """A network to hand on, and what it takes to use it."""

    network: nn.Module
    """With its final weights; exported in evaluation mode, and left as it was."""
    architecture: Architecture
    task: Task
    space: str
    """As `find_space` takes it; a Python file is copied beside the weights."""
    space_options: Mapping[str, Choice] = field(default_factory=dict)
    facts: Mapping[str, float | int | str | None] = field(default_factory=dict)
    """What is known about it, such as `test_accuracy`; written to `model.json`."""


def export_network(
    trained: TrainedNetwork,
    destination: Path,
    *,
    synthetic: SyntheticData | None = None,
    images: Float[Tensor, "batch channels height width"] | None = None,
    onnx: bool = False,
) -> Path:
    """Write a network into a new folder, whole or not at all.

    Args:
        trained: The network, usually the winner of a run.
        destination: Must not exist.
        synthetic: What a generator made; goes into the folder too, see `export_synthetic`.
        images: Real, normalised images that check the ONNX file; random ones where None.
        onnx: Write `model.onnx` too; needs the extra `onnx`.

    Raises:
        ArtefactError: The destination exists or cannot be written, or the ONNX file disagrees
            with the network.
        InvalidConfigError: The extra `onnx` is not installed.
        InvalidSpaceError: The network cannot be written as ONNX.
    """
    if destination.exists():
        raise ArtefactError(f"{destination} must not exist yet, but it does")
    with _new_folder(destination) as folder:
        _write_network(trained, folder)
        if onnx:
            _write_onnx(trained, folder / ONNX, images)
        if synthetic is not None:
            _write_synthetic(synthetic, trained.task, folder / SYNTHETIC)
        folder.chmod(0o755)  # temporary folders are private
        folder.rename(destination)
    return destination


def export_synthetic(synthetic: SyntheticData, task: Task, destination: Path) -> Path:
    """Write the synthetic training set as a new `.npz` file.

    It holds `images` (steps, batch, channels, height, width; float32, normalised), `labels`
    (steps, batch, classes; probabilities), `learning_rates` and `momenta` (steps), `class_names`,
    `mean` and `std`; it loads without pickle.

    Raises:
        ArtefactError: The destination exists or cannot be written.
    """
    if destination.exists():
        raise ArtefactError(f"{destination} must not exist yet, but it does")
    with _new_folder(destination) as folder:
        _write_synthetic(synthetic, task, folder / SYNTHETIC)
        (folder / SYNTHETIC).rename(destination)
    return destination


def load_network(folder: Path) -> tuple[nn.Module, Task]:
    """Load what `export_network` wrote: the network in evaluation mode, and its task.

    The network takes images normalised with the task's mean and deviation.

    Raises:
        ArtefactError: A file is missing, damaged, or of another version.
    """
    try:
        model = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        choices = json.loads((folder / CHOICES).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
        version = model["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{folder} must hold an exported network, but: {error}") from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":  # its class is not public
            raise
        raise ArtefactError(f"{folder / WEIGHTS} is damaged: {error}") from error
    if version != FORMAT:
        raise ArtefactError(f"{folder} must be of format {FORMAT}, got {version!r}")
    facts: dict[str, Any] = model["task"]
    task = Task(**{name: _frozen(value) for name, value in facts.items()})
    own_space = folder / SPACE
    space = find_space(str(own_space) if own_space.exists() else model["space"], model["options"])
    network = space.network(choices, task, seed=0)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ArtefactError(f"the weights in {folder} do not fit its choices: {reason}") from error
    return network.eval(), task


def _write_network(trained: TrainedNetwork, folder: Path) -> None:
    state = {name: value.detach().cpu().clone() for name, value in _state(trained.network)}
    (folder / WEIGHTS).write_bytes(save(state))
    _write_json(folder / CHOICES, dict(trained.architecture.choices))
    task = trained.task
    _write_json(
        folder / MODEL,
        {
            "format": FORMAT,
            "architecture_id": trained.architecture.id,
            "description": trained.architecture.description,
            "space": trained.space,
            "options": dict(trained.space_options),
            "task": {
                "name": task.name,
                "n_channels": task.n_channels,
                "height": task.height,
                "width": task.width,
                "class_names": list(task.class_names),
                "mean": list(task.mean),
                "std": list(task.std),
                "flips": task.flips,
            },
            "preprocessing": "pixels in [0, 1], less mean, over std, channel by channel",
            "facts": dict(trained.facts),
        },
    )
    if trained.space.endswith(".py"):
        shutil.copyfile(trained.space, folder / SPACE)
    (folder / LOADER).write_text(_LOADER, encoding="utf-8")


def _write_onnx(
    trained: TrainedNetwork,
    path: Path,
    images: Float[Tensor, "batch channels height width"] | None,
) -> None:
    runtime = _need("onnxruntime")
    for package in ("onnx", "onnxscript"):
        _need(package)
    if images is None:
        shape = (8, *trained.task.input_shape)
        images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    was_training = trained.network.training
    network = trained.network.eval()
    try:
        images = images.to(next((value.device for _, value in _state(network)), "cpu"))
        with torch.no_grad():
            logits = network(images).cpu().numpy()
        with _quiet_export():
            torch.onnx.export(
                network,
                (torch.zeros_like(images[:1]).expand(2, -1, -1, -1).contiguous(),),
                path,
                dynamo=True,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        cause = error.__cause__ or error  # torch says what to do next, and there what happened
        raise InvalidSpaceError(
            "the network must be exportable to ONNX, but torch raised "
            f"{type(cause).__name__}: {next(iter(str(cause).splitlines()), '')}"
        ) from error
    finally:
        network.train(was_training)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": images.cpu().numpy()})[0]
    difference = float(np.abs(found - logits).max(initial=0.0))
    if not difference <= TOLERANCE * max(1.0, float(np.abs(logits).max(initial=0.0))):
        raise ArtefactError(
            f"onnxruntime must give the logits of torch to within {TOLERANCE}, "
            f"but they differ by {difference:.2g}"
        )


def _write_synthetic(synthetic: SyntheticData, task: Task, path: Path) -> None:
    arrays = {
        name: getattr(synthetic, name).detach().cpu().numpy()
        for name in ("images", "labels", "learning_rates", "momenta")
    }
    with path.open("wb") as file:  # a path would get another suffix
        np.savez_compressed(
            file,
            **arrays,
            class_names=np.array(task.class_names, dtype=np.str_),
            mean=np.array(task.mean, dtype=np.float32),
            std=np.array(task.std, dtype=np.float32),
        )


@contextmanager
def _new_folder(destination: Path) -> Iterator[Path]:
    """Lend a folder beside `destination`; what is not moved away is removed at the end."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(
            tempfile.mkdtemp(
                prefix=f".{destination.name}.", suffix=".part", dir=destination.parent
            )
        )
    except OSError as error:
        raise ArtefactError(f"{destination} cannot be written: {error}") from error
    try:
        yield folder
    except OSError as error:
        raise ArtefactError(f"{destination} cannot be written: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _quiet_export() -> Iterator[None]:
    """Keep the exporter from telling users what they cannot change."""
    # That torchvision is not installed; and of a network that cannot be exported, its graph.
    names = ("onnx._internal.exporter._registration", "fx.experimental.symbolic_shapes")
    logs = [logging.getLogger(f"torch.{name}") for name in names]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.filterwarnings("ignore", ".*treespec, LeafSpec.*", FutureWarning)
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def _need(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InvalidConfigError(
            f"an ONNX file needs the package {package} (pip install 'nasgtn[onnx]'), "
            f"but importing it failed: {error}"
        ) from error


def _state(network: nn.Module) -> list[tuple[str, Tensor]]:
    return list(network.state_dict().items())


def _write_json(path: Path, value: object) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _frozen(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
    return tuple(value) if isinstance(value, list) else value
