"""My search space: stages of convolutions, each of its own kind.

`nasgtn new-space` copied this file: it is yours to change. The first line above is what nasgtn
calls the space. Try it with

    nasgtn spaces show FILE --sample 5
    nasgtn search --space FILE --trials 20

A search space is a function, `build`. It asks `trial` for every choice and returns the network
that these choices make. nasgtn calls it with a trial that draws at random, or that Optuna guides,
or that repeats known choices: so it must ask in the same way each time, and draw nothing itself.
"""

from collections.abc import Callable

from torch import Tensor, nn

from nasgtn.spaces import Choices, Trial
from nasgtn.task import Task

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU}


class Residual(nn.Module):
    """Adds what its layers make to what they got. Any module of torch will do, your own too."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layers(inputs)
        return inputs + outputs


def block(kind: str, width: int, activation: str) -> nn.Module:
    """Make one block that keeps the shape. To add a kind, add it here and to `build`."""
    groups = width if kind == "depthwise" else 1
    layers: list[nn.Module] = [nn.Conv2d(width, width, 3, padding=1, groups=groups, bias=False)]
    if kind == "depthwise":  # channels meet in a 1x1 convolution
        layers.append(nn.Conv2d(width, width, 1, bias=False))
    layers += [nn.BatchNorm2d(width), ACTIVATIONS[activation]()]
    whole = nn.Sequential(*layers)
    return Residual(whole) if kind == "residual" else whole


def build(trial: Trial, task: Task, *, channels: int = 16) -> nn.Module:
    """Let `trial` choose a network for `task`.

    Args:
        trial: Asked with `suggest_categorical`, `suggest_int` and `suggest_float`, as in Optuna.
            Each choice has a name of its own. A choice may depend on earlier ones.
        task: What the network has to do: `n_channels`, `height` and `width` of the images,
            `n_classes`. Which choices there are should not depend on the size of the images,
            since proxies train on smaller ones.
        channels: An option of the space, set with `--set space.options.channels=32`: it makes
            networks larger or smaller, and the architectures stay the same.
    """
    # Choices that all networks have.
    n_stages = trial.suggest_int("stages", 1, 3)
    activation = trial.suggest_categorical("activation", tuple(ACTIVATIONS))
    widening = trial.suggest_categorical("widening", (1, 2))

    layers: list[nn.Module] = [nn.Conv2d(task.n_channels, channels, 3, padding=1)]
    width = channels
    for stage in range(1, n_stages + 1):
        # Choices of one stage: there are as many of them as there are stages.
        kind = trial.suggest_categorical(f"kind_{stage}", ("plain", "residual", "depthwise"))
        depth = trial.suggest_int(f"depth_{stage}", 1, 2)
        layers += [block(kind, width, activation) for _ in range(depth)]
        if stage < n_stages:  # half the size; a convolution with stride fits images of any size
            layers.append(nn.Conv2d(width, width * widening, 3, stride=2, padding=1))
            width *= widening
    # The network maps (batch, channels, height, width) to logits (batch, classes), no softmax.
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, task.n_classes)
    )


# What follows is optional: delete it, and nasgtn takes all choices as they are.


def canonical(choices: Choices) -> object:
    """Leave out what makes no difference, so that equal networks count once.

    One stage never widens, so the choice is without effect there.
    """
    return {
        name: value
        for name, value in choices.items()
        if not (name == "widening" and choices["stages"] == 1)
    }


def describe(choices: Choices) -> str:
    """Write an architecture in one line, as in `plain x1, residual x2, relu, widening 2`."""
    stages = range(1, int(str(choices["stages"])) + 1)
    words = [f"{choices[f'kind_{stage}']} x{choices[f'depth_{stage}']}" for stage in stages]
    return ", ".join([*words, str(choices["activation"]), f"widening {choices['widening']}"])
