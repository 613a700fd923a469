"""A space as a user writes it: one function, activations called directly, a nested choice."""

import torch
from torch import Tensor, nn

from nasgtn.spaces import Trial
from nasgtn.task import Task


class Net(nn.Module):
    def __init__(self, n_channels: int, width: int, rate: float, n_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_channels, width, 3, padding=1)
        self.dropout = nn.Dropout(rate)
        self.head = nn.Linear(2 * width, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.conv(images)).flatten(2)
        pooled = torch.cat([features.mean(2), features.amax(2)], 1)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits


def build(trial: Trial, task: Task) -> nn.Module:
    width = trial.suggest_int("width", 4, 16, log=True)
    drops = trial.suggest_categorical("drops", (True, False))
    rate = trial.suggest_float("rate", 0.1, 0.5) if drops else 0.0
    return Net(task.n_channels, width, rate, task.n_classes)
