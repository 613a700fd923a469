"""The curriculum: what the learner sees at each step, and how fast it learns from it."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from nasgtn.errors import InvalidConfigError
from nasgtn.gtn.optimisers import InnerLoopConfig

VARIANTS = ("full", "batches_shuffled", "all_shuffled", "none", "pixels", "real")


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """Shape and kind of the curriculum (arXiv 1912.07768, sections 3.3 and 4)."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    n_steps: int = 16
    """Of a learner."""
    n_batches: int = 1
    """Different ones, which come in turn until the steps are over (several passes, as Wang et al.
    have them in "Dataset distillation", arXiv 1811.10959); 0: one a step. There are more where
    so few cannot hold an image of each class."""
    batch_size: int = 64
    variant: str = "full"
    """`full`: learned latents in a learned order. `batches_shuffled`, `all_shuffled`: learned
    latents, the order of the batches or of all rows drawn anew each time. `none`: fresh random
    latents each time. `pixels`: learned images and no generator. `real`: fixed real images, only
    labels and optimiser settings are learned."""
    soft_labels: bool = False
    """Learn class probabilities; else each image has one fixed label, and numbers of images of two
    classes differ by one at most."""
    learned_settings: bool = True
    """Learn the learning rate and momentum of each step."""
    last_rate: float = 1.0
    """Learning rate of the last step as a share of that of the first, in (0, 1]; they fall in a
    straight line. Learned ones start there."""

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise InvalidConfigError(
                f"variant must be one of {', '.join(VARIANTS)}, got {self.variant!r}"
            )
        for name in ("n_steps", "batch_size"):
            if getattr(self, name) < 1:
                raise InvalidConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.n_batches <= self.n_steps:
            raise InvalidConfigError(
                f"n_batches must be from 0 to n_steps, {self.n_steps}, got {self.n_batches}"
            )
        if self.variant == "real" and not self.learned_settings:
            raise InvalidConfigError(
                "curriculum.variant real needs learned_settings, or nothing is learned, got false"
            )
        if not 0 < self.last_rate <= 1:
            raise InvalidConfigError(f"last_rate must be in (0, 1], got {self.last_rate}")

    def different_batches(self, n_classes: int) -> int:
        """Count the batches that differ, as a task of so many classes needs them.

        Raises:
            InvalidConfigError: The batches of all steps cannot hold an image of each class, or one
                batch leaves the variant nothing to shuffle.
        """
        needed = math.ceil(n_classes / self.batch_size)
        if needed > self.n_steps:
            raise InvalidConfigError(
                f"a curriculum must have an image of each of {n_classes} classes, got "
                f"{self.n_steps} batches of {self.batch_size}"
            )
        batches = max(self.n_batches or self.n_steps, needed)
        if batches == 1 < self.n_steps and self.variant.endswith("shuffled"):
            raise InvalidConfigError(
                f"curriculum.variant {self.variant} needs several batches to shuffle, got "
                "n_batches = 1; 0 is one a step"
            )
        return batches


class Curriculum(nn.Module):
    """Learned rows of latents (or pixels) and labels a batch, and optimiser settings a step.

    Args:
        config: Shape and kind.
        inner_loop: Where learning rate and momentum start.
        row_shape: Shape of what a row holds for one image: `(latents,)`, or that of an image.
        n_classes: Classes of the task.
        rng: Draws the first latents.
    """

    one_hot: Float[Tensor, "batches batch classes"]

    def __init__(
        self,
        config: CurriculumConfig,
        inner_loop: InnerLoopConfig,
        row_shape: tuple[int, ...],
        n_classes: int,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self._config = config
        steps, batch = config.n_steps, config.batch_size
        batches = config.different_batches(n_classes)
        rows = torch.randn(batches, batch, *row_shape, generator=rng)
        self.rows = nn.Parameter(rows, requires_grad=config.variant not in ("none", "real"))
        labels = torch.arange(batches * batch).view(batches, batch) % n_classes
        one_hot = F.one_hot(labels, n_classes).float()
        self.register_buffer("one_hot", one_hot)
        self.label_logits = nn.Parameter(6.0 * one_hot, requires_grad=config.soft_labels)
        rate = (inner_loop.learning_rate * torch.linspace(1, config.last_rate, steps)).log()
        momentum = torch.tensor(inner_loop.momentum).logit().expand(steps)
        self.log_rates = nn.Parameter(rate.clone(), requires_grad=config.learned_settings)
        self.momentum_logits = nn.Parameter(
            momentum.clone(), requires_grad=config.learned_settings
        )

    @property
    def labels(self) -> Int[Tensor, "batches batch"]:
        """The class that each image is made for."""
        return self.one_hot.argmax(dim=-1)

    @property
    def targets(self) -> Float[Tensor, "batches batch classes"]:
        """Class probabilities that the learner is taught."""
        if self._config.soft_labels:
            return self.label_logits.softmax(dim=-1)
        return self.one_hot

    @property
    def learning_rates(self) -> Float[Tensor, " steps"]:
        return self.log_rates.exp()

    @property
    def momenta(self) -> Float[Tensor, " steps"]:
        return self.momentum_logits.sigmoid()

    def order(self, rng: torch.Generator) -> Int[Tensor, "batches batch"]:
        """Draw the order of the rows, as indices into the flattened (batches x batch) rows."""
        batches, batch = self.rows.shape[:2]
        index = torch.arange(batches * batch).view(batches, batch)
        if self._config.variant == "batches_shuffled":
            index = index[torch.randperm(batches, generator=rng)]
        elif self._config.variant == "all_shuffled":
            index = torch.randperm(batches * batch, generator=rng).view(batches, batch)
        return index.to(self.rows.device)
