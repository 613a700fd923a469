"""The inner loop: a learner trains on synthetic batches, with or without a graph behind it."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.func import grad_and_value, vmap
from torch.nn import functional as F

from nasgtn.errors import InvalidConfigError
from nasgtn.gtn.learner import Learner

OPTIMISERS = ("adam", "sgd")
Graph = Literal["none", "whole", "checkpointed"]


@dataclass(frozen=True, kw_only=True)
class InnerLoopConfig:
    """How a learner trains on synthetic batches.

    Learning rate and momentum are where they start: the curriculum learns one of each a step.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    optimiser: str = "adam"
    """`adam`, or `sgd` with momentum (as published)."""
    learning_rate: float = 0.02
    """Above 0."""
    relative: bool = True
    """Learning rates are shares of the size (root mean square) that the values of each parameter
    tensor start with. One rate then suits wide and narrow, deep and shallow networks alike, and
    the proxy compares architectures rather than how well one rate happens to fit them."""
    momentum: float = 0.7
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


class SyntheticData(NamedTuple):
    """What the learner reads, one row a step."""

    images: Float[Tensor, "steps batch channels height width"]
    """float32, normalised as the real data are."""
    labels: Float[Tensor, "steps batch classes"]
    """Class probabilities; one-hot rows for hard labels."""
    learning_rates: Float[Tensor, " steps"]
    momenta: Float[Tensor, " steps"]


class State(NamedTuple):
    """Where training stands: parameters, and the optimiser's two running means."""

    parameters: Float[Tensor, "*seeds params"]
    mean: Float[Tensor, "*seeds params"]
    mean_square: Float[Tensor, "*seeds params"]
    """All zero under SGD."""
    weight: Float[Tensor, ""]
    """Product of the momenta so far: what the mean still lacks of a full average (Adam)."""


class Unrolled(NamedTuple):
    """What the inner loop returns."""

    parameters: dict[int, Tensor]
    """Parameters after so many steps, (params) or (seeds, params)."""
    losses: Float[Tensor, "steps *seeds"]
    """Training loss of each step in nats, before its update; carries no graph."""


def start(parameters: Float[Tensor, "*seeds params"]) -> State:
    """Make the state before the first step."""
    zeros = torch.zeros_like(parameters)
    return State(parameters, zeros, zeros, parameters.new_ones(()))


def soft_cross_entropy(
    logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy with class probabilities, in nats."""
    return -(labels * F.log_softmax(logits, dim=-1)).sum(dim=-1).mean()


def update(
    state: State,
    gradient: Tensor,
    settings: tuple[Tensor, Tensor],
    scales: Tensor | None,
    step: int,
    config: InnerLoopConfig,
) -> State:
    """Apply the optimiser once: Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1), or SGD.

    The momentum may differ from step to step, so Adam's bias correction of the mean is the
    product of the momenta, not a power. Written for few passes over the parameters.

    Args:
        state: Before the step.
        gradient: Of the loss, for the parameters.
        settings: Learning rate and momentum of this step.
        scales: What the learning rate is relative to, one a parameter; None: to nothing.
        step: Counts from 0.
        config: Which optimiser.
    """
    rate, momentum = settings
    if config.optimiser == "sgd":
        mean = momentum * state.mean + gradient
        change = rate * mean if scales is None else rate * mean * scales
        return State(state.parameters - change, mean, state.mean_square, state.weight)
    beta = config.second_momentum
    correction = 1 - beta ** (step + 1)
    weight = momentum * state.weight
    mean = torch.lerp(gradient, state.mean, momentum)
    mean_square = torch.addcmul(beta * state.mean_square, gradient, gradient, value=1 - beta)
    root = torch.rsqrt(mean_square + config.epsilon * correction)
    rate = rate * math.sqrt(correction) / (1 - weight)
    step_sizes = rate * root if scales is None else rate * scales * root
    parameters = torch.addcmul(state.parameters, step_sizes, mean, value=-1)
    return State(parameters, mean, mean_square, weight)


def steps(
    learner: Learner,
    parameters: Float[Tensor, "*seeds params"],
    data: SyntheticData,
    config: InnerLoopConfig,
    *,
    differentiable: bool = False,
) -> Iterator[tuple[Float[Tensor, "*seeds params"], Float[Tensor, "*seeds"]]]:
    """Train `learner` on synthetic batches, one batch a step, in order.

    Args:
        learner: Read, never changed.
        parameters: Where training starts; one vector, or one a seed (all trained at once).
        data: Images, labels and optimiser settings of each step.
        config: The optimiser.
        differentiable: Keep the graph back to `parameters` and `data`; memory then grows with
            the activations of all steps.

    Yields:
        After each step its parameters, and its loss in nats before the update (without graph).
    """
    how, state = _Training(learner, config, learner.scales(parameters)), start(parameters)
    for index, row in enumerate(zip(*data, strict=True)):
        with torch.set_grad_enabled(differentiable):
            state, loss = _step(how, index, state, SyntheticData(*row))
        yield state.parameters, loss.detach()


def unroll(
    learner: Learner,
    parameters: Float[Tensor, "*seeds params"],
    data: SyntheticData,
    config: InnerLoopConfig,
    *,
    keep: Collection[int] = (),
    graph: Graph = "none",
) -> Unrolled:
    """Run `steps` to the end; keep the parameters after the steps in `keep`, and after the last.

    Args:
        learner: Read, never changed.
        parameters: As for `steps`.
        data: As for `steps`.
        config: The optimiser.
        keep: Numbers of steps, counted from 1.
        graph: `none`; `whole`: as a differentiable `steps`; `checkpointed`: with the same
            gradients, but memory grows with the root of the number of steps. The optimiser's
            state is kept at the end of each segment of steps, and all else computed again on the
            way back (Chen et al., arXiv 1604.06174).
    """
    n_steps = len(data.images)
    kept, losses = {}, []
    if graph != "checkpointed":
        run = steps(learner, parameters, data, config, differentiable=graph == "whole")
        for number, (after, loss) in enumerate(run, start=1):
            losses.append(loss)
            if number in keep or number == n_steps:
                kept[number] = after
        return Unrolled(kept, torch.stack(losses))
    how = _Training(learner, config, learner.scales(parameters))
    state, begin = start(parameters), 0
    for end in _segment_ends(n_steps, keep):
        segment = SyntheticData(*(rows[begin:end] for rows in data))
        *after, loss = _Segment.apply(how, begin, *state, *segment)  # type: ignore[no-untyped-call]
        losses.append(loss)
        state, begin = State(*after), end
        if end in keep or end == n_steps:
            kept[end] = state.parameters
    return Unrolled(kept, torch.cat(losses))


def _segment_ends(n_steps: int, keep: Collection[int]) -> list[int]:
    length = math.isqrt(n_steps)
    return sorted({*range(length, n_steps, length), *keep, n_steps})


class _Training(NamedTuple):
    """What stays the same from step to step."""

    learner: Learner
    config: InnerLoopConfig
    scales: Float[Tensor, "*seeds params"]
    """Size that each parameter's tensor started with."""


def _step(how: _Training, index: int, state: State, batch: SyntheticData) -> tuple[State, Tensor]:
    """Compute loss and gradient, apply the optimiser; differentiable where gradients are on."""
    if state.parameters.dim() == 2:
        gradient, loss = vmap(grad_and_value(_loss, argnums=1), in_dims=(None, 0, None))(
            how.learner, state.parameters, batch
        )
    else:
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            parameters = state.parameters
            if not differentiable or not parameters.requires_grad:
                parameters = parameters.detach().requires_grad_()
            loss = _loss(how.learner, parameters, batch)
            (gradient,) = torch.autograd.grad(loss, parameters, create_graph=differentiable)
    settings = batch.learning_rates, batch.momenta
    scales = how.scales if how.config.relative else None
    return update(state, gradient, settings, scales, index, how.config), loss


def _loss(learner: Learner, parameters: Tensor, batch: SyntheticData) -> Tensor:
    return soft_cross_entropy(learner.logits(parameters, batch.images), batch.labels)


class _Segment(torch.autograd.Function):
    """Some steps that keep their inputs alone, and run again when their gradient is asked for.

    On the way back, a segment of several steps becomes that many segments of one.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, how: _Training, begin: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.how, ctx.begin = how, begin  # type: ignore[attr-defined]
        ctx.save_for_backward(*tensors)
        state, losses = State(*tensors[:4]), []
        for index, row in enumerate(zip(*tensors[4:], strict=True), start=begin):
            state, loss = _step(how, index, state, SyntheticData(*row))
            losses.append(loss)
        all_losses = torch.stack(losses)
        ctx.mark_non_differentiable(all_losses)
        return (*state, all_losses)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        wanted = ctx.needs_input_grad[2:]
        tensors = [
            tensor.detach().requires_grad_(needed)
            for tensor, needed in zip(ctx.saved_tensors, wanted, strict=True)
        ]
        inputs = [t for t, needed in zip(tensors, wanted, strict=True) if needed]
        with torch.enable_grad():
            state = _again(ctx.how, ctx.begin, tensors)
        outputs = [(o, c) for o, c in zip(state, cotangents, strict=False) if o.requires_grad]
        gradients = iter(
            torch.autograd.grad(
                [output for output, _ in outputs],
                inputs,
                [cotangent for _, cotangent in outputs],
                allow_unused=True,
            )
        )
        return None, None, *(next(gradients) if needed else None for needed in wanted)


def _again(how: _Training, begin: int, tensors: list[Tensor]) -> State:
    """Run a segment with its graph: one step as it is, several as segments of one."""
    state, segment = State(*tensors[:4]), SyntheticData(*tensors[4:])
    if len(segment.images) == 1:
        return _step(how, begin, state, SyntheticData(*(rows[0] for rows in segment)))[0]
    for offset in range(len(segment.images)):
        one = (rows[offset : offset + 1] for rows in segment)
        *after, _ = _Segment.apply(how, begin + offset, *state, *one)  # type: ignore[no-untyped-call]
        state = State(*after)
    return state
