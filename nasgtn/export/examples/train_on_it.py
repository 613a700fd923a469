"""Train a network of your own on the synthetic batches; needs torch and numpy alone.

    python train_on_it.py [REAL.npz]

REAL.npz, if given, holds real `test_images` (uint8, or float in [0, 1]; channels last) and
`test_labels`, and the accuracy on them is printed: the loss on synthetic data says little.
"""

import sys

import numpy as np
import torch
from synthetic_data import SyntheticBatches
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

PASSES, LEARNING_RATE = 3, 0.003


def make_network(n_channels: int, n_classes: int) -> nn.Module:
    """Make the network to train: put yours here."""
    return nn.Sequential(
        nn.Conv2d(n_channels, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, n_classes),
    )


def train(network: nn.Module, batches: SyntheticBatches) -> None:
    """Train on all batches in their order, a few times over."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    network.train()
    for number in range(1, PASSES + 1):
        losses = []
        for images, probabilities in DataLoader(batches, batch_size=None):
            loss = F.cross_entropy(network(images), probabilities)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        print(f"pass {number}: mean loss {sum(losses) / len(losses):.3f}")


def measure(network: nn.Module, batches: SyntheticBatches, file: str) -> float:
    """Classify real test images; the share that is right."""
    with np.load(file, allow_pickle=False) as arrays:
        images, labels = arrays["test_images"], torch.from_numpy(arrays["test_labels"]).long()
    scale = 255 if images.dtype == np.uint8 else 1
    pixels = torch.from_numpy(images).float() / scale
    pixels = (pixels if pixels.dim() == 4 else pixels[..., None]).permute(0, 3, 1, 2)
    pixels = F.interpolate(pixels, size=batches.images.shape[-2:], mode="bilinear", antialias=True)
    network.eval()
    with torch.no_grad():
        logits = network((pixels - batches.mean) / batches.std)
    return float((logits.argmax(dim=1) == labels).float().mean())


def main(files: list[str]) -> None:
    """Train, and measure on real images where there are some."""
    torch.manual_seed(0)
    batches = SyntheticBatches()
    network = make_network(batches.images.shape[2], len(batches.class_names))
    train(network, batches)
    for file in files:
        print(f"accuracy on {file}: {measure(network, batches, file):.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
