"""NAS-Bench-Macro: eight layers, each an identity or one of two MobileNetV2 blocks; 6,561 in all.

With 32 channels the network is the benchmark's own, so that accuracies of its table hold for it;
fewer channels make a quick look-alike, as the proxy has it.

Source: Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021;
the block is that of Sandler et al., "MobileNetV2", CVPR 2018. To make a space of your own, copy
this file, change `build`, and pass the file's path as the space.
"""

from torch import Tensor, nn

from nasgtn.errors import InvalidConfigError
from nasgtn.spaces import Choice, Choices, Trial
from nasgtn.task import Task

proxy_options = {"channels": 8}
STAGES = (2, 3, 3)
"""Layers of each stage; the first layer of a stage halves the size and doubles the channels."""
N_LAYERS = sum(STAGES)
FIRST_LAYERS = (1, 3, 6)
OPERATIONS = {"0": None, "1": (3, 3), "2": (5, 6)}
"""The digit of an operation, and the kernel and the expansion of its block; `0` is no block."""


def layer_name(layer: int) -> str:
    """Name of the choice of a layer's operation; layers count from 1."""
    return f"layer_{layer}"


def conv_bn(n_in: int, n_out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Module:
    """Make a convolution without bias, and its normalisation."""
    padding = kernel // 2
    conv = nn.Conv2d(n_in, n_out, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(n_out))


class Block(nn.Module):
    """Widen, filter each channel, narrow; plus the input where the shape allows it."""

    def __init__(self, n_in: int, n_out: int, stride: int, kernel: int, expansion: int) -> None:
        super().__init__()
        n_hidden = n_in * expansion
        self.is_residual = stride == 1 and n_in == n_out
        self.layers = nn.Sequential(
            conv_bn(n_in, n_hidden, 1),
            nn.ReLU(),
            conv_bn(n_hidden, n_hidden, kernel, stride=stride, groups=n_hidden),
            nn.ReLU(),
            conv_bn(n_hidden, n_out, 1),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layers(inputs)
        return outputs + inputs if self.is_residual else outputs


def build(trial: Trial, task: Task, *, channels: int = 32) -> nn.Module:
    """Let `trial` choose the layers, and build the network of `task` from them.

    Args:
        trial: Asked for the digit of each of the eight layers.
        task: Images of any size.
        channels: Channels of the first convolution, 32 in the benchmark; all others follow.
    """
    if channels < 1:
        raise InvalidConfigError(f"channels must be at least 1, got {channels}")
    n_features = 40 * channels  # 1,280 in the benchmark
    layers: list[nn.Module] = [conv_bn(task.n_channels, channels, 3), nn.ReLU()]
    for layer in range(1, N_LAYERS + 1):
        is_first = layer in FIRST_LAYERS
        stride, n_out = (2, 2 * channels) if is_first else (1, channels)
        chosen = OPERATIONS[trial.suggest_categorical(layer_name(layer), tuple(OPERATIONS))]
        if chosen is not None:
            layers.append(Block(channels, n_out, stride, *chosen))
        elif is_first:  # an identity cannot change the shape
            layers.append(conv_bn(channels, n_out, 1, stride=stride))
        channels = n_out
    layers += [conv_bn(channels, n_features, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(n_features, task.n_classes))


def canonical(choices: Choices) -> str:
    """Leave out identities that change nothing: `10`, `201` and `210` give `1`, `21` and `21`."""
    digits = describe(choices)
    return "".join(
        ("|" if layer in FIRST_LAYERS else "") + digit
        for layer, digit in enumerate(digits, start=1)
        if layer in FIRST_LAYERS or digit != "0"
    )


def describe(choices: Choices) -> str:
    """Write the digit of each layer, as the benchmark does."""
    return "".join(str(choices[layer_name(layer)]) for layer in range(1, N_LAYERS + 1))


def parse(description: str) -> dict[str, Choice]:
    """Read the digits of an architecture: the inverse of `describe`."""
    digits = description.strip()
    if len(digits) != N_LAYERS or not set(digits) <= set(OPERATIONS):
        raise InvalidConfigError(
            f"an architecture must be {N_LAYERS} digits, each of {', '.join(OPERATIONS)}, "
            f"got {description!r}"
        )
    return {layer_name(layer): digit for layer, digit in enumerate(digits, start=1)}
