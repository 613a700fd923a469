"""Plain convolutional networks: blocks of convolution, normalisation, activation and pooling.

The default space. It fits images of any size, and its networks really differ: with and without
normalisation, flat and pooled heads, from a few hundred to about 200,000 parameters on 8x8 images.

Source: the plain ConvNets of LeCun et al. (1998), with the residual connections of He et al.
(2016), the batch normalisation of Ioffe and Szegedy (2015) and the group normalisation of Wu and
He (2018).

To make a space of your own, copy this file, change `build`, and pass the file's path as the space:
`build` asks `trial` for every choice and returns the network. `canonical` and `describe` are
optional.
"""

from collections.abc import Callable

from torch import Tensor, nn

from nasgtn.spaces import Choices, Trial
from nasgtn.task import Task

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
NORMALISATIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(4, channels),
}
POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool2d(2),
    "average": lambda: nn.AvgPool2d(2),
    "stride": nn.Identity,  # the convolution itself takes every second pixel
}


class Block(nn.Module):
    """Convolution, normalisation, activation; plus the input if residual; then pooling."""

    def __init__(self, layers: nn.Module, pooling: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.layers = layers
        self.shortcut = shortcut
        self.pooling = pooling

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layers(inputs)
        if self.shortcut is not None:
            outputs = outputs + self.shortcut(inputs)
        pooled: Tensor = self.pooling(outputs)
        return pooled


def build(trial: Trial, task: Task) -> nn.Module:
    """Let `trial` choose a network for `task`."""
    depth = trial.suggest_int("depth", 1, 5)
    width = trial.suggest_int("width", 8, 64, step=8)
    kernel = trial.suggest_categorical("kernel", (3, 5))
    activation = trial.suggest_categorical("activation", tuple(ACTIVATIONS))
    normalisation = trial.suggest_categorical("normalisation", tuple(NORMALISATIONS))
    is_residual = trial.suggest_categorical("residual", (False, True))

    height, image_width, n_channels = task.height, task.width, task.n_channels
    pooling = "max"
    if min(height, image_width) >= 4:  # smaller images are never pooled
        pooling = trial.suggest_categorical("pooling", tuple(POOLINGS))

    blocks: list[nn.Module] = []
    for _ in range(depth):
        pools = min(height, image_width) >= 4
        stride = 2 if pools and pooling == "stride" else 1
        conv = nn.Conv2d(n_channels, width, kernel, stride=stride, padding=kernel // 2)
        layers = nn.Sequential(
            conv, NORMALISATIONS[normalisation](width), ACTIVATIONS[activation]()
        )
        shortcut = nn.AvgPool2d(1, stride) if is_residual and n_channels == width else None
        blocks.append(Block(layers, POOLINGS[pooling]() if pools else nn.Identity(), shortcut))
        n_channels = width
        if pools:
            up = stride - 1  # a strided convolution rounds up, pooling down
            height, image_width = (height + up) // 2, (image_width + up) // 2

    if (
        height * image_width > 1
        and trial.suggest_categorical("head", ("flat", "pooled")) == "pooled"
    ):
        blocks.append(nn.AdaptiveAvgPool2d(1))
        height = image_width = 1
    n_features = width * height * image_width
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(n_features, task.n_classes))


def canonical(choices: Choices) -> Choices:
    """Leave out what has no effect: one block alone has no residual connection."""
    return {
        name: value
        for name, value in choices.items()
        if not (name == "residual" and choices["depth"] == 1)
    }


def describe(choices: Choices) -> str:
    """Write an architecture as in `3 x conv3(16) batch relu residual, max, flat`."""
    body = f"{choices['depth']} x conv{choices['kernel']}({choices['width']})"
    words = [body, str(choices["normalisation"]), str(choices["activation"])]
    if "residual" in canonical(choices) and choices["residual"]:
        words.append("residual")
    ends = [str(choices[name]) for name in ("pooling", "head") if name in choices]
    return ", ".join([" ".join(words), *ends])
