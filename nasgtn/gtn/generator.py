"""The generator: latents and labels in, synthetic images out."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from nasgtn.errors import InvalidConfigError
from nasgtn.task import Task


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Size of the generator. Published: 1024 hidden units, 128 and 64 channels, weight norm."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    n_latents: int = 64
    hidden: int = 256
    """Units of the first dense layer."""
    channels: tuple[int, int] = (64, 32)
    """Channels before each of the two convolutions."""
    weight_norm: bool = False
    """Normalise the weights of all layers (Salimans and Kingma, arXiv 1602.07868)."""

    def __post_init__(self) -> None:
        if min(self.n_latents, self.hidden, *self.channels) < 1:
            raise InvalidConfigError(f"sizes of the generator must be at least 1, got {self}")


class Generator(nn.Module):
    """Two dense layers, then two blocks of upsampling and convolution (arXiv 1912.07768, sec. 3).

    Images come out normalised as the real ones are. Their range is that of real pixels, a quarter
    wider on each side, so that black and white can be reached without saturating `tanh`.
    """

    _centre: Tensor
    _reach: Tensor

    def __init__(self, task: Task, config: GeneratorConfig) -> None:
        super().__init__()
        self._size = task.height, task.width
        self._coarse = -(-task.height // 4), -(-task.width // 4)
        wide, narrow = config.channels
        cells = self._coarse[0] * self._coarse[1]
        norm = weight_norm if config.weight_norm else _plain
        self.hidden = norm(nn.Linear(config.n_latents + task.n_classes, config.hidden))
        self.spread = norm(nn.Linear(config.hidden, wide * cells))
        self.middle = norm(nn.Conv2d(wide, narrow, 3, padding=1))
        self.last = norm(nn.Conv2d(narrow, task.n_channels, 3, padding=1))
        mean, std = torch.tensor(task.mean), torch.tensor(task.std)
        self.register_buffer("_centre", ((0.5 - mean) / std).view(-1, 1, 1), persistent=False)
        self.register_buffer("_reach", (0.75 / std).view(-1, 1, 1), persistent=False)

    def forward(
        self, latents: Float[Tensor, "batch latents"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch channels height width"]:
        hidden = F.leaky_relu(self.hidden(torch.cat([latents, labels], dim=1)), 0.1)
        grid = F.leaky_relu(self.spread(hidden), 0.1).unflatten(1, (-1, *self._coarse))
        half = -(-self._size[0] // 2), -(-self._size[1] // 2)
        grid = F.leaky_relu(self.middle(F.interpolate(grid, size=half)), 0.1)
        grid = self.last(F.interpolate(grid, size=self._size))
        return self._centre + self._reach * torch.tanh(grid)


def _plain(layer: nn.Module) -> nn.Module:
    return layer
