"""The inner loop's optimisers: one step, as a function of what was before it.

All parameters of a learner lie in one vector, its matrices first (see `Learner`), so that a step
is a handful of operations however many layers there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from nasgtn.errors import InvalidConfigError
from nasgtn.gtn.learner import Learner, Matrices

OPTIMISERS = ("muon", "adam", "sgd")
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan et al., "Muon: an optimizer for hidden layers in
neural networks", 2024)."""
N_ROUNDS = 3
"""Singular values above a fortieth of the matrix's size go to [0.7, 1.2]; five rounds as
published bring the smaller ones there too, and order networks no better."""


@dataclass(frozen=True, kw_only=True)
class InnerLoopConfig:
    """How a learner trains on synthetic batches.

    Learning rate and momentum are where they start: the curriculum learns one of each a step.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    optimiser: str = "muon"
    """`muon`: weight matrices move by their orthogonalised mean gradient, all else by Adam;
    `adam`; or `sgd` with momentum (as published)."""
    learning_rate: float = 0.05
    """Above 0."""
    relative: bool = True
    """Learning rates are shares of the size (root mean square) that the values of each parameter
    tensor start with. One rate then suits wide and narrow, deep and shallow networks alike, and
    the proxy compares architectures rather than how well one rate happens to fit them."""
    momentum: float = 0.8
    """Decay of the mean gradient, in (0, 1)."""
    second_momentum: float = 0.99
    """Decay of the mean squared gradient, in (0, 1); Adam alone. Fixed, not learned."""
    epsilon: float = 1e-8
    """Added to the mean squared gradient under the root, so that the root has a derivative."""

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise InvalidConfigError(
                f"optimiser must be one of {', '.join(OPTIMISERS)}, got {self.optimiser!r}"
            )
        for name in ("momentum", "second_momentum"):
            if not 0 < getattr(self, name) < 1:
                raise InvalidConfigError(f"{name} must be in (0, 1), got {getattr(self, name)}")
        for name in ("learning_rate", "epsilon"):
            if not getattr(self, name) > 0:
                raise InvalidConfigError(f"{name} must be above 0, got {getattr(self, name)}")


class State(NamedTuple):
    """Where training stands: parameters, and the optimiser's two running means."""

    parameters: Float[Tensor, "*seeds params"]
    mean: Float[Tensor, "*seeds params"]
    mean_square: Float[Tensor, "*seeds rest"]
    """Of the parameters that are not orthogonalised; all zero under SGD."""
    weight: Float[Tensor, ""]
    """Product of the momenta so far: what the mean still lacks of a full average."""


class Rule(NamedTuple):
    """What stays the same from step to step."""

    config: InnerLoopConfig
    scales: Float[Tensor, "*seeds params"]
    """What the learning rate is multiplied with, one a parameter."""
    matrices: Sequence[Matrices]
    """Those that are orthogonalised; none but under `muon`."""

    @property
    def n_orthogonal(self) -> int:
        """Values of the parameter vector that belong to orthogonalised matrices."""
        return sum(group.n_values for group in self.matrices)


def make_rule(
    learner: Learner, parameters: Float[Tensor, "*seeds params"], config: InnerLoopConfig
) -> Rule:
    """Work out what the steps from `parameters` on have in common."""
    matrices = learner.matrices if config.optimiser == "muon" else ()
    sizes = learner.scales(parameters)
    scales = sizes if config.relative else torch.ones_like(sizes)
    begin = 0
    for group in matrices:  # an orthogonal matrix has values of this size
        scales[..., begin : begin + group.n_values] *= math.sqrt(max(group.rows, group.columns))
        begin += group.n_values
    return Rule(config, scales, matrices)


def start(parameters: Float[Tensor, "*seeds params"], rule: Rule) -> State:
    """Make the state before the first step."""
    zeros = torch.zeros_like(parameters)
    return State(parameters, zeros, zeros[..., rule.n_orthogonal :], parameters.new_ones(()))


def update(
    state: State, gradient: Tensor, settings: tuple[Tensor, Tensor], step: int, rule: Rule
) -> State:
    """Apply the optimiser once; differentiable, and written for few passes over the parameters.

    Adam as in Kingma and Ba, arXiv 1412.6980, algorithm 1; the momentum may differ from step to
    step, so the bias correction of the mean is the product of the momenta, not a power. Muon
    moves matrices by the orthogonal matrix that is nearest to the Nesterov mean of the gradients,
    so that all directions are learned at one speed, whatever the shape of the network.

    Args:
        state: Before the step.
        gradient: Of the loss, for the parameters.
        settings: Learning rate and momentum of this step.
        step: Counts from 0.
        rule: Which optimiser, and for which parameters.
    """
    rate, momentum = settings
    n, config = rule.n_orthogonal, rule.config
    if config.optimiser == "sgd":
        mean = momentum * state.mean + gradient
        parameters = torch.addcmul(state.parameters, rate * rule.scales, mean, value=-1)
        return State(parameters, mean, state.mean_square, state.weight)
    beta = config.second_momentum
    correction = 1 - beta ** (step + 1)
    weight = momentum * state.weight
    mean, tail = torch.lerp(gradient, state.mean, momentum), gradient[..., n:]
    mean_square = torch.addcmul(beta * state.mean_square, tail, tail, value=1 - beta)
    root = torch.rsqrt(mean_square + config.epsilon * correction)
    change = (math.sqrt(correction) / (1 - weight)) * root * mean[..., n:]
    if n:
        whole = mean[..., :n] / (1 - weight)
        ahead = torch.lerp(gradient[..., :n], whole, momentum)
        change = torch.cat([orthogonalised(ahead, rule.matrices), change], dim=-1)
    parameters = torch.addcmul(state.parameters, rate * rule.scales, change, value=-1)
    return State(parameters, mean, mean_square, weight)


class InPlace:
    """Does what `update` does in memory of its own, laid out once: for steps without a graph.

    New memory and new views for each step cost more than most of the arithmetic.

    Args:
        state: Where it starts, of one seed; copied.
        rule: As for `update`.
    """

    def __init__(self, state: State, rule: Rule) -> None:
        self.parameters: Float[Tensor, " params"] = state.parameters.detach().clone()
        """Overwritten by each step."""
        self._mean, self._mean_square = state.mean.detach().clone(), state.mean_square.clone()
        self._weight = state.weight.item()
        self._gradient = torch.empty_like(self.parameters)
        self._rule = rule
        sizes = [group.n_values for group in rule.matrices]
        sizes.append(len(self.parameters) - sum(sizes))
        vectors = self.parameters, self._gradient, rule.scales
        *matrices, rest = zip(*(vector.split(sizes) for vector in vectors), strict=True)
        self._rest = rest
        self._matrices = [
            tuple(piece.view(group.number, group.rows, group.columns) for piece in pieces)
            for pieces, group in zip(matrices, rule.matrices, strict=True)
        ]

    @property
    def state(self) -> State:
        """Where it stands; the next step overwrites it."""
        weight = self.parameters.new_tensor(self._weight)
        return State(self.parameters, self._mean, self._mean_square, weight)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float, momentum: float, step: int) -> None:
        """Apply the optimiser once; the gradients are those of the learner's parameters."""
        torch.cat([gradient.reshape(-1) for gradient in gradients], out=self._gradient)
        parameters, gradient, scales = self._rest
        if self._rule.config.optimiser == "sgd":
            self._mean.mul_(momentum).add_(gradient)
            parameters.addcmul_(self._mean, scales, value=-rate)
            return
        n, config = self._rule.n_orthogonal, self._rule.config
        beta = config.second_momentum
        correction = 1 - beta ** (step + 1)
        self._weight *= momentum
        self._mean.lerp_(self._gradient, 1 - momentum)
        self._mean_square.mul_(beta).addcmul_(gradient, gradient, value=1 - beta)
        torch.add(self._mean_square, config.epsilon * correction, out=gradient)
        gradient.rsqrt_().mul_(self._mean[n:])
        value = -rate * math.sqrt(correction) / (1 - self._weight)
        parameters.addcmul_(gradient, scales, value=value)
        if n:  # the Nesterov mean of `update`, but for a factor that Newton-Schulz takes out
            share = momentum / ((1 - momentum) * (1 - self._weight))
            self._gradient[:n].add_(self._mean[:n], alpha=share)
        for parameters, ahead, scales in self._matrices:
            wide = ahead.shape[1] <= ahead.shape[2]
            factor = _towards_orthogonal(ahead @ ahead.mT if wide else ahead.mT @ ahead)
            factor.mul_(scales[:, :1, :1])
            parameters.baddbmm_(*((factor, ahead) if wide else (ahead, factor)), alpha=-rate)


def orthogonalised(
    values: Float[Tensor, "*seeds matrices"], groups: Sequence[Matrices]
) -> Float[Tensor, "*seeds matrices"]:
    """Replace each matrix, nearly, by U V^T of its singular value decomposition U S V^T.

    Newton-Schulz rounds on all matrices of one shape at once; a matrix of zeros stays one.
    """
    pieces = values.split([group.n_values for group in groups], dim=-1)
    found = []
    for piece, group in zip(pieces, groups, strict=True):
        x = piece.reshape(-1, group.rows, group.columns)
        if group.rows <= group.columns:
            x = _towards_orthogonal(x @ x.mT) @ x
        else:
            x = x @ _towards_orthogonal(x.mT @ x)
        found.append(x.reshape(piece.shape))
    return torch.cat(found, dim=-1)


def _towards_orthogonal(gram: Float[Tensor, "batch n n"]) -> Float[Tensor, "batch n n"]:
    """Find the symmetric matrix that turns X into U V^T, nearly, from `gram` = X X^T or X^T X.

    The rounds X -> (a + b G + c G^2) X are polynomials of G and commute, so that X itself, with
    its long side, enters two products in all and not two a round.
    """
    a, b, c = NEWTON_SCHULZ
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    size = (trace + 1e-20).view(-1, 1, 1)
    gram, product = gram / size, None
    for number in range(N_ROUNDS):
        higher = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # the polynomial without a
        if product is None:
            eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
            product = torch.add(higher, eye, alpha=a)
        else:
            product = torch.baddbmm(product, higher, product, beta=a)
        if number + 1 < N_ROUNDS:
            half = torch.baddbmm(gram, higher, gram, beta=a)
            gram = torch.baddbmm(half, half, higher, beta=a)
    assert product is not None
    return product * size.rsqrt()
