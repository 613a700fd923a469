"""Plain supervised training of a network on real data."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from nasgtn.artefacts import write_bytes
from nasgtn.data.augmentation import augment
from nasgtn.data.splits import Part, Splits
from nasgtn.errors import ArtefactError, DivergedError, InvalidConfigError
from nasgtn.forward import forward
from nasgtn.randomness import derive_seed, seeded, torch_rng
from nasgtn.task import Task

MOST_EVALUATIONS = 20
"""Validation is measured after each epoch, but at most this often in a training."""

SMALLEST_SHIFTED = 16
"""Pixels: on 8x8 digits a shift by one cost half a point of validation accuracy."""

START, WARM_UP = 1 / 25, 0.25
"""Of the one-cycle schedule: the first learning rate as a share of the highest one, and the share
of steps that climb. Values of Smith and Topin, arXiv 1708.07120, as torch's OneCycleLR has them,
with a shorter climb for short trainings."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a network is trained on real images."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    epochs: int = 40
    """Passes over the training images, at most."""
    max_steps: int = 600
    """Ends a training on many images before its epochs are over; the schedule fits in."""
    batch_size: int = 128
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """`sgd` has Nesterov momentum 0.9, and wants a learning rate of about 0.1."""
    learning_rate: float = 0.005
    """The highest one of the one-cycle schedule."""
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    """Share of the target that is spread over all classes, in [0, 1)."""
    patience: int = 10
    """Stop after this many measurements of validation that improve neither accuracy nor loss.
    Not fewer than half of the 20: a one-cycle training gains most at its end."""
    crop: int | None = None
    """Shift images by up to this many pixels; None: an eighth of the shorter side, but not at all
    below 16 pixels; 0: not."""
    flip: bool = True
    """Mirror images at random, where the task allows it."""
    cutout: int = 0
    """Side of a square that is cut out of each image, in pixels; 0: none."""
    bf16: bool = False
    """Let autocast compute the steps in bfloat16 where that is safe; weights and optimiser stay
    float32, and so does what is measured."""

    def __post_init__(self) -> None:
        for name in ("epochs", "max_steps", "batch_size", "patience"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("crop", "cutout"):
            self._require(name, (getattr(self, name) or 0) >= 0, "at least 0")
        self._require("learning_rate", 0 < self.learning_rate < math.inf, "above 0")
        self._require("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0")
        self._require("label_smoothing", 0 <= self.label_smoothing < 1, "in [0, 1)")
        self._require("optimiser", self.optimiser in ("adamw", "sgd"), "adamw or sgd")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise InvalidConfigError(
                f"training.{name} must be {what}, got {getattr(self, name)!r}"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Measured:
    """How well a network classifies one part."""

    accuracy: float
    """In [0, 1]."""
    loss: float
    """Mean cross-entropy in nats."""
    class_accuracy: tuple[float | None, ...]
    """One a class, in [0, 1]; None where the part has no image of it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Trained:
    """A trained network, and how it came about."""

    network: nn.Module
    """With the weights that were best on validation; in evaluation mode."""
    validation_accuracy: float
    """Of those weights, in [0, 1]."""
    validation_loss: float
    """Of those weights, in nats."""
    n_epochs: int
    """Passes begun; fewer than configured after an early stop."""
    n_steps: int
    curve: tuple[tuple[int, float], ...]
    """Epoch and validation accuracy, in order."""

    @property
    def metrics(self) -> dict[str, float]:
        """What records keep of a training."""
        return {
            "validation_accuracy": self.validation_accuracy,
            "validation_loss": self.validation_loss,
            "n_epochs": self.n_epochs,
            "n_steps": self.n_steps,
        }


def train(
    network: nn.Module,
    splits: Splits,
    config: TrainingConfig,
    *,
    seed: int,
    report: Callable[[int, float], bool] | None = None,
) -> Trained:
    """Train `network` in place, on the device of the splits; the test part is never read.

    Args:
        network: Maps images to logits; moved to the device of the splits, and changed.
        splits: Where to learn from, and what to choose the best weights by.
        config: How long, how fast.
        seed: Decides the order of the batches, the augmentation and dropout.
        report: Told epoch and validation accuracy; training ends when it returns False.

    Raises:
        DivergedError: A loss is not finite.
    """
    fitting = _Fitting(network, splits.train, splits.task, config, seed)
    best = _Best(network)
    with seeded(derive_seed(seed, "training", "dropout")):
        for end in _evaluation_steps(fitting.n_steps, fitting.epoch_steps):
            fitting.go_on(end)
            best.see(
                math.ceil(end / fitting.epoch_steps), measure(network, splits.validation), end
            )
            if report is not None and not report(*best.curve[-1]):
                break
            if best.n_stale >= config.patience:
                break
    return best.finish(fitting.done)


def train_to_the_end(
    network: nn.Module, part: Part, task: Task, config: TrainingConfig, *, seed: int
) -> int:
    """Train `network` in place on one part for the whole schedule, and keep its last weights.

    Nothing is chosen, so no images are held back for choosing: `config.patience` is not read.

    Returns:
        The number of steps.

    Raises:
        DivergedError: The loss is not finite.
    """
    fitting = _Fitting(network, part, task, config, seed)
    with seeded(derive_seed(seed, "training", "dropout")):
        fitting.go_on(fitting.n_steps)
    network.eval()
    return fitting.done


def measure(network: nn.Module, part: Part, *, batch_size: int = 512) -> Measured:
    """Classify a whole part in evaluation mode; the network's own mode is put back after."""
    return measured(_classify(network, part, batch_size), part.labels)


def confusion(
    network: nn.Module, part: Part, *, batch_size: int = 512
) -> list[tuple[int, int, int]]:
    """Count what a network takes the images of each class for.

    Returns:
        True class, predicted class (-1 where a logit is not finite), number of images; only what
        occurs, in order.
    """
    logits = _classify(network, part, batch_size)
    predicted = logits.argmax(1).where(logits.isfinite().all(dim=1), -1)
    pairs, counts = torch.stack([part.labels, predicted], 1).unique(dim=0, return_counts=True)
    return [(a, b, n) for (a, b), n in zip(pairs.tolist(), counts.tolist(), strict=True)]


def _classify(network: nn.Module, part: Part, batch_size: int) -> Float[Tensor, "batch classes"]:
    was_training = network.training
    network.eval()
    with torch.no_grad():
        logits = torch.cat([forward(network, images) for images in part.images.split(batch_size)])
    network.train(was_training)
    return logits


def measured(logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]) -> Measured:
    """Judge logits; what is not finite is wrong."""
    is_right = ((logits.argmax(1) == labels) & logits.isfinite().all(dim=1)).double()
    n_classes = logits.shape[1]
    counts = torch.bincount(labels, minlength=n_classes).tolist()
    right = torch.bincount(labels, weights=is_right, minlength=n_classes).tolist()
    return Measured(
        accuracy=is_right.mean().item(),
        loss=F.cross_entropy(logits.double(), labels).item(),
        class_accuracy=tuple(a / n if n else None for a, n in zip(right, counts, strict=True)),
    )


def one_cycle(progress: float) -> float:
    """Learning rate as a share of the highest one: a straight climb, then a cosine down to 0.

    >>> one_cycle(0.0), one_cycle(0.25), one_cycle(1.0)
    (0.04, 1.0, 0.0)
    """
    if progress < WARM_UP:
        return START + (1 - START) * progress / WARM_UP
    return (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2


class _Fitting:
    """A training as far as it is: network, batches, optimiser, and the schedule's next step."""

    def __init__(
        self, network: nn.Module, part: Part, task: Task, config: TrainingConfig, seed: int
    ) -> None:
        self._network = network.to(part.images.device)
        self._config = config
        self.epoch_steps = max(1, len(part) // config.batch_size)
        self.n_steps = min(config.epochs * self.epoch_steps, config.max_steps)
        rng = torch_rng(derive_seed(seed, "training", "batches"))
        self._batches = _batches(part, task, config, rng)
        self._optimiser = _make_optimiser(network, config)
        self.done = 0

    def go_on(self, end: int) -> None:
        """Train up to the step `end`."""
        config = self._config
        self._network.train()
        losses = []
        for step in range(self.done, end):
            rate = config.learning_rate * one_cycle(step / self.n_steps)
            _set_learning_rate(self._optimiser, rate)
            batch = next(self._batches)
            losses.append(_step(self._network, batch, self._optimiser, config))
        self.done = end
        _check_finite(torch.stack(losses).sum().item(), "training", end)


class _Best:
    """Remembers the weights that were best on validation: by accuracy, then by loss."""

    def __init__(self, network: nn.Module) -> None:
        self.curve: list[tuple[int, float]] = []
        self.n_stale = 0
        self._network = network
        self._weights: dict[str, torch.Tensor] = {}
        self._key = (-1.0, -math.inf)
        self._lowest_loss = math.inf

    def see(self, epoch: int, measured: Measured, step: int) -> None:
        _check_finite(measured.loss, "validation", step)
        key = (measured.accuracy, -measured.loss)
        is_better = key > self._key or measured.loss < self._lowest_loss
        self.n_stale = 0 if is_better else self.n_stale + 1
        self._lowest_loss = min(self._lowest_loss, measured.loss)
        self.curve.append((epoch, measured.accuracy))
        if key > self._key:
            self._key = key
            self._weights = {
                name: value.clone() for name, value in self._network.state_dict().items()
            }

    def finish(self, n_steps: int) -> Trained:
        self._network.load_state_dict(self._weights)
        return Trained(
            network=self._network.eval(),
            validation_accuracy=self._key[0],
            validation_loss=-self._key[1],
            n_epochs=self.curve[-1][0],
            n_steps=n_steps,
            curve=tuple(self.curve),
        )


def _evaluation_steps(n_steps: int, epoch_steps: int) -> list[int]:
    """Spread the measurements evenly: after each epoch, or after every few if there are many."""
    n_evaluations = min(MOST_EVALUATIONS, math.ceil(n_steps / epoch_steps))
    return [round(n_steps * (i + 1) / n_evaluations) for i in range(n_evaluations)]


def _batches(
    part: Part, task: Task, config: TrainingConfig, rng: torch.Generator
) -> Iterator[Part]:
    """Yield augmented batches without end, all of one size: what is left of an epoch is dropped.

    (A last batch of one image would break batch normalisation.)
    """
    side = min(task.height, task.width)
    own = side // 8 if side >= SMALLEST_SHIFTED else 0
    shift = own if config.crop is None else config.crop
    batch_size = min(config.batch_size, len(part))
    while True:
        for batch in part.epoch(batch_size, rng):
            if len(batch) == batch_size:
                images = augment(
                    batch.images,
                    rng,
                    shift=shift,
                    flip=config.flip and task.flips,
                    cutout=config.cutout,
                )
                yield Part(images, batch.labels)


def _make_optimiser(network: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=config.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=config.weight_decay,
        )
    return torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def _set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = learning_rate


def _step(
    network: nn.Module, batch: Part, optimiser: torch.optim.Optimizer, config: TrainingConfig
) -> torch.Tensor:
    logits = forward(network, batch.images, bf16=config.bf16)
    loss = F.cross_entropy(logits, batch.labels, label_smoothing=config.label_smoothing)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()


def _check_finite(loss: float, what: str, step: int) -> None:
    if not math.isfinite(loss):
        raise DivergedError(f"the {what} loss must stay finite, got {loss} by step {step}")


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's state, tied weights more than once, or leave the old file."""
    state = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in network.state_dict().items()
    }
    write_bytes(path, save(state))


def load_weights(network: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into a network of the same architecture.

    Raises:
        ArtefactError: The file is missing or damaged, or of another network.
    """
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ArtefactError(
            f"{path} must hold the weights of the network, but: {reason}"
        ) from error
