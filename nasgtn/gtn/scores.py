"""How well logits fit labels, as numbers that compare architectures."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

SCORES = ("soft_accuracy", "late_training_loss")
"""What anchors can be taught to be ordered by: how well the learner does on real images in the
end, or how well it fits the synthetic ones of the last steps."""
LATE = 0.25
"""Share of the steps, from the end, whose training losses count as late."""
STEEPNESS = 4.0
"""Of the step from wrong to right: a margin of half a standard deviation counts 0.88."""


def soft_accuracy(
    logits: Float[Tensor, "*seeds images classes"], labels: Int[Tensor, " images"]
) -> Float[Tensor, "*seeds"]:
    """Accuracy with a smooth step: mean sigmoid of each image's margin, in [0, 1].

    The margin is the logit of the true class less the highest other one, in standard deviations
    of all logits: a network that is sure of itself gains nothing by that, as it would with the
    loss. Unlike the accuracy, it tells networks apart that get the same images right, and has a
    gradient.
    """
    centred = logits - logits.mean(dim=-1, keepdim=True)
    scale = torch.rsqrt(centred.square().mean(dim=(-2, -1)) + 1e-20)
    index = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    true = logits.gather(-1, index).squeeze(-1)
    others = logits.scatter(-1, index, -torch.inf).amax(dim=-1)
    margins = (true - others) * scale.unsqueeze(-1)
    return torch.sigmoid(STEEPNESS * margins).mean(dim=-1)


def late_steps(n_steps: int) -> range:
    """Name the late ones of so many steps, counted from 0.

    >>> late_steps(16)
    range(12, 16)
    """
    return range(n_steps - math.ceil(LATE * n_steps), n_steps)
