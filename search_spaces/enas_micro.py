"""ENAS micro: a normal and a reduction cell of five nodes, as in the paper on GTNs.

Each node adds two operations, each on one of the cell's two inputs or of the nodes before it;
nodes that no other node reads are concatenated. The inputs of a cell are the two cells before it.

Source: Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018
(section 2.4), the space that Such et al., "Generative Teaching Networks", ICML 2020, search. To
make a space of your own, copy this file, change `build`, and pass the file's path as the space.
"""

from collections.abc import Iterator
from itertools import permutations

import torch
from torch import Tensor, nn

from nasgtn.errors import InvalidConfigError
from nasgtn.spaces import Choices, FixedTrial, Trial
from nasgtn.task import Task

N_NODES = 5
OPERATIONS = ("identity", "sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3")
CELLS = ("normal", "reduction")
Node = tuple[tuple[int, str], tuple[int, str]]
"""Its two operations, each with the state it reads: 0 and 1 are the cell's inputs, older first,
2 to 6 the nodes."""


def relu_conv_bn(n_in: int, n_out: int, stride: int = 1) -> nn.Module:
    """Make a 1x1 convolution that changes channels or size."""
    conv = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(n_out))


def separable(channels: int, kernel: int, stride: int) -> nn.Module:
    """Make a separable convolution, applied twice as in ENAS; the first one has the stride."""
    layers: list[nn.Module] = []
    for step in (stride, 1):
        layers += [
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, step, kernel // 2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        ]
    return nn.Sequential(*layers)


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """Make an operation; with stride 2, an identity becomes a 1x1 convolution."""
    if name == "identity":
        return nn.Identity() if stride == 1 else relu_conv_bn(channels, channels, stride)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, padding=1)
    return separable(channels, 3 if name == "sep_conv_3x3" else 5, stride)


class Cell(nn.Module):
    """Five nodes; in a reduction cell, what reads the cell's inputs has stride 2."""

    def __init__(
        self, nodes: list[Node], n_in: tuple[int, int], channels: int, *, shrink: int, stride: int
    ) -> None:
        super().__init__()
        self.nodes = nodes
        self.adapters = nn.ModuleList(  # the older input may still have twice the size
            [relu_conv_bn(n_in[0], channels, shrink), relu_conv_bn(n_in[1], channels)]
        )
        self.operations = nn.ModuleList(
            operation(name, channels, stride if state < 2 else 1)
            for node in nodes
            for state, name in node
        )
        read = {state for node in nodes for state, _ in node}
        self.loose = [state for state in range(2, 2 + len(nodes)) if state not in read]
        self.n_channels = channels * len(self.loose)

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        states = [self.adapters[0](older), self.adapters[1](newer)]
        for index, ((first, _), (second, _)) in enumerate(self.nodes):
            one = self.operations[2 * index](states[first])
            other = self.operations[2 * index + 1](states[second])
            states.append(one + other)
        return torch.cat([states[state] for state in self.loose], dim=1)


class Network(nn.Module):
    """Stem, three stages of normal cells with a reduction cell between them, linear head."""

    def __init__(
        self, normal: list[Node], reduction: list[Node], task: Task, channels: int, n_cells: int
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(task.n_channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.cells = nn.ModuleList()
        n_in, shrink = (channels, channels), 1
        for index in range(3 * n_cells + 2):
            reduces = index in (n_cells, 2 * n_cells + 1)
            channels *= 2 if reduces else 1
            nodes = reduction if reduces else normal
            cell = Cell(nodes, n_in, channels, shrink=shrink, stride=2 if reduces else 1)
            self.cells.append(cell)
            n_in, shrink = (n_in[1], cell.n_channels), 2 if reduces else 1
        self.head = nn.Sequential(
            nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in[1], task.n_classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        older = newer = self.stem(images)
        for cell in self.cells:
            older, newer = newer, cell(older, newer)
        logits: Tensor = self.head(newer)
        return logits


def build(trial: Trial, task: Task, *, channels: int = 16, n_cells: int = 2) -> nn.Module:
    """Let `trial` choose both cells, and build the network of `task` from them.

    Args:
        trial: Asked for two states and two operations of each of the ten nodes.
        task: Images of any size.
        channels: Channels of the first stage; the next ones double them.
        n_cells: Normal cells in each of the three stages.
    """
    if channels < 1 or n_cells < 1:
        raise InvalidConfigError(
            f"channels and n_cells must be at least 1, got {channels} and {n_cells}"
        )
    normal, reduction = (choose_cell(trial, cell) for cell in CELLS)
    return Network(normal, reduction, task, channels, n_cells)


def choose_cell(trial: Trial, cell: str) -> list[Node]:
    """Let `trial` choose what each node of a cell reads, and does with it."""

    def choose(node: int, side: str) -> tuple[int, str]:
        states = tuple(range(node + 2))
        state = trial.suggest_categorical(f"{cell}_{node}_input_{side}", states)
        return state, trial.suggest_categorical(f"{cell}_{node}_{side}", OPERATIONS)

    return [(choose(node, "a"), choose(node, "b")) for node in range(N_NODES)]


def canonical(choices: Choices) -> list[list[Node]]:
    """Write both cells so that cells that differ by the order of nodes or operations are equal."""
    return [min(_renumbered(choose_cell(FixedTrial(choices), cell))) for cell in CELLS]


def describe(choices: Choices) -> str:
    """Write each cell node by node, as in `normal 0:identity+1:avg_pool_3x3 ... | ...`."""
    return " | ".join(
        " ".join([cell, *map(_text, choose_cell(FixedTrial(choices), cell))]) for cell in CELLS
    )


def _text(node: Node) -> str:
    return "+".join(f"{state}:{name}" for state, name in node)


def _renumbered(nodes: list[Node]) -> Iterator[list[Node]]:
    """Yield the cell in every order of its nodes in which each one follows those it reads."""
    for order in permutations(range(N_NODES)):
        place = {0: 0, 1: 1, **{2 + node: 2 + index for index, node in enumerate(order)}}
        moved: list[Node] = []
        for index, node in enumerate(order):
            first, second = sorted((place[state], name) for state, name in nodes[node])
            if second[0] >= 2 + index:
                break
            moved.append((first, second))
        else:
            yield moved
