"""Gtn: generator and curriculum together, which make the synthetic batches."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nasgtn.gtn.curriculum import Curriculum, CurriculumConfig
from nasgtn.gtn.generator import Generator, GeneratorConfig
from nasgtn.gtn.inner_loop import SyntheticData, in_turn
from nasgtn.gtn.optimisers import InnerLoopConfig
from nasgtn.randomness import derive_seed, seeded, torch_rng
from nasgtn.task import Task


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """What makes the synthetic batches: sizes and kinds."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    inner_loop: InnerLoopConfig = field(default_factory=InnerLoopConfig)


class Gtn(nn.Module):
    """A Generative Teaching Network: everything that meta-training learns.

    Args:
        task: Shape of the images, and the classes.
        config: Sizes and kinds.
        seed: Decides initial weights and latents.
    """

    def __init__(self, task: Task, config: SynthesisConfig, *, seed: int) -> None:
        super().__init__()
        self.task, self.config = task, config
        shows_pixels = config.curriculum.variant in ("pixels", "real")
        with seeded(derive_seed(seed, "generator")):
            self.generator = None if shows_pixels else Generator(task, config.generator)
        self.curriculum = Curriculum(
            config.curriculum,
            config.inner_loop,
            task.input_shape if shows_pixels else (config.generator.n_latents,),
            task.n_classes,
            torch_rng(derive_seed(seed, "latents")),
        )

    def images(
        self, rows: Float[Tensor, "batch *row"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Turn rows of the curriculum into images, normalised as the real ones are."""
        return rows if self.generator is None else self.generator(rows, labels)

    def synthesise(self, rng: torch.Generator, *, checkpointed: bool = False) -> SyntheticData:
        """Make the synthetic batches of one inner loop; differentiable.

        Args:
            rng: Draws what the curriculum leaves to chance: nothing under the variant `full`.
            checkpointed: Make the images again on the way back instead of keeping the
                generator's activations.
        """
        curriculum = self.curriculum
        rows: Tensor = curriculum.rows
        if self.config.curriculum.variant == "none":
            rows = torch.randn(rows.shape, generator=rng).to(rows.device)
        order = curriculum.order(rng)
        rows = rows.flatten(0, 1)[order]
        one_hot = curriculum.one_hot.flatten(0, 1)[order]
        targets = curriculum.targets.flatten(0, 1)[order]
        if checkpointed and self.generator is not None:
            made = [
                checkpoint(self.images, *pair, use_reentrant=False)
                for pair in zip(rows, one_hot, strict=True)
            ]
            images = torch.stack(made)
        else:
            images = self.images(rows.flatten(0, 1), one_hot.flatten(0, 1))
            images = images.unflatten(0, order.shape)
        rates = curriculum.learning_rates
        images, targets = (in_turn(made, len(rates)) for made in (images, targets))
        return SyntheticData(images, targets, rates, curriculum.momenta)
