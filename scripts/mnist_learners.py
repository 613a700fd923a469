"""Learners as the original had them on MNIST: two convolutions, a dense layer, random widths.

A search space file for `--space`, with about a quarter of the published widths.

Source: Such et al., "Generative Teaching Networks" (arXiv 1912.07768), section 4.
"""

from torch import nn

from nasgtn.spaces import Trial
from nasgtn.task import Task


def build(trial: Trial, task: Task) -> nn.Module:
    """Let `trial` choose the widths of a network for square images."""
    first = trial.suggest_categorical("first", (8, 12, 16))
    second = trial.suggest_categorical("second", (16, 24, 32))
    hidden = trial.suggest_categorical("hidden", (32, 48, 64))
    side = (task.height + 1) // 2 // 2  # a strided convolution rounds up, pooling down
    return nn.Sequential(
        nn.Conv2d(task.n_channels, first, 5, stride=2, padding=2),
        nn.GroupNorm(4, first),
        nn.LeakyReLU(0.1),
        nn.Conv2d(first, second, 3, padding=1),
        nn.GroupNorm(4, second),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * side * side, hidden),
        nn.LeakyReLU(0.1),
        nn.Linear(hidden, task.n_classes),
    )
