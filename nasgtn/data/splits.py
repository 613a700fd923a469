"""The three parts of a dataset, as tensors that every stage reads."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from nasgtn.task import Task


@dataclass(frozen=True, eq=False)
class Part:
    """Images and labels of one part of a dataset."""

    images: Float[Tensor, "batch channels height width"]
    """float32, normalised with the mean and deviation of the task."""
    labels: Int[Tensor, " batch"]
    """int64 class indices in [0, n_classes)."""

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> "Part":
        return Part(self.images.to(device), self.labels.to(device))

    def joined(self, other: "Part") -> "Part":
        return Part(torch.cat([self.images, other.images]), torch.cat([self.labels, other.labels]))

    def sample(self, n: int, rng: torch.Generator) -> "Part":
        """Draw `n` examples with replacement; `rng` lives on the CPU."""
        index = torch.randint(len(self), (n,), generator=rng).to(self.labels.device)
        return Part(self.images[index], self.labels[index])

    def of_classes(self, labels: Int[Tensor, " n"], rng: torch.Generator) -> "Part":
        """Draw an example of each of these classes, without repeats while a class lasts.

        Args:
            labels: Classes, on the CPU; each has an example.
            rng: On the CPU.
        """
        index = torch.empty_like(labels)
        for label in labels.unique():
            slots = (labels == label).nonzero().flatten()
            having = (self.labels.cpu() == label).nonzero().flatten()
            passes = math.ceil(len(slots) / len(having))
            order = [torch.randperm(len(having), generator=rng) for _ in range(passes)]
            index[slots] = having[torch.cat(order)[: len(slots)]]
        index = index.to(self.labels.device)
        return Part(self.images[index], self.labels[index])

    def epoch(self, batch_size: int, rng: torch.Generator) -> Iterator["Part"]:
        """Yield shuffled batches that cover the part once; the last one may be smaller."""
        order = torch.randperm(len(self), generator=rng).to(self.labels.device)
        for index in order.split(batch_size):
            yield Part(self.images[index], self.labels[index])

    def resized(self, height: int, width: int) -> "Part":
        """Make the images of another size, by antialiased bilinear interpolation."""
        if self.images.shape[2:] == (height, width):
            return self
        images = F.interpolate(
            self.images, size=(height, width), mode="bilinear", antialias=True, align_corners=False
        )
        return Part(images, self.labels)

    def first(self, n: int) -> "Part":
        """Take the first `n` examples (parts are stored in a shuffled, stratified order)."""
        return Part(self.images[:n], self.labels[:n])


@dataclass(frozen=True, eq=False, kw_only=True)
class Splits:
    """Train to learn from, validation to choose by, test for the last number alone."""

    task: Task
    train: Part
    validation: Part
    test: Part

    def probe(self, n: int) -> Part:
        """Take `n` real images to score by: validation, and training where that is too small.

        Few images make a coarse score, and no test image may fill them up.
        """
        part, rest = self.validation.first(n), self.train.first(max(0, n - len(self.validation)))
        if not len(rest):
            return part
        return Part(torch.cat([part.images, rest.images]), torch.cat([part.labels, rest.labels]))

    def shrunk(self, size: int) -> "Splits":
        """Make the images smaller: their longer side at most `size` pixels; 0: as they are."""
        task = self.task.shrunk(size)
        train, validation, test = (
            part.resized(task.height, task.width)
            for part in (self.train, self.validation, self.test)
        )
        return Splits(task=task, train=train, validation=validation, test=test)

    def to(self, device: torch.device | str) -> "Splits":
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
        )


def pixels(
    images: Float[Tensor, "*many channels height width"], task: Task
) -> UInt8[Tensor, "*many height width channels"]:
    """Turn normalised images back into pixels on the CPU, channels last."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (task.mean, task.std))
    values = (255 * (images.detach().cpu() * std + mean).clamp(0, 1)).round()
    return values.to(torch.uint8).movedim(-3, -1)
