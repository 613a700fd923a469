"""What a network costs: parameters, multiply-adds, latency.

Convention: one multiply-add counts one, half of what `torch.utils.flop_counter` counts; only
convolutions and matrix products count, without biases, normalisation, activations and pooling.
So a count equals `flops` of NAS-Bench-Macro, and is `n_classes` below `flops_m` of NAS-Bench-201,
which counts the bias of the last layer.
"""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nasgtn.task import Task

N_WARM_UP = 3


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one network costs."""

    n_parameters: int
    n_multiply_adds: int
    """For one image; the module says what counts."""
    latency_ms: float | None = None
    """Median time of one image, in milliseconds; None where it was not measured."""


def count_parameters(network: nn.Module) -> int:
    """Count the numbers that training changes; running statistics do not count."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def count_multiply_adds(network: nn.Module, task: Task, *, and_back: bool = False) -> int:
    """Count the multiply-adds of one image; the network is put back as it was.

    Args:
        network: In whatever mode; it runs in that of evaluation.
        task: Decides the shape of the image.
        and_back: Count those of the gradients, too, as a training has them.
    """
    modes = [(module, module.training) for module in network.modules()]
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    images = torch.zeros(1, *task.input_shape, device=_device_of(network))

    def run() -> None:
        logits = network.eval()(images)
        if logits.requires_grad:
            torch.autograd.grad(logits.sum(), parameters, allow_unused=True)

    try:
        with torch.set_grad_enabled(and_back):
            return count_in(run)
    finally:
        for module, is_training in modes:
            module.training = is_training


def count_in(run: Callable[[], object]) -> int:
    """Count the multiply-adds of whatever `run` computes, ways back and optimiser included."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops()) // 2


def measure_latency(
    network: nn.Module,
    task: Task,
    *,
    batch_size: int = 1,
    n_repeats: int = 20,
    device: torch.device | str | None = None,
) -> float:
    """Measure the median time in seconds of one forward pass in evaluation mode.

    The images are on the device already, three passes before do not count, and each pass waits
    until the device has finished.

    Args:
        network: Copied, so neither moved nor changed.
        task: Decides the shape of the images.
        batch_size: Images of one pass.
        n_repeats: Passes to take the median of.
        device: Where to measure; None is where the network is.
    """
    chosen = torch.device(device) if device is not None else _device_of(network)
    moved = copy.deepcopy(network).to(chosen).eval()
    images = torch.zeros(batch_size, *task.input_shape, device=chosen)
    with torch.inference_mode():
        times = [_seconds(moved, images) for _ in range(N_WARM_UP + n_repeats)]
    return statistics.median(times[N_WARM_UP:])


def measure_cost(
    network: nn.Module, task: Task, *, latency_device: torch.device | str | None = None
) -> Cost:
    """Count parameters and multiply-adds, and measure the latency where a device is given."""
    latency_ms = None
    if latency_device is not None:
        latency_ms = 1000 * measure_latency(network, task, device=latency_device)
    return Cost(
        n_parameters=count_parameters(network),
        n_multiply_adds=count_multiply_adds(network, task),
        latency_ms=latency_ms,
    )


def _device_of(network: nn.Module) -> torch.device:
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def _seconds(network: nn.Module, images: Tensor) -> float:
    start = time.perf_counter()
    network(images)
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - start
