"""The inner loop: a learner trains on synthetic batches, with or without a graph behind it."""

import math
from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.func import grad_and_value, vmap

from nasgtn.gtn.gradients import Gradients, soft_cross_entropy
from nasgtn.gtn.learner import Learner
from nasgtn.gtn.optimisers import (
    InnerLoopConfig,
    InPlace,
    Rule,
    State,
    make_rule,
    start,
    update,
)

Graph = Literal["none", "whole", "checkpointed"]


class SyntheticData(NamedTuple):
    """What the learner reads, one row a step."""

    images: Float[Tensor, "steps batch channels height width"]
    """float32, normalised as the real data are."""
    labels: Float[Tensor, "steps batch classes"]
    """Class probabilities; one-hot rows for hard labels."""
    learning_rates: Float[Tensor, " steps"]
    momenta: Float[Tensor, " steps"]


def in_turn(batches: Tensor, n_steps: int) -> Tensor:
    """Let batches come again in turn until there are as many as steps; differentiable.

    By `cat`, whose gradient adds up in one order: that of an index depends on the threads.
    """
    n_passes = math.ceil(n_steps / len(batches))
    return torch.cat([batches] * n_passes)[:n_steps] if n_passes > 1 else batches[:n_steps]


class Unrolled(NamedTuple):
    """What the inner loop returns."""

    parameters: dict[int, Tensor]
    """Parameters after so many steps, (params) or (seeds, params)."""
    losses: Float[Tensor, "steps *seeds"]
    """Training loss of each step in nats, before its update; carries no graph."""


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
        Unless `differentiable`, the next step overwrites the parameters.
    """
    how = _Training(learner, make_rule(learner, parameters, config))
    state = start(parameters, how.rule)
    if not differentiable and parameters.dim() == 1:
        yield from _in_place(how, 0, InPlace(state, how.rule), data, may_record=True)
        return
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
                kept[number] = after if graph == "whole" else after.clone()
        return Unrolled(kept, torch.stack(losses))
    how = _Training(learner, make_rule(learner, parameters, config))
    state, begin = start(parameters, how.rule), 0
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
    rule: Rule


def _in_place(
    how: _Training,
    begin: int,
    optimiser: InPlace,
    data: SyntheticData,
    *,
    may_record: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Train without a graph; yields what `steps` yields."""
    parameters = optimiser.parameters
    n_steps = len(data.images) if may_record else 0
    gradients = Gradients(how.learner, parameters, n_steps=n_steps)
    settings = zip(data.learning_rates.tolist(), data.momenta.tolist(), strict=True)
    batches = zip(data.images.detach(), data.labels.detach(), settings, strict=True)
    for index, (images, labels, (rate, momentum)) in enumerate(batches, start=begin):
        loss, found = gradients.of(images, labels)
        optimiser.step(found, rate, momentum, index)
        yield parameters, loss


def _step(how: _Training, index: int, state: State, batch: SyntheticData) -> tuple[State, Tensor]:
    """Compute loss and gradient, apply the optimiser: with a graph, or for several seeds."""
    if state.parameters.dim() == 2:
        gradient, loss = vmap(grad_and_value(_loss, argnums=1), in_dims=(None, 0, None))(
            how.learner, state.parameters, batch
        )
    else:
        parameters = state.parameters
        if not parameters.requires_grad:
            parameters = parameters.detach().requires_grad_()
        loss = _loss(how.learner, parameters, batch)
        (gradient,) = torch.autograd.grad(loss, parameters, create_graph=True)
    settings = batch.learning_rates, batch.momenta
    return update(state, gradient, settings, index, how.rule), loss


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
        optimiser, segment = InPlace(State(*tensors[:4]), how.rule), SyntheticData(*tensors[4:])
        losses = torch.stack([loss for _, loss in _in_place(how, begin, optimiser, segment)])
        ctx.mark_non_differentiable(losses)
        return (*optimiser.state, losses)

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
