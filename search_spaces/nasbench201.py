"""NAS-Bench-201: a cell of four nodes and six edges, five operations an edge, 15,625 cells.

The network is the benchmark's own with the default options (16 channels, 5 cells a stage), so
that accuracies of its table hold for it; fewer channels and cells make a quick look-alike, as the
proxy has it.

Source: Dong and Yang, "NAS-Bench-201", ICLR 2020 (section 2). To make a space of your own, copy
this file, change `build`, and pass the file's path as the space.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nasgtn.errors import InvalidConfigError
from nasgtn.spaces import Choice, Choices, Trial
from nasgtn.task import Task

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
proxy_options = {"n_cells": 2}
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Source and target of each edge, in the order of the official string; node 0 is the input."""


def edge_name(source: int, target: int) -> str:
    """Name of the choice of an edge's operation."""
    return f"edge_{source}_{target}"


def relu_conv_bn(n_in: int, n_out: int, kernel: int, stride: int = 1) -> nn.Module:
    """Make the benchmark's convolution: activation first, normalisation last."""
    conv = nn.Conv2d(n_in, n_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(n_out))


def operation(name: str, channels: int) -> nn.Module:
    """Make the operation of an edge; `none` has no module."""
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return relu_conv_bn(channels, channels, 3 if name == "nor_conv_3x3" else 1)


class Cell(nn.Module):
    """Each node is the sum of the operations on its edges."""

    def __init__(self, operations: Mapping[str, str], channels: int) -> None:
        super().__init__()
        self.operations = nn.ModuleDict(
            {
                edge: operation(name, channels)
                for edge, name in operations.items()
                if name != "none"
            }
        )

    def forward(self, inputs: Tensor) -> Tensor:
        nodes = [inputs]
        for target in (1, 2, 3):
            terms = [
                self.operations[edge_name(source, target)](nodes[source])
                for source in range(target)
                if edge_name(source, target) in self.operations
            ]
            nodes.append(sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(inputs))
        return nodes[-1]


class Reduction(nn.Module):
    """The residual block between two stages: half the size, twice the channels."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            relu_conv_bn(n_in, n_out, 3, stride=2), relu_conv_bn(n_out, n_out, 3)
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, stride=2, ceil_mode=True), nn.Conv2d(n_in, n_out, 1, bias=False)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layers(inputs) + self.shortcut(inputs)
        return outputs


def build(trial: Trial, task: Task, *, channels: int = 16, n_cells: int = 5) -> nn.Module:
    """Let `trial` choose a cell, and build the network of `task` from it.

    Args:
        trial: Asked for the operation of each of the six edges.
        task: Images of any size.
        channels: Channels of the first stage, 16 in the benchmark; the next ones double them.
        n_cells: Cells in each of the three stages, 5 in the benchmark.
    """
    if channels < 1 or n_cells < 1:
        raise InvalidConfigError(
            f"channels and n_cells must be at least 1, got {channels} and {n_cells}"
        )
    operations = {
        edge_name(*edge): trial.suggest_categorical(edge_name(*edge), OPERATIONS) for edge in EDGES
    }
    layers: list[nn.Module] = [
        nn.Conv2d(task.n_channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
    ]
    for stage in range(3):
        if stage > 0:
            layers.append(Reduction(channels, 2 * channels))
            channels *= 2
        layers += [Cell(operations, channels) for _ in range(n_cells)]
    layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(channels, task.n_classes))


def canonical(choices: Choices) -> str:
    """Write the cell so that cells with equal text compute the same function.

    Identity edges and dead edges vanish, and the order of a node's edges does not matter: 6,466
    different texts, the isomorphism classes of the benchmark.
    """
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for source in range(target):
            name, value = choices[edge_name(source, target)], nodes[source]
            if name == "none" or value == "#":
                terms.append("#")
            else:
                terms.append(value if name == "skip_connect" else f"({value}){name}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


def describe(choices: Choices) -> str:
    """Write the cell as the benchmark does, such as `|nor_conv_3x3~0|+|...~0|...~1|+|...|`."""
    return "+".join(
        "|".join(["", *(f"{choices[edge_name(s, target)]}~{s}" for s in range(target)), ""])
        for target in (1, 2, 3)
    )


def parse(description: str) -> dict[str, Choice]:
    """Read the official string of a cell: the inverse of `describe`."""
    words = [
        word for node in description.split("+") for word in node.strip().strip("|").split("|")
    ]
    if len(words) == len(EDGES):
        names = [word.rpartition("~")[0] for word in words]
        choices: dict[str, Choice] = {
            edge_name(*edge): name for edge, name in zip(EDGES, names, strict=True)
        }
        if set(names) <= set(OPERATIONS) and describe(choices) == description.strip():
            return choices
    raise InvalidConfigError(
        "a cell must be written as |op~0|+|op~0|op~1|+|op~0|op~1|op~2| with operations "
        f"{', '.join(OPERATIONS)}, got {description!r}"
    )
