"""The layers of a network in the order of their calls, and what each of them reads."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nasgtn.task import Task

IMAGE = -1
"""Place of the image itself among the inputs of a layer."""


def layers(network: nn.Module, task: Task) -> list[dict[str, Any]]:  # values of JSON
    """List the layers of a network in the order of their calls, with what they put out.

    Returns:
        name, kind, output_shape (of one image), n_parameters and inputs of each module that has
        no modules inside, or parameters of its own. `inputs` are places in the list, -1 for the
        image: those whose output the module reads, as it is or added, concatenated or reshaped.
    """
    rows: list[dict[str, Any]] = []
    tracing = _Tracing()

    def note(name: str, module: nn.Module, given: object, output: object) -> None:
        shape = list(output.shape[1:]) if isinstance(output, Tensor) else []
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        has_inside = any(True for _ in module.children())
        rows.append(
            {
                "name": name,
                "kind": type(module).__name__,
                "output_shape": shape,
                "n_parameters": own,
                "inputs": sorted(tracing.sources(output if has_inside else given)),
            }
        )
        tracing.note(output, frozenset({len(rows) - 1}))

    hooks = [
        module.register_forward_hook(
            lambda module, args, kwargs, output, name=name: note(
                name, module, (args, kwargs), output
            ),
            with_kwargs=True,
        )
        for name, module in network.named_modules()
        if not list(module.children()) or list(module.parameters(recurse=False))
    ]
    image = torch.zeros(1, *task.input_shape)
    tracing.note(image, frozenset({IMAGE}))
    with torch.no_grad(), tracing:
        network.eval()(image)
    for hook in hooks:
        hook.remove()
    return rows


class _Tracing(TorchFunctionMode):
    """Remembers which layers each tensor comes from, through the functions between them."""

    def __init__(self) -> None:
        super().__init__()
        # With the tensor itself: the id of one that is gone would be given to another.
        self._known: dict[int, tuple[Tensor, frozenset[int]]] = {}

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        output = func(*args, **(kwargs or {}))
        self.note(output, self.sources((args, kwargs)))
        return output

    def note(self, value: object, sources: frozenset[int]) -> None:
        for tensor in _tensors(value):
            self._known[id(tensor)] = tensor, sources

    def sources(self, value: object) -> frozenset[int]:
        found = (self._known[id(t)][1] for t in _tensors(value) if id(t) in self._known)
        return frozenset[int]().union(*found)


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
