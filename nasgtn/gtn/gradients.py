"""Loss and gradient of a learner's steps; on a GPU one step is recorded, and played back."""

import logging
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from nasgtn.gtn.learner import Learner

log = logging.getLogger(__name__)

MIN_STEPS = 8
"""From so many on recording pays: it takes as long as two steps do."""


def soft_cross_entropy(
    logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy with class probabilities, in nats."""
    return F.cross_entropy(logits, labels)


class Gradients:
    """Computes loss and gradient of a learner whose parameters change in place.

    A small network's step is hundreds of kernels of microseconds, and starting them from Python
    takes a GPU's time several times over. As a CUDA graph they start at once. A network that looks
    at its values cannot be recorded. From then on everything is computed: a recording that fails
    may leave torch's allocator in a state that the next one does not survive.

    Args:
        learner: Lives in `parameters` from now on.
        parameters: Read at each step.
        n_steps: How many steps there will be; 0 where none is to be recorded.
    """

    can_record: ClassVar[bool] = True
    """Whether no recording of this process has failed."""

    def __init__(
        self, learner: Learner, parameters: Float[Tensor, " params"], *, n_steps: int
    ) -> None:
        self._learner = learner
        self._parameters = parameters
        self._may_record = parameters.is_cuda and n_steps >= MIN_STEPS
        self._is_warm = False
        self._recorded: _Recorded | None = None

    def of(
        self,
        images: Float[Tensor, "batch channels height width"],
        labels: Float[Tensor, "batch classes"],
    ) -> tuple[Float[Tensor, ""], Sequence[Tensor]]:
        """Return the loss in nats, and gradients in the order of the learner's parameters.

        The next call may overwrite the gradients.
        """
        is_due = self._is_warm and self._may_record and self._recorded is None
        if is_due and Gradients.can_record:
            self._recorded = self._record(images, labels)
        self._is_warm = True  # cuDNN and cuBLAS have made what cannot be made in a recording
        if self._recorded is not None:
            return self._recorded.of(images, labels)
        return self.compute(images, labels)

    def _record(self, images: Tensor, labels: Tensor) -> "_Recorded | None":
        stream = torch.cuda.current_stream()
        try:
            return _Recorded(self, images, labels)
        except RuntimeError as error:
            log.info("steps are not recorded on this GPU from now on: %s", error)
            Gradients.can_record = False
            torch.cuda.set_stream(stream)
            return None

    def compute(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Do what `of` says, without a recording."""
        leaves = self._learner.inhabit(self._parameters)
        with torch.enable_grad():
            loss = soft_cross_entropy(self._learner.own_logits(images), labels)
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        return loss.detach(), gradients


class _Recorded:
    """One step as a CUDA graph, which reads its batch from memory of its own."""

    def __init__(self, gradients: Gradients, images: Tensor, labels: Tensor) -> None:
        self._images, self._labels = images.clone(), labels.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._found = gradients.compute(self._images, self._labels)

    def of(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        self._images.copy_(images)
        self._labels.copy_(labels)
        self._graph.replay()
        loss, found = self._found
        return loss.clone(), found
