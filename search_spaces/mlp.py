"""Multilayer perceptrons on the flattened image: up to four hidden layers, or none.

A space that knows nothing about images, for comparison, and for data without neighbourhoods.
To make a space of your own, copy this file, change `build`, and pass the file's path as the space.

Source: Rumelhart, Hinton and Williams (1986), with the normalisations of Ioffe and Szegedy (2015)
and Ba, Kiros and Hinton (2016).
"""

import math
from collections.abc import Callable

from torch import nn

from nasgtn.spaces import Choices, Trial
from nasgtn.task import Task

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
NORMALISATIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda width: nn.Identity(),
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
}


def build(trial: Trial, task: Task) -> nn.Module:
    """Let `trial` choose a network for `task`; a linear one is asked for its depth only."""
    depth = trial.suggest_int("depth", 0, 4)
    n_features = math.prod(task.input_shape)
    layers: list[nn.Module] = [nn.Flatten()]
    if depth > 0:
        activation = trial.suggest_categorical("activation", tuple(ACTIVATIONS))
        normalisation = trial.suggest_categorical("normalisation", tuple(NORMALISATIONS))
    for layer in range(1, depth + 1):
        width = trial.suggest_int(f"width_{layer}", 8, 256, log=True)
        layers += [
            nn.Linear(n_features, width),
            NORMALISATIONS[normalisation](width),
            ACTIVATIONS[activation](),
        ]
        n_features = width
    return nn.Sequential(*layers, nn.Linear(n_features, task.n_classes))


def describe(choices: Choices) -> str:
    """Write an architecture as in `128-32 batch relu`, or `linear`."""
    depth = int(choices["depth"] or 0)
    if depth == 0:
        return "linear"
    widths = "-".join(str(choices[f"width_{layer}"]) for layer in range(1, depth + 1))
    return f"{widths} {choices['normalisation']} {choices['activation']}"
