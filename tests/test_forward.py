"""Running a network on images of another order in memory."""

import pytest
import torch
from torch import Tensor, nn

from nasgtn.forward import forward
from nasgtn.gtn import Learner

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Viewing(nn.Module):
    """Flattens with `view`, which asks for the usual order; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 3, padding=1)
        self.head = nn.Linear(5 * 8 * 8, 2)
        self.given: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.given.append(images.is_contiguous(memory_format=torch.channels_last))
        features: Tensor = self.convolution(images)
        logits: Tensor = self.head(features.view(len(images), -1))
        return logits


def test_convolutions_keep_the_channels_of_a_pixel_side_by_side() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 5, 3))
    features = forward(network, IMAGES)
    assert features.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(features.contiguous(), network(IMAGES))


def test_a_network_that_views_its_features_is_asked_once_only() -> None:
    network = Viewing()
    for _ in range(2):
        torch.testing.assert_close(forward(network, IMAGES), network(IMAGES))
    assert network.given == [True, False, False, False, False]


def test_a_learner_that_views_its_features_has_logits_and_gradients() -> None:
    learner = Learner(Viewing())
    parameters = learner.initial.clone().requires_grad_()
    logits = learner.logits(parameters, IMAGES)
    torch.testing.assert_close(logits, learner.network(IMAGES))
    (gradient,) = torch.autograd.grad(logits.sum(), parameters)
    assert gradient.count_nonzero() > 0


def test_other_errors_of_a_network_come_through() -> None:
    with pytest.raises(RuntimeError, match="expected input"):
        forward(nn.Conv2d(2, 5, 3), IMAGES)


def test_networks_without_convolutions_get_images_as_they_are() -> None:
    assert forward(nn.Identity(), IMAGES) is IMAGES
