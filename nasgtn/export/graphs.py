"""Networks as graphs that run without nasgtn: torch.export's archive, and ONNX."""

import copy
import importlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nasgtn.errors import ArtefactError, InvalidConfigError, InvalidSpaceError
from nasgtn.task import Task

ONNX, TORCH_EXPORT = "model.onnx", "model.pt2"
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

Pixels = Float[Tensor, "batch channels height width"]


class Portable(nn.Module):
    """A network together with what has to happen to pixels before it.

    It maps float32 pixels in [0, 1] to float32 logits, whatever the dtype inside.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, task: Task, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().to(dtype)
        self.dtype = dtype
        self.register_buffer("mean", torch.tensor(task.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(task.std).view(-1, 1, 1))
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        images = (pixels - self.mean) / self.std
        logits: Tensor = self.network(images.to(self.dtype))
        return logits.float()

    @property
    def tolerance(self) -> float:
        """Largest difference between two ways to the logits, relative to the largest of them."""
        return max(1e-5, 8 * torch.finfo(self.dtype).eps)


def write_torch_export(network: Portable, path: Path, pixels: Pixels) -> float:
    """Write torch.export's archive: weights as they lie in memory, the graph as JSON.

    Returns:
        The largest difference of its logits from those of the network.

    Raises:
        ArtefactError: It differs by more than `Portable.tolerance`.
        InvalidSpaceError: torch cannot trace the network.
    """
    with _explained("torch.export"), _quiet_export():
        program = torch.export.export(network, (_example(pixels),), dynamic_shapes=_any_batch())
        program.example_inputs = None  # they would be pickled
        torch.export.save(program, path)
    loaded = torch.export.load(path).module()
    return _check(network, loaded, pixels, "torch.export's archive")


def write_onnx(network: Portable, path: Path, pixels: Pixels) -> float:
    """Write an ONNX file; input `pixels`, output `logits`.

    Returns:
        The largest difference of onnxruntime's logits from torch's.

    Raises:
        ArtefactError: It differs by more than `Portable.tolerance`.
        InvalidConfigError: The extra `onnx` is not installed, or has no such dtype.
        InvalidSpaceError: The network cannot be written as ONNX.
    """
    runtime, *_ = (_need(package) for package in reversed(ONNX_PACKAGES))
    if network.dtype == torch.bfloat16:
        raise InvalidConfigError(
            "an ONNX file must be of float32 or float16, since onnxruntime has no convolutions "
            "in bfloat16"
        )
    with _explained("ONNX"), _quiet_export():
        torch.onnx.export(
            network,
            (_example(pixels),),
            path,
            dynamo=True,
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_shapes=_any_batch(),
            external_data=False,
            verbose=False,
        )
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(some: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"pixels": some.numpy()})[0])

    return _check(network, run, pixels, "onnxruntime")


def _example(pixels: Pixels) -> Float[Tensor, "2 channels height width"]:
    """Make a batch to trace with: a size that is neither 0 nor 1 stays free."""
    return torch.zeros_like(pixels[:1]).repeat(2, 1, 1, 1)


def _any_batch() -> tuple[dict[int, object]]:
    return ({0: torch.export.Dim("batch")},)


def _check(
    network: Portable, other: Callable[[Tensor], Tensor], pixels: Pixels, name: str
) -> float:
    """Compare the logits of one image, and of all together."""
    difference, largest = 0.0, 1.0
    with torch.no_grad():
        for batch in (pixels[:1], pixels):
            logits = network(batch)
            difference = max(difference, (other(batch) - logits).abs().max().item())
            largest = max(largest, logits.abs().max().item())
    if not difference <= network.tolerance * largest:
        raise ArtefactError(
            f"{name} must give the logits of the network to within {network.tolerance:.2g}, "
            f"but they differ by {difference:.2g}"
        )
    return difference


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        cause = error.__cause__ or error  # torch says what to do next, and there what happened
        raise InvalidSpaceError(
            f"the network must be exportable to {what}, but torch raised "
            f"{type(cause).__name__}: {next(iter(str(cause).splitlines()), '')} "
            "(its weights alone need no graph: --format safetensors)"
        ) from error


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
