"""What a command line gave back, and small real input for it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Nasgtn = Callable[..., Outcome]
Refused = Callable[..., str]


def write_toy_archive(path: Path, *, n_train: int = 96, n_test: int = 48) -> Path:
    """Three classes of 8x8 grey images: noise with one bright bar, at the left, middle, right."""
    rng = np.random.default_rng(0)

    def part(n: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        labels = (np.arange(n) % 3).astype(np.uint8)
        images = rng.integers(0, 120, (n, 8, 8), dtype=np.uint8)
        for label, column in enumerate((1, 3, 6)):
            images[labels == label, :, column] += 100
        return images, labels

    train_images, train_labels = part(n_train)
    test_images, test_labels = part(n_test)
    np.savez(
        path,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        class_names=np.array(["left", "middle", "right"]),
    )
    return path


TINY_SPACE = '''"""Linear networks, or one hidden layer."""

from torch import nn


def build(trial, task):
    width = trial.suggest_int("width", 4, 16, step=4)
    activation = trial.suggest_categorical("activation", ("relu", "tanh"))
    pool = trial.suggest_categorical("pool", (1, 4))
    return nn.Sequential(
        nn.Conv2d(task.n_channels, width, 3, padding=1),
        nn.ReLU() if activation == "relu" else nn.Tanh(),
        nn.AdaptiveAvgPool2d(pool),
        nn.Flatten(),
        nn.Linear(width * pool**2, task.n_classes),
    )
'''


def write_tiny_table(path: Path) -> None:
    """Write accuracies (in percent) of all 16 architectures of `TINY_SPACE`, full and short."""
    cells = product((4, 8, 12, 16), ("relu", "tanh"), (1, 4))
    rows = [f"width={w} activation={a} pool={p},{50 + w + p}.5,{40 + w}" for w, a, p in cells]
    path.write_text("\n".join(["name,test,short", *rows]) + "\n")


QUICK = (
    *("--set", "anchors.n=3"),
    *("--set", "gtn.generator.hidden=16", "--set", "gtn.generator.channels=[8, 4]"),
    *("--set", "gtn.curriculum.n_steps=4", "--set", "gtn.curriculum.batch_size=12"),
    *("--set", "gtn.warm_start.n_steps=5", "--set", "gtn.meta_training.n_meta_steps=2"),
    *("--set", "gtn.meta_training.n_images=24", "--set", "training.epochs=2"),
)
"""Settings of a run that takes a second."""
