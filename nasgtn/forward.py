"""Runs a network on images as the processor likes to have them in memory."""

from collections.abc import Callable, Mapping
from functools import partial
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

_likes: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""Whether a network takes images of which a pixel's channels lie side by side, and gains by it."""


def forward(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    parameters: Mapping[str, Tensor] | None = None,
    *,
    bf16: bool = False,
) -> Tensor:
    """Call `network`, on a CPU with the channels of a pixel side by side (`channels_last`).

    Convolutions of few channels run up to twice as fast so, forth and back, and what follows one
    keeps that order. A network that cannot take it, as one with `Tensor.view` in it or under
    `torch.vmap`, gets images as they are from then on: it is called twice for its first batch.

    Args:
        network: A batch goes in, logits come out.
        images: In any order in memory.
        parameters: Take the place of the network's own, by name.
        bf16: Let autocast compute in bfloat16 what bears it, here and on the way back; weights
            and logits stay float32.
    """
    call = network if parameters is None else partial(functional_call, network, dict(parameters))
    if bf16:
        with torch.autocast(images.device.type, torch.bfloat16):
            return _call(network, call, images).float()
    return _call(network, call, images)


def _call(network: nn.Module, call: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    likes = _likes.get(network)
    if likes is None:
        likes = _likes[network] = any(isinstance(part, nn.Conv2d) for part in network.modules())
    if likes and images.device.type == "cpu":
        try:
            return call(images.to(memory_format=torch.channels_last))
        except RuntimeError:
            _likes[network] = False
    return call(images)
