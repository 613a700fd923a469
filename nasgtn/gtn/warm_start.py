"""Warm start: the generator learns to draw real images before the first meta-step.

Without it the first synthetic images are noise, and early meta-gradients say little.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from nasgtn.data import Part
from nasgtn.errors import InvalidConfigError
from nasgtn.gtn.synthesis import Gtn
from nasgtn.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class WarmStartConfig:
    """How the generator is fitted to real images."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    n_steps: int = 400
    """Steps of Adam; 0 for none."""
    batch_size: int = 256
    """Images a step."""
    learning_rate: float = 0.003

    def __post_init__(self) -> None:
        if self.n_steps < 0 or self.batch_size < 1 or not self.learning_rate > 0:
            raise InvalidConfigError(
                "the warm start's n_steps must be at least 0, batch_size at least 1 and "
                f"learning_rate above 0, got {self}"
            )


def warm_start(
    gtn: Gtn,
    train: Part,
    config: WarmStartConfig,
    rng: torch.Generator,
    progress: Progress = silent,
) -> float:
    """Fit generator and latents, in place, to one real image of its class for each image slot.

    Where the curriculum holds pixels itself, they become those images.

    Returns:
        Mean squared error of the last step, in units of the normalised pixels; 0 for pixels.
    """
    curriculum = gtn.curriculum
    targets = train.of_classes(curriculum.labels.flatten().cpu(), rng).images
    if gtn.generator is None:
        with torch.no_grad():
            curriculum.rows.copy_(targets.view_as(curriculum.rows))
        return 0.0
    parameters = [p for p in (*gtn.generator.parameters(), curriculum.rows) if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=config.learning_rate)
    one_hot = curriculum.one_hot.flatten(0, 1)
    error = torch.zeros(())
    for step in range(config.n_steps):
        index = torch.randint(len(targets), (config.batch_size,), generator=rng)
        index = index.to(targets.device)
        images = gtn.images(curriculum.rows.flatten(0, 1)[index], one_hot[index])
        error = F.mse_loss(images, targets[index])
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        if (step + 1) % 50 == 0 or step + 1 == config.n_steps:
            progress("warm start", step + 1, config.n_steps, f"error {error.item():.3f}")
    return error.item()
