"""A trained network in a folder: weights, graphs, card, examples; and back again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nasgtn.errors import ArtefactError, InvalidSpaceError
from nasgtn.export.card import network_card
from nasgtn.export.folder import copy_example, whole_folder, write_json
from nasgtn.export.graphs import (
    ONNX,
    ONNX_PACKAGES,
    TORCH_EXPORT,
    Pixels,
    Portable,
    write_onnx,
    write_torch_export,
)
from nasgtn.spaces import Architecture, Choice
from nasgtn.spaces.catalogue import find_space
from nasgtn.task import Task

__all__ = ["FORMATS", "ONNX_PACKAGES", "TrainedNetwork", "export_network", "load_network"]

FORMAT = 1
"""Version of the exported folder."""
WEIGHTS, CHOICES, MODEL, SPACE = (
    "weights.safetensors",
    "choices.json",
    "model.json",
    "search_space.py",
)
FORMATS = ("safetensors", "torch-export", "onnx")
GRAPHS: dict[str, tuple[str, Callable[[Portable, Path, Pixels], float], str]] = {
    "torch-export": (TORCH_EXPORT, write_torch_export, "classify_torch.py"),
    "onnx": (ONNX, write_onnx, "classify_onnx.py"),
}
"""Of each format that is a graph: the file, what writes it, the example that runs it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedNetwork:
    """A network to hand on, and what it takes to use it."""

    network: nn.Module
    """With its final weights; left as it is."""
    architecture: Architecture
    task: Task
    space: str
    """As `find_space` takes it; a Python file is copied beside the weights."""
    space_options: Mapping[str, Choice] = field(default_factory=dict)
    facts: Mapping[str, float | int | str | None] = field(default_factory=dict)
    """What is known about it, such as `test_accuracy`, and where it comes from; goes into
    `model.json` and onto the card."""


def export_network(
    trained: TrainedNetwork,
    destination: Path,
    *,
    formats: Sequence[str] = ("safetensors",),
    dtype: torch.dtype = torch.float32,
    images: Float[Tensor, "batch channels height width"] | None = None,
) -> Path:
    """Write a network into a new folder, whole or not at all.

    Args:
        trained: The network, usually the winner of a run.
        destination: Must not exist.
        formats: Some of `FORMATS`. `safetensors` are the weights; the others are graphs that take
            pixels in [0, 1] and run without nasgtn.
        dtype: Of the weights, and of all that a graph computes between pixels and logits.
        images: Real, normalised images on which graphs are checked; random ones where None.

    Raises:
        ArtefactError: The destination exists or cannot be written, or a graph disagrees with the
            network.
        InvalidConfigError: The extra `onnx` is not installed, or has no such dtype.
        InvalidSpaceError: The network cannot be written as a graph, or run in this dtype.
    """
    with whole_folder(destination) as folder:
        portable = Portable(trained.network, trained.task, dtype)
        pixels = _pixels(trained.task, images)
        differences = {}
        for name in formats:
            if name == "safetensors":
                _write_weights(portable.network, folder / WEIGHTS)
                continue
            _check_runs(portable, pixels)
            file, write, example = GRAPHS[name]
            differences[name] = write(portable, folder / file, pixels)
            copy_example(example, folder)
        model = {
            **_description(trained),
            "formats": list(formats),
            "dtype": str(dtype).removeprefix("torch."),
            "checked": {
                "images": 0 if images is None else len(images),
                "largest_difference": differences,
            },
        }
        write_json(folder / MODEL, model)
        write_json(folder / CHOICES, dict(trained.architecture.choices))
        if trained.space.endswith(".py"):
            copyfile(trained.space, folder / SPACE)
        (folder / "README.md").write_text(network_card(model), encoding="utf-8")
    return destination


def load_network(folder: Path) -> tuple[nn.Module, Task]:
    """Load what `export_network` wrote: the network in evaluation mode, and its task.

    The network is of float32, and takes images normalised with the task's mean and deviation.

    Raises:
        ArtefactError: A file is missing, damaged, or of another version.
    """
    try:
        model = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        choices = json.loads((folder / CHOICES).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
        version = model["format"]
    except SafetensorError as error:
        raise ArtefactError(f"{folder / WEIGHTS} is damaged: {error}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{folder} must hold an exported network, but: {error}") from error
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


def _description(trained: TrainedNetwork) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "architecture_id": trained.architecture.id,
        "description": trained.architecture.description,
        "choices": dict(trained.architecture.choices),
        "space": trained.space,
        "options": dict(trained.space_options),
        "task": asdict(trained.task),
        "facts": dict(trained.facts),
    }


def _write_weights(network: nn.Module, path: Path) -> None:
    # Copies, since tied weights are written more than once.
    state = {
        name: value.clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    path.write_bytes(save(state))


def _pixels(
    task: Task, images: Float[Tensor, "batch channels height width"] | None
) -> Float[Tensor, "batch channels height width"]:
    if images is None:
        rng = torch.Generator().manual_seed(0)
        return torch.rand((8, *task.input_shape), generator=rng)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (task.mean, task.std))
    return images.cpu() * std + mean


def _check_runs(portable: Portable, pixels: Pixels) -> None:
    try:
        with torch.no_grad():
            portable(pixels[:1])
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InvalidSpaceError(
            f"the network must run in {portable.dtype}, but: {reason}"
        ) from error


def _frozen(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
    return tuple(value) if isinstance(value, list) else value
