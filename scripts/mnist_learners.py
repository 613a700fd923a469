"""Learners like the original's on MNIST: two convolutions and a dense layer of random widths.

A search space file for `--space`.

Source: LeCun et al. (1998), with the group normalisation of Wu and He (2018).
"""

from torch import nn

from nasgtn.spaces import Trial
from nasgtn.task import Task


def build(trial: Trial, task: Task, *, width: int = 8) -> nn.Module:
    """Let `trial` choose how many times `width` the layers have, a multiple of 8."""
    first = width // 2 * trial.suggest_int("first", 2, 4)
    second = width * trial.suggest_int("second", 2, 4)
    hidden = 2 * width * trial.suggest_int("hidden", 2, 4)
    return nn.Sequential(
        nn.Conv2d(task.n_channels, first, 3, padding=1),
        nn.GroupNorm(4, first),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.GroupNorm(4, second),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * (task.height // 4) * (task.width // 4), hidden),
        nn.LeakyReLU(0.1),
        nn.Linear(hidden, task.n_classes),
    )
