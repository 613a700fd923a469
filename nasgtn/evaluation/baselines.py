"""What the proxy has to beat, and costs next to nothing: scores of an untrained network.

Each class follows `Evaluator` and is made from the search space, the task and the training part,
of which two of them look at one batch. Higher counts as better for all of them.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from nasgtn.data import Part
from nasgtn.evaluation.evaluator import Report, Scores
from nasgtn.forward import forward
from nasgtn.randomness import seeded, torch_rng
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.spaces.cost import count_in, count_multiply_adds, count_parameters
from nasgtn.task import Task

BATCH_SIZE = 128
"""Images that NASWOT and the gradient norm see, as in Mellor et al. (2021)."""

ACTIVATIONS = frozenset(
    {
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "rrelu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "mish",
        "tanh",
        "sigmoid",
        "log_sigmoid",
        "softplus",
        "softsign",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
    }
)
"""Names of torch's activations, whether a module calls them or the network itself."""
NORMALISATIONS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm"})


class Baseline(ABC):
    """Builds the network and leaves its measuring to the subclass."""

    name: ClassVar[str]

    def __init__(
        self, space: SearchSpace, task: Task, train: Part, device: torch.device | None = None
    ) -> None:
        self.space = space
        self.task = task
        self.train = train
        self.device = device or train.images.device

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        network = self.space.network(architecture.choices, self.task, seed=seed)
        with seeded(seed):  # for dropout
            return self.measure(network.to(self.device), seed)

    def multiply_adds(self, architecture: Architecture) -> int:
        """Count those of a score, by making one."""
        return count_in(lambda: self.score(architecture, seed=0))

    @abstractmethod
    def measure(self, network: nn.Module, seed: int) -> Scores:
        """Score a fresh network, which may be changed."""

    def batch(self, seed: int) -> Part:
        """Draw a batch of different training images."""
        index = torch.randperm(len(self.train), generator=torch_rng(seed))[:BATCH_SIZE]
        index = index.to(self.train.labels.device)
        return Part(self.train.images[index], self.train.labels[index]).to(self.device)


class Parameters(Baseline):
    """Number of parameters."""

    name = "params"

    def measure(self, network: nn.Module, seed: int) -> Scores:
        return Scores(score=float(count_parameters(network)))


class MultiplyAdds(Baseline):
    """Multiply-adds of one image, as `nasgtn.spaces.cost` counts them."""

    name = "flops"

    def measure(self, network: nn.Module, seed: int) -> Scores:
        return Scores(score=float(count_multiply_adds(network, self.task)))


class SynFlow(Baseline):
    """Synaptic flow, as log(1 + flow): the flow itself grows exponentially with depth."""

    name = "synflow"

    def measure(self, network: nn.Module, seed: int) -> Scores:
        return Scores(score=math.log1p(synaptic_flow(network, self.task)))


class NasWot(Baseline):
    """How differently the network's activations respond to different images."""

    name = "naswot"

    def measure(self, network: nn.Module, seed: int) -> Scores:
        kernel = activation_kernel(network, self.batch(seed).images)
        identity = torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
        # Images that no activation tells apart make the kernel singular. One activation more for
        # each image, its own, gives such a network a low score instead of none.
        return Scores(score=float(torch.linalg.slogdet(kernel + identity).logabsdet))


class JacobCov(Baseline):
    """How little the derivatives of the outputs by different images go together."""

    name = "jacob_cov"

    def measure(self, network: nn.Module, seed: int) -> Scores:
        return Scores(score=jacobian_score(network, self.batch(seed).images))


class GradNorm(Baseline):
    """Euclidean norms of the loss's gradients, summed over the parameter tensors."""

    name = "grad_norm"

    def measure(self, network: nn.Module, seed: int) -> Scores:
        batch = self.batch(seed)
        with torch.enable_grad():
            loss = F.cross_entropy(forward(network, batch.images), batch.labels)
            gradients = _gradients(loss, network)
        total = sum(float(gradient.norm()) for _, gradient in gradients)
        return Scores(score=total, metrics={"loss": float(loss.detach())})


ZERO_COST: dict[str, type[Baseline]] = {
    baseline.name: baseline
    for baseline in (Parameters, MultiplyAdds, SynFlow, NasWot, JacobCov, GradNorm)
}
"""The baselines that need no training, by name."""


def synaptic_flow(network: nn.Module, task: Task) -> float:
    """Sum |theta dR/dtheta|, R the sum of the outputs for an image of ones, weights made absolute.

    Activations and normalisations are left out: what flows is positive then, so that a ReLU would
    change nothing, and the score does not depend on where another activation saturates.

    Source: Tanaka et al., "Pruning neural networks without any data by iteratively conserving
    synaptic flow", NeurIPS 2020, equation 3. In float64; the network is changed.
    """
    network = network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    device = next((parameter.device for parameter in network.parameters()), None)
    ones = torch.ones(1, *task.input_shape, dtype=torch.float64, device=device)
    with torch.enable_grad(), _Intercepted(ACTIVATIONS | NORMALISATIONS, lambda inputs: inputs):
        flow = network(ones).sum()
    pairs = _gradients(flow, network)
    return sum(float((parameter * gradient).abs().sum()) for parameter, gradient in pairs)


def activation_kernel(
    network: nn.Module, images: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch batch"]:
    """Count for each two images the activations that are positive for both or for neither.

    Source: Mellor et al., "Neural architecture search without training", ICML 2021, equation 2.
    """
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)

    def count(inputs: Tensor) -> None:
        codes = (inputs.detach().flatten(1) > 0).float()
        kernel.add_(codes @ codes.T + (1 - codes) @ (1 - codes).T)

    with torch.no_grad(), _Intercepted(ACTIVATIONS, count):
        network.train()(images)  # not by `forward`, which may call a network twice
    return kernel


def jacobian_score(
    network: nn.Module, images: Float[Tensor, "batch channels height width"]
) -> float:
    """Score the eigenvalues k of the correlations between the images' input derivatives.

    -sum(log(k + e) + 1 / (k + e)), highest where all k are 1: every image has a direction of its
    own. Source: Mellor et al., "Neural architecture search without training", first version
    (arXiv 2006.04647v1), equation 3, with its e = 1e-5.
    """
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        total = forward(network.train(), images).sum()
        found = (
            torch.autograd.grad(total, images, allow_unused=True) if total.requires_grad else ()
        )
    jacobian = found[0] if found and found[0] is not None else torch.zeros_like(images)
    rows = jacobian.detach().flatten(1).double()
    rows = rows - rows.mean(dim=1, keepdim=True)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-30)
    eigenvalues = torch.linalg.eigvalsh(rows @ rows.T) + 1e-5
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())


class _Intercepted(TorchFunctionMode):
    """Shows the inputs of some torch functions to `visit`, which may answer in their place."""

    def __init__(self, names: frozenset[str], visit: Callable[[Tensor], Tensor | None]) -> None:
        super().__init__()
        self._names = names
        self._visit = visit

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[Any, ...] = (),  # Any: the arguments of any torch function
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        keywords = kwargs or {}
        if getattr(func, "__name__", "").rstrip("_") in self._names:  # relu_ works in place
            answer = self._visit(args[0] if args else keywords["input"])
            if answer is not None:
                return answer
        return func(*args, **keywords)


def _gradients(output: Tensor, network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Pair each parameter that the output depends on with its gradient."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not output.requires_grad:
        return []
    gradients = torch.autograd.grad(output, parameters, allow_unused=True)
    return [
        (parameter.detach(), gradient)
        for parameter, gradient in zip(parameters, gradients, strict=True)
        if gradient is not None
    ]
