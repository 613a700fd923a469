"""A network made ready for the inner loop: a pure function of one flat parameter vector."""

import copy
from itertools import groupby
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import replace_all_batch_norm_modules_

from nasgtn.forward import forward


class Matrices(NamedTuple):
    """Weight matrices of one shape; a convolution counts as (out channels, all else)."""

    number: int
    rows: int
    columns: int

    @property
    def n_values(self) -> int:
        return self.number * self.rows * self.columns


class Learner:
    """A network as a function `(parameters, images) -> logits`, without state of its own.

    Batch normalisation uses the statistics of the batch, never running ones: those lag behind
    after few steps. Dropout is off, so that a step has one result. All trainable parameters lie
    in one vector, which makes an optimiser step a handful of operations however many layers
    there are: weight matrices first, those of one shape side by side. Parameters that do not
    require gradients stay as they are.

    Args:
        network: Copied, never changed.
        owned: The network is used by nobody else, and need not be copied.
        bf16: Forward and backward passes compute in bfloat16 what bears it.
    """

    def __init__(self, network: nn.Module, *, owned: bool = False, bf16: bool = False) -> None:
        self.network = (network if owned else copy.deepcopy(network)).eval()
        """What `inhabit` gives its parameters to."""
        self._bf16 = bf16
        replace_all_batch_norm_modules_(self.network)
        trainable = {n: p for n, p in self.network.named_parameters() if p.requires_grad}
        if not trainable:
            raise ValueError("the network must have trainable parameters, got none")
        trainable = dict(sorted(trainable.items(), key=lambda item: _matrix_shape(item[1])))
        shapes = [shape for p in trainable.values() if (shape := _matrix_shape(p)) < _NO_MATRIX]
        self.matrices = tuple(
            Matrices(len(list(group)), *shape) for shape, group in groupby(shapes)
        )
        """What the vector begins with."""
        self.names = tuple(trainable)
        """Of the parameters, in the order of the vector."""
        self._trainable = tuple(trainable.values())
        self._home: Tensor | None = None
        self._shapes = [p.shape for p in trainable.values()]
        self._sizes = [p.numel() for p in trainable.values()]
        self.initial: Float[Tensor, " params"] = torch.cat(
            [p.detach().reshape(-1) for p in trainable.values()]
        )
        """Parameters of the network as it came."""

    def scales(self, parameters: Float[Tensor, "*seeds params"]) -> Float[Tensor, "*seeds params"]:
        """Give each parameter the size (root mean square) of the values in its layer's tensor.

        The size is 1 for a tensor that is zero, such as a norm layer's bias at the start.
        """
        pieces = parameters.detach().split(self._sizes, dim=-1)
        lengths = torch.stack([torch.linalg.vector_norm(p, dim=-1) for p in pieces], dim=-1)
        numbers = torch.tensor(self._sizes, device=parameters.device)
        sizes = lengths / numbers.sqrt()
        return torch.where(sizes > 0, sizes, 1.0).repeat_interleave(
            numbers, dim=-1, output_size=parameters.shape[-1]
        )

    def inhabit(self, parameters: Float[Tensor, " params"]) -> tuple[nn.Parameter, ...]:
        """Make the parameters of `network` views of this vector, and return them in its order.

        Then `own_logits` costs less than `logits`, and the network learns when the vector is
        changed in place.
        """
        if self._home is not parameters:
            pieces = parameters.detach().split(self._sizes)
            for own, piece, shape in zip(self._trainable, pieces, self._shapes, strict=True):
                own.data = piece.view(shape)
            self._home = parameters
        return self._trainable

    def own_logits(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Compute logits with the parameters that it was given last, see `inhabit`."""
        return forward(self.network, images, bf16=self._bf16)

    def logits(
        self,
        parameters: Float[Tensor, " params"],
        images: Float[Tensor, "batch channels height width"],
    ) -> Float[Tensor, "batch classes"]:
        """Compute logits as a function of the parameters."""
        pieces = parameters.split(self._sizes)
        named = {
            name: piece.view(shape)
            for name, piece, shape in zip(self.names, pieces, self._shapes, strict=True)
        }
        return forward(self.network, images, named, bf16=self._bf16)


_NO_MATRIX = (2**62, 0)
"""Sorts behind every shape of a matrix."""


def _matrix_shape(parameter: Tensor) -> tuple[int, int]:
    """Rows and columns of a weight; a bias or a single row or column is no matrix."""
    if parameter.dim() < 2:
        return _NO_MATRIX
    rows = parameter.shape[0]
    columns = parameter.numel() // max(rows, 1)
    return (rows, columns) if min(rows, columns) > 1 else _NO_MATRIX
