"""The layers of a network, and what each reads, against networks that are known."""

import torch
from torch import Tensor, nn

from nasgtn.spaces import SearchSpace
from nasgtn.spaces.catalogue import find_space
from nasgtn.spaces.layers import layers
from nasgtn.task import Task


class Residual(nn.Module):
    """Two branches that are added, and a third that is concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.left = nn.Conv2d(4, 4, 1)
        self.right = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        y = self.left(x) + x
        z = torch.cat([self.right(y.clone()), x], dim=1)
        logits: Tensor = self.head(z.mean(dim=(2, 3)))
        return logits


def test_inputs_go_through_sums_concatenations_and_means(toy_task: Task) -> None:
    rows = layers(Residual(), toy_task)
    assert [row["name"] for row in rows] == ["stem", "left", "right", "head"]
    assert [row["inputs"] for row in rows] == [[-1], [0], [0, 1], [0, 2]]
    assert [row["n_parameters"] for row in rows] == [40, 20, 0, 27]
    assert rows[0]["output_shape"] == [4, 8, 8]


class Scaled(nn.Module):
    """A module with a parameter of its own around another module."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Flatten()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        scaled: Tensor = self.inner(images) * self.scale
        return scaled


def test_a_module_around_others_reads_them(toy_task: Task) -> None:
    rows = layers(nn.Sequential(Scaled(), nn.Linear(64, 3)), toy_task)
    assert [row["kind"] for row in rows] == ["Flatten", "Scaled", "Linear"]
    assert [row["inputs"] for row in rows] == [[-1], [0], [1]]


def test_every_layer_of_a_built_in_space_reads_earlier_ones(toy_task: Task) -> None:
    space: SearchSpace = find_space("nasbench201", {})
    choices = space.sample(0, toy_task).choices
    rows = layers(space.network(choices, toy_task, seed=0), toy_task)
    for place, row in enumerate(rows):
        assert all(-1 <= source < place for source in row["inputs"])
    assert any(len(row["inputs"]) > 1 for row in rows)
